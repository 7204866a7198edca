"""What becomes of a job, by the error alone."""

import pytest

from runtime.api import BadArgument, DeclarationError, VeilrunError
from runtime.chat.errors import (
    ChatBlocked,
    ChatMigrated,
    FileTooBig,
    MessageGone,
    NotSent,
    OutcomeUnknown,
    Refused,
    RetryLater,
    TelegramFailed,
    ThreadGone,
    TokenRefused,
)
from runtime.comfyui import (
    BackendError,
    BackendMisconfigured,
    BackendUnreachable,
    GraphProblem,
    Interrupted,
    LoadTimeout,
    NodeFailed,
    NoOutput,
    OutOfMemory,
    OutputMissing,
    OutputTooLarge,
    PathAway,
    PromptLost,
    QueueTimeout,
    RunTimeout,
    UnexpectedAnswer,
    UploadRefused,
    WorkflowRejected,
)
from runtime.comfyui.errors import BackendTimeout, GraphProblems, OutputDamaged, SentPictureLost, UploadGone
from runtime.media.errors import BrokenMedium, CannotStrip, MediaError, MediumTooLarge, UnknownMedium
from runtime.registry import PluginFailed
from runtime.scheduler.fleet import UnknownBackend
from runtime.transport import UnknownTransport
from runtime.transport.errors import (
    AddressRefused,
    ConnectFailed,
    ConnectionBroken,
    FrameTooLarge,
    HandshakeRefused,
    NotAuthorized,
    PathDown,
    Redirected,
    ReplyTooLarge,
    ServiceOffline,
    ServiceRefused,
    TimedOut,
    TransportError,
)
from runtime.worker.attempt import CommandGone
from runtime.worker.inputs import InputGone
from runtime.worker.outcome import MOST_TRIES, Fail, NotOfferedHere, Requeue, is_backend_suspect, judge, one_line

MEMORY = OutOfMemory("gpu-a", "sampler", "KSampler", "OutOfMemoryError", "")
PROBLEM = GraphProblem("vae", "VAELoader", "vae_name", "missing_model", "model file ae.safetensors is missing")

PASSING = [
    BackendUnreachable("gpu-a", "no connection"),
    BackendMisconfigured("gpu-a", "redirects"),
    UnexpectedAnswer("gpu-a", "POST /prompt", 502),
    UnexpectedAnswer("gpu-a", "GET /system_stats", 404),
    PromptLost("gpu-a"),
    Interrupted("gpu-a"),
    OutputMissing("gpu-a", "out.png"),
    SentPictureLost("gpu-a"),
    OutputDamaged("gpu-a", "out.png"),
    UploadGone("gpu-a", (PROBLEM,)),
    LoadTimeout("gpu-a", 60),
    MEMORY,
    TokenRefused("unknown token"),
    OutcomeUnknown("no answer"),
    RetryLater(3),
    AddressRefused("not a hidden name"),
    ConnectFailed("no connection"),
    ConnectionBroken("it broke"),
    FrameTooLarge("too large"),
    HandshakeRefused(404),
    NotAuthorized("no key"),
    PathDown("anon does not run"),
    Redirected("it points elsewhere"),
    ReplyTooLarge("too large"),
    ServiceOffline("no circuit"),
    ServiceRefused("nothing listens"),
    TimedOut("read", "too slow"),
    UnknownTransport("pigeon"),
]
FREE = [
    PathAway("gpu-a", "anon does not run"),
    NotSent("no connection"),
    UnknownBackend("gpu-z"),
    NotOfferedHere("newer"),
]
LASTING = [
    WorkflowRejected("gpu-a", (PROBLEM,)),
    GraphProblems("gpu-a", (PROBLEM,)),
    NodeFailed("gpu-a", "sampler", "KSampler", "ValueError", "an astronaut"),
    NoOutput("gpu-a", ("save",)),
    OutputTooLarge("gpu-a", "out.mp4", 1),
    UploadRefused("gpu-a", "too large"),
    QueueTimeout("gpu-a", 60),
    RunTimeout("gpu-a", 60),
    BrokenMedium("the picture is damaged"),
    CannotStrip("it cannot be stripped"),
    MediumTooLarge("too large"),
    UnknownMedium("what is it?"),
    InputGone("gone"),
    CommandGone("gone"),
    ChatBlocked("gone"),
    ChatMigrated(-100),
    FileTooBig("too big"),
    MessageGone("gone"),
    Refused("no"),
    ThreadGone("gone"),
    BadArgument("too large"),
    PluginFailed("extra", "build_workflow", "LookupError"),
    DeclarationError("wrong"),
]
BASES = {BackendError, BackendTimeout, TransportError, TelegramFailed, MediaError}
JUDGED_IN = (
    "runtime.comfyui",
    "runtime.transport",
    "runtime.chat.errors",
    "runtime.media",
    "runtime.worker.attempt",
    "runtime.worker.inputs",
)


