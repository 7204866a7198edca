"""What can go wrong with a ComfyUI server: one class per thing the caller can do about it.

The text of an error may go to a log or a chat. It holds node ids, class names, numbers and file names, and never the
text of a prompt; what a node said in its own words, which may quote the prompt, is kept apart as `detail`.
"""

from dataclasses import dataclass
from typing import Any

from runtime.api.errors import VeilrunError

SHOWN_PROBLEMS = 5


class BackendError(VeilrunError):
    """A ComfyUI server did not do what was asked. `backend` names it; `retry` says whether another try can help."""

    retry = False

    def __init__(self, backend: str, message: str) -> None:
        super().__init__(f"{backend}: {message}")
        self.backend = backend
        self.message = message


class BackendUnreachable(BackendError):
    """No connection, or it broke: the job goes back to the queue. `may_have_arrived`: the request perhaps did."""

    retry = True

    def __init__(self, backend: str, message: str, *, may_have_arrived: bool = True) -> None:
        super().__init__(backend, message)
        self.may_have_arrived = may_have_arrived


class PathAway(BackendUnreachable):
    """Our own way to the backend is down, our `anon` most likely: no fault of the backend, and none of the job.

    Nothing that waits for the way uses up a try.
    """


class BackendMisconfigured(BackendError):
    """The backend's `url` or `transport` is wrong: the operator corrects it in the registry."""


class UnexpectedAnswer(BackendError):
    """The server answered what ComfyUI never answers there: something else listens, or a proxy stands in between."""

    may_have_arrived = True

    def __init__(self, backend: str, route: str, status: int, reason: str = "") -> None:
        super().__init__(backend, f"{route} answered HTTP {status}{f', {reason}' if reason else ''}")
        self.status = status
        self.retry = status in (408, 429) or status >= 500


@dataclass(frozen=True, slots=True)
class GraphProblem:
    """One thing wrong with a graph, at `node`.`input` (empty if it is about the node or the graph as a whole).

    kind: ComfyUI's own `type` of error, or one of `runtime.comfyui.preflight`. received, allowed: None if unknown or
    if they could hold a prompt.
    """

    node: str
    class_type: str
    input: str
    kind: str
    message: str
    received: Any = None
    allowed: str | None = None


class WorkflowRejected(BackendError):
    """The server refused the graph (HTTP 400 on POST /prompt). The text names node, input and what is wrong."""

    def __init__(self, backend: str, problems: tuple[GraphProblem, ...]) -> None:
        messages = list(dict.fromkeys(problem.message for problem in problems))
        more = len(messages) - SHOWN_PROBLEMS
        text = "; ".join(messages[:SHOWN_PROBLEMS]) + (f"; and {more} more" if more > 0 else "")
        super().__init__(backend, f"cannot run this workflow: {text}")
        self.problems = problems


class UploadGone(WorkflowRejected):
    """A picture that the graph names is not on the server: cleaned up after another job that had the same one, or wiped
    by a restart, between its upload and the post. The next try uploads it again."""

    retry = True


class GraphProblems(WorkflowRejected):
    """The graph was checked against the server's catalogue and not posted at all."""


class UploadRefused(BackendError):
    """The server does not take the file: too large for it (HTTP 413), or its name is not allowed (400)."""


class NodeFailed(BackendError):
    """A node raised while it ran. `detail` is what it said, which may quote the prompt: not for logs."""

    def __init__(self, backend: str, node: str, class_type: str, exception_type: str, detail: str) -> None:
        super().__init__(backend, self._describe(node, class_type, exception_type))
        self.node = node
        self.class_type = class_type
        self.exception_type = exception_type
        self.detail = detail

    def _describe(self, node: str, class_type: str, exception_type: str) -> str:
        return f"node {node!r} ({class_type}) failed with {exception_type or 'an error'}"


class OutOfMemory(NodeFailed):
    """The GPU had too little free memory. ComfyUI has unloaded all models by now, so one more try can help."""

    retry = True

    def _describe(self, node: str, class_type: str, exception_type: str) -> str:
        return f"the GPU ran out of memory in node {node!r} ({class_type}); a smaller size or fewer frames need less"


class Interrupted(BackendError):
    """Somebody interrupted the prompt while it ran."""

    def __init__(self, backend: str, node: str = "") -> None:
        super().__init__(backend, "interrupted" + (f" in node {node!r}" if node else ""))
        self.node = node


class PromptLost(BackendError):
    """The server knows the prompt no more: it was restarted, or the prompt was deleted from its queue.

    had_begun: it was seen to run before, rather than to wait behind another.
    """

    retry = True

    def __init__(self, backend: str, *, had_begun: bool = False) -> None:
        super().__init__(backend, "the prompt is neither queued nor finished; was ComfyUI restarted?")
        self.had_begun = had_begun


class OutputMissing(BackendError):
    """The run succeeded but its file is gone, as when the answer came from the cache and the file was deleted."""

    retry = True

    def __init__(self, backend: str, filename: str) -> None:
        super().__init__(backend, f"output file {filename!r} is gone")
        self.filename = filename


class SentPictureLost(OutputMissing):
    """The run succeeded, but a picture that it sent over the event socket did not arrive and is written nowhere."""

    def __init__(self, backend: str) -> None:
        BackendError.__init__(self, backend, "a picture got lost with the connection it was sent over")
        self.filename = ""


class OutputDamaged(BackendError):
    """An output file came twice with another content than the server's own SHA-256 of it."""

    retry = True

    def __init__(self, backend: str, filename: str) -> None:
        super().__init__(backend, f"output file {filename!r} arrives damaged")
        self.filename = filename


class NoOutput(BackendError):
    """The run succeeded and the wanted nodes wrote no file: the workflow saves nothing there."""

    def __init__(self, backend: str, nodes: tuple[str, ...]) -> None:
        wanted = ", ".join(repr(node) for node in nodes) or "no node"
        super().__init__(backend, f"the run succeeded but wrote no file (looked at {wanted})")


class OutputTooLarge(BackendError):
    """An output file is larger than the bound given."""

    def __init__(self, backend: str, filename: str, limit_bytes: int) -> None:
        super().__init__(backend, f"output file {filename!r} is larger than {limit_bytes / 2**20:.0f} MiB")


class BackendTimeout(BackendError):
    """A phase of the run took longer than its limit; the prompt has been cancelled on the server."""

    phase = "run"

    def __init__(self, backend: str, limit_seconds: float) -> None:
        super().__init__(backend, f"the {self.phase} took longer than {limit_seconds:g} s")
        self.limit_seconds = limit_seconds


class QueueTimeout(BackendTimeout):
    """The prompt never started, since others were in front of it, and the time that it may wait is over."""

    phase = "wait in ComfyUI's queue"


class LoadTimeout(BackendTimeout):
    """The models were not loaded in time. The next try finds them in the host's file cache."""

    phase = "model load"
    retry = True


class RunTimeout(BackendTimeout):
    """The run itself took too long: less work (steps, size, frames) or a higher limit."""

    phase = "run"
