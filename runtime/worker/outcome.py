"""What becomes of a job whose attempt went wrong: decided here, from the error alone."""

from dataclasses import dataclass
from typing import Literal

from runtime.api import VeilrunError
from runtime.chat.errors import NotSent, OutcomeUnknown, RetryLater, TokenRefused
from runtime.comfyui import (
    BackendError,
    BackendMisconfigured,
    BackendUnreachable,
    Interrupted,
    OutOfMemory,
    PathAway,
    PromptLost,
    UnexpectedAnswer,
    WorkflowRejected,
)
from runtime.scheduler.fleet import UnknownBackend
from runtime.transport import TransportError

FIRST_SECONDS, GROWTH, LONGEST_SECONDS = 0.5, 4.0, 30.0
"""The pause before the second try, what each further one is longer by, and the longest."""

MOST_TRIES = 100
"""A try that costs nothing is a try as well: whatever comes between each time, the job is given up some day."""

PATH_SECONDS = 1.0
"""Until a job that found the way to its backend down may be placed again; the backend counts as away by then."""


class NotOfferedHere(VeilrunError):
    """Another process offers the job's command: this one reads another registry, or an older state of it."""


@dataclass(frozen=True, slots=True)
class Requeue:
    """Another try, on any backend, after a delay. `free`: let the backend drop what it has loaded first.

    `counts`: whether the try that ended is one of those that the job has.
    """

    error: str
    detail: str
    delay_seconds: float
    free: bool = False
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Fail:
    """The end. `detail` is one line for the user; 'dead' says that every try was used up."""

    error: str
    detail: str
    state: Literal["failed", "dead"] = "failed"


def judge(
    error: VeilrunError, *, attempt: int, max_attempts: int, last_error: str | None, spread: float = 0.0
) -> Requeue | Fail:
    """What follows from `error` in the try number `attempt` (from 1); `last_error` is the class name of the one before.

    spread: by how much of itself the pause is lengthened, 0 to 1: another number for each job, so that those which
    failed in the same instant do not come back in one.

    A second lack of memory is not bad luck any more: the job is too large. While Telegram, or our way to it, is away, a
    picture cannot be fetched: that costs no try, since nothing was tried. Nor does a worker cost one that does not know
    the job's backend or command, while others do.
    """
    name, detail = type(error).__name__, one_line(error)
    delay = min(FIRST_SECONDS * GROWTH ** min(attempt - 1, 9), LONGEST_SECONDS) * (1 + spread)
    if attempt < MOST_TRIES:
        if isinstance(error, PathAway):
            return Requeue(name, detail, max(PATH_SECONDS, delay), counts=False)
        if isinstance(error, UnknownBackend | NotOfferedHere):
            return Requeue(name, detail, delay, counts=False)
        if isinstance(error, NotSent) and not isinstance(error, TokenRefused):
            return Requeue(name, detail, delay, counts=False)
    if not _may_pass(error) or (isinstance(error, OutOfMemory) and last_error == name):
        return Fail(name, detail)
    if attempt >= min(max_attempts, MOST_TRIES):
        return Fail(name, detail, "dead")
    return Requeue(name, detail, delay, free=isinstance(error, OutOfMemory))


def is_backend_suspect(error: VeilrunError) -> bool:
    """Whether the backend should be checked now: it may be away, set up wrongly, or lack what it had before."""
    return isinstance(error, BackendUnreachable | BackendMisconfigured | UnexpectedAnswer | WorkflowRejected)


def has_lost_weights(error: VeilrunError) -> bool:
    """Whether the backend has nothing loaded after it: ComfyUI drops all when memory runs out (execution.py), and knows
    nothing of a prompt after it was restarted."""
    return isinstance(error, OutOfMemory | PromptLost)


def one_line(error: VeilrunError) -> str:
    """The error's text for a user: without the backend's name, in one line."""
    text = error.message if isinstance(error, BackendError) else str(error)
    line = " ".join(text.split())
    return line[:1].upper() + line[1:]


def _may_pass(error: VeilrunError) -> bool:
    """Whether another try, later or elsewhere, can end better.

    Somebody else's interrupt is no fault of the job, and neither is a backend that is set up wrongly or unknown here. A
    graph that was refused, a node that failed and a run that took too long do the same again.
    """
    if isinstance(error, BackendError):
        return error.retry or isinstance(error, BackendMisconfigured | UnexpectedAnswer | Interrupted)
    return isinstance(error, NotSent | NotOfferedHere | OutcomeUnknown | RetryLater | UnknownBackend | TransportError)
