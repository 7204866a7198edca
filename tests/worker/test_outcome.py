"""What becomes of a job, by the error alone."""

import pytest

from runtime.api import DeclarationError, VeilrunError
from runtime.chat.errors import FileTooBig, NotSent, OutcomeUnknown, RetryLater, TokenRefused
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
from runtime.media import BrokenMedium
from runtime.registry import PluginFailed
from runtime.scheduler.fleet import UnknownBackend
from runtime.transport import UnknownTransport
from runtime.worker.attempt import CommandGone
from runtime.worker.inputs import InputGone
from runtime.worker.outcome import Fail, Requeue, is_backend_suspect, judge, one_line

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
    QueueTimeout("gpu-a", 60),
    LoadTimeout("gpu-a", 60),
    MEMORY,
    TokenRefused("unknown token"),
    OutcomeUnknown("no answer"),
    RetryLater(3),
    UnknownBackend("gpu-z"),
    UnknownTransport("pigeon"),
]
LASTING = [
    WorkflowRejected("gpu-a", (PROBLEM,)),
    NodeFailed("gpu-a", "sampler", "KSampler", "ValueError", "an astronaut"),
    NoOutput("gpu-a", ("save",)),
    OutputTooLarge("gpu-a", "out.mp4", 1),
    UploadRefused("gpu-a", "too large"),
    RunTimeout("gpu-a", 60),
    BackendError("gpu-a", "something else"),
    BrokenMedium("the picture is damaged"),
    InputGone("gone"),
    CommandGone("gone"),
    FileTooBig("too big"),
    PluginFailed("extra", "build_workflow", "LookupError"),
    DeclarationError("wrong"),
]


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
def test_what_may_pass_is_tried_again_and_at_last_becomes_a_dead_letter(error: VeilrunError):
    verdicts = [judge(error, attempt=attempt, max_attempts=4, last_error=None) for attempt in (1, 2, 3, 4)]

    assert [each.delay_seconds for each in verdicts[:3] if isinstance(each, Requeue)] == [0.5, 2.0, 8.0]
    assert verdicts[3] == Fail(type(error).__name__, one_line(error), "dead")


@pytest.mark.parametrize("attempt", [1, 4, 99])
def test_a_way_that_is_down_uses_up_no_try(attempt: int):
    verdict = judge(PathAway("gpu-a", "anon does not run"), attempt=attempt, max_attempts=4, last_error=None)

    assert isinstance(verdict, Requeue)
    assert not verdict.counts


@pytest.mark.parametrize(("attempt", "delay"), [(1, 0.5), (2, 2.0), (4, 8.0), (99, 8.0)])
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
        "BackendMisconfigured", "BackendUnreachable", "UnexpectedAnswer", "WorkflowRejected"
    ]  # fmt: skip