def descendants(kind: type[VeilrunError]) -> set[type[VeilrunError]]:
    return set(kind.__subclasses__()).union(*(descendants(each) for each in kind.__subclasses__()))


def test_every_error_that_an_attempt_can_end_with_has_its_verdict_here():
    judged = {kind for kind in descendants(VeilrunError) if kind.__module__.startswith(JUDGED_IN)}

    assert judged - BASES - {type(error) for error in (*PASSING, *FREE, *LASTING)} == set()


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
def test_what_may_pass_is_tried_again_and_at_last_becomes_a_dead_letter(error: VeilrunError):
    verdicts = [judge(error, attempt=attempt, max_attempts=6, last_error=None) for attempt in range(1, 7)]

    assert [each.delay_seconds for each in verdicts[:5] if isinstance(each, Requeue)] == [0.5, 2.0, 8.0, 30.0, 30.0]
    assert all(each.counts for each in verdicts[:5] if isinstance(each, Requeue))
    assert verdicts[5] == Fail(type(error).__name__, one_line(error), "dead")


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
def test_all_pauses_of_a_job_together_are_bounded_whatever_goes_wrong(error: VeilrunError):
    verdicts = [judge(error, attempt=n, max_attempts=20, last_error=None, spread=1.0) for n in range(1, 21)]

    assert sum(each.delay_seconds for each in verdicts if isinstance(each, Requeue)) < 20 * 60


@pytest.mark.parametrize("error", FREE, ids=lambda error: type(error).__name__)
def test_what_uses_up_no_try_does_not_go_on_for_ever(error: VeilrunError):
    delay, attempt = 0.0, 1
    while isinstance(verdict := judge(error, attempt=attempt, max_attempts=attempt + 2, last_error=None), Requeue):
        delay, attempt = delay + verdict.delay_seconds, attempt + 1

    assert verdict == Fail(type(error).__name__, one_line(error), "dead")
    assert attempt == MOST_TRIES
    assert 1800 < delay < 2 * 3600


def test_jobs_that_fail_in_one_instant_come_back_in_many():
    error = BackendUnreachable("gpu-a", "no connection")
    spread = [judge(error, attempt=2, max_attempts=9, last_error=None, spread=part / 10) for part in range(10)]

    delays = [each.delay_seconds for each in spread if isinstance(each, Requeue)]
    assert len(set(delays)) == 10
    assert min(delays) >= 2.0
    assert max(delays) < 4.0


@pytest.mark.parametrize("attempt", [1, 4, 99])
def test_a_way_that_is_down_uses_up_no_try(attempt: int):
    verdict = judge(PathAway("gpu-a", "anon does not run"), attempt=attempt, max_attempts=4, last_error=None)

    assert isinstance(verdict, Requeue)
    assert not verdict.counts


@pytest.mark.parametrize(("attempt", "delay"), [(1, 0.5), (2, 2.0), (4, 30.0), (99, 30.0)])
def test_a_picture_that_telegram_cannot_be_asked_for_uses_up_no_try(attempt: int, delay: float):
    verdict = judge(NotSent("no connection"), attempt=attempt, max_attempts=1, last_error=None)

    assert isinstance(verdict, Requeue)
    assert not verdict.counts
    assert verdict.delay_seconds == delay


@pytest.mark.parametrize("error", LASTING, ids=lambda error: type(error).__name__)
def test_what_cannot_get_better_fails_at_once(error: VeilrunError):
    verdict = judge(error, attempt=1, max_attempts=3, last_error=None)

    assert verdict == Fail(type(error).__name__, one_line(error), "failed")


def test_a_lack_of_memory_is_answered_by_freeing_and_a_second_one_by_giving_up():
    first = judge(MEMORY, attempt=1, max_attempts=9, last_error=None)
    after_another = judge(MEMORY, attempt=2, max_attempts=9, last_error="PromptLost")
    second = judge(MEMORY, attempt=2, max_attempts=9, last_error="OutOfMemory")

    assert isinstance(first, Requeue)
    assert first.free
    assert isinstance(after_another, Requeue)
    assert second == Fail("OutOfMemory", one_line(MEMORY), "failed")


def test_the_text_for_the_user_is_one_line_without_the_name_of_the_server():
    assert one_line(NodeFailed("gpu-a", "vae", "VAEDecode", "ValueError", "x\ny")) == (
        "Node 'vae' (VAEDecode) failed with ValueError"
    )
    assert one_line(PluginFailed("extra", "build_workflow", "two\nlines")) == (
        "Plugin extra failed in build_workflow: two lines"
    )


def test_a_backend_is_looked_at_again_when_it_may_be_its_fault():
    suspects = [type(error).__name__ for error in (*PASSING, *LASTING) if is_backend_suspect(error)]

    assert sorted(set(suspects)) == [
        "BackendMisconfigured", "BackendUnreachable", "GraphProblems", "UnexpectedAnswer", "UploadGone",
        "WorkflowRejected",
    ]  # fmt: skip
