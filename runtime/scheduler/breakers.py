"""Which failures are held against a backend, and what an open circuit breaker means for its slots. Pure functions.

Where the counting is done, and when a breaker opens: `db.breakers`.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC

from db.breakers import Breaker, Failure
from db.jobs import Job
from runtime.api import VeilrunError
from runtime.comfyui import (
    LoadTimeout,
    NodeFailed,
    OutOfMemory,
    OutputDamaged,
    OutputMissing,
    PromptLost,
    RunTimeout,
    SentPictureLost,
    UnexpectedAnswer,
    WorkflowRejected,
)
from runtime.comfyui.preflight import MODEL_SUFFIXES
from runtime.registry import Registry
from runtime.scheduler.pins import pinned
from runtime.scheduler.view import command_key

LACKS = ("unknown_class", "missing_model")
"""What makes a command impossible on a backend, whatever its arguments are: kinds of `GraphProblem`."""


def failure_of(registry: Registry, error: VeilrunError, job: Job) -> Failure | None:
    """What to count against the job's backend when it failed there with `error`; None = nothing.

    The job is as it was claimed: its own `error` is that of the try before.
    """
    is_certain = is_backends_fault(error, last_error=job.error)
    if is_certain is None or job.backend is None:
        return None
    others = [name for name in fitting_backends(registry, job.command, job.variant) if name != job.backend]
    return Failure(job.backend, command_key(job.command, job.variant), type(error).__name__, is_certain, others)


def is_backends_fault(error: VeilrunError, *, last_error: str | None = None) -> bool | None:
    """True: the backend is to blame, whatever it was asked for. False: it may be. None: it is not, or all of it is.

    Weights that do not load, a run that was lost in a crash, files that are gone, nodes or models that are missing
    after the check said otherwise: that no job can do by itself. A node that fails, a run that does not end, memory
    that does not suffice even after it was freed: the cause may be the backend, a broken plugin or a user's picture.
    A backend that is away altogether is none of a command's business, and neither is a graph that is wrong anywhere.
    """
    match error:
        case SentPictureLost():  # the connection's fault
            return None
        case LoadTimeout() | OutputMissing() | OutputDamaged():
            return True
        case PromptLost():  # those that waited behind the one that ran went down with it
            return True if error.had_begun else None
        case WorkflowRejected():
            return True if any(_is_lack(problem.kind, problem.received) for problem in error.problems) else None
        case OutOfMemory():
            return False if last_error == type(error).__name__ else None
        case NodeFailed() | RunTimeout() | UnexpectedAnswer():
            return False
    return None


def _is_lack(kind: str, received: object) -> bool:
    """The server itself calls a model file that it does not have just another wrong value."""
    is_file = isinstance(received, str) and received.lower().endswith(MODEL_SUFFIXES)
    return kind in LACKS or (kind == "value_not_in_list" and is_file)


def fitting_backends(registry: Registry, command: str, variant: str | None) -> tuple[str, ...]:
    """The backends whose cards and labels suit the command, as far as the registry tells."""
    loaded = registry.commands.get(command)
    if loaded is None or variant not in (None, *(known.name for known in loaded.command.variants)):
        return ()
    affinity, kept_for = loaded.command.affinity_of(variant), pinned(registry)
    return tuple(
        backend.name
        for backend in registry.backends
        if backend.vram_gb >= affinity.vram_gb
        and affinity.labels <= backend.labels
        and affinity.model_set in kept_for.get(backend.name, {affinity.model_set})
    )


def tripped(breakers: Iterable[Breaker]) -> Mapping[str, Mapping[str, str]]:
    """Backend -> command key -> why the command is kept away from it, and until when. The words change with the state
    only, not with every look at it."""
    found: dict[str, dict[str, str]] = {}
    for breaker in breakers:
        if not breaker.is_probing:
            found.setdefault(breaker.backend, {})[breaker.bucket] = reason(breaker)
    return found


def probing(breakers: Iterable[Breaker]) -> Mapping[str, frozenset[str]]:
    """Backend -> command keys of which it may hold one job at a time."""
    found: dict[str, frozenset[str]] = {}
    for breaker in breakers:
        if breaker.is_probing:
            found[breaker.backend] = found.get(breaker.backend, frozenset()) | {breaker.bucket}
    return found


def reason(breaker: Breaker) -> str:
    """In one line: what happened, and when the command is tried there again."""
    failures = f"{breaker.bucket} failed there {breaker.failures} times in a row ({breaker.error})"
    if breaker.is_probing:
        return f"{failures}; the next job shows whether it works again"
    return f"{failures} and is tried again at {breaker.retry_at.astimezone(UTC):%H:%M:%S} UTC"
