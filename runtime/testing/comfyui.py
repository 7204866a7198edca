"""The sandbox ComfyUI of a test: what was asked of it, and what it is to do wrong."""

from collections.abc import Callable, Sequence
from typing import Any

from runtime.api import Graph
from runtime.sandbox.comfyui import SandboxComfyUI, Upload
from runtime.testing.chat import GRACE_SECONDS


class ComfyUI:
    """One server, shared by the tests of a session; each test begins with one that has no faults and no memory.

    Nodes are named by id, as in the graph, or by class.
    """

    def __init__(self, sandbox: SandboxComfyUI, run: Callable[..., Any]) -> None:
        self.sandbox = sandbox
        self._run = run
        self._seen_graphs = len(sandbox.graphs)
        self._seen_uploads = len(sandbox.uploads)

    @property
    def url(self) -> str:
        """Its address, without a trailing slash."""
        return self.sandbox.url

    @property
    def graphs(self) -> Sequence[Graph]:
        """The graphs posted in this test, in order."""
        return self.sandbox.graphs[self._seen_graphs :]

    @property
    def uploads(self) -> Sequence[Upload]:
        """The pictures uploaded in this test, in order."""
        return self.sandbox.uploads[self._seen_uploads :]

    def fails(self, node: str, message: str = "something is wrong") -> None:
        """The node raises a ValueError whenever it runs."""
        self.sandbox.faults.fail[node] = message

    def runs_out_of_memory(self, node: str) -> None:
        """The node finds no memory on the GPU whenever it runs."""
        self.sandbox.faults.out_of_memory.add(node)

    def has_no_node(self, class_type: str) -> None:
        """The node class is not installed."""
        self.sandbox.faults.missing_classes.add(class_type)

    def has_no_model(self, file: str) -> None:
        """The model file is not there."""
        self.sandbox.faults.missing_models.add(file)

    def cannot_read_model(self, file: str) -> None:
        """The model file is listed and cannot be loaded, as after a broken download."""
        self.sandbox.faults.unreadable_models.add(file)

    def is_slow(self, seconds: float, route: str = "*") -> None:
        """Each request to `route` ("POST /prompt"; "*" = all) waits so long."""
        self.sandbox.faults.latency[route] = seconds

    def answers(self, route: str, *statuses: int) -> None:
        """The next requests to `route` ("POST /prompt") are turned away with these statuses, one each."""
        self.sandbox.faults.answers.setdefault(route, []).extend(statuses)

    def loses_prompts(self, times: int = 1) -> None:
        """So many prompts are accepted and forgotten, as if the server had restarted just then."""
        self.sandbox.faults.vanish = times

    def loses_events(self, *types: str) -> None:
        """Events of these types ("executed", "execution_success", "progress_state") are never sent."""
        self.sandbox.faults.withhold.update(types)

    def holds(self, node: str) -> None:
        """The node waits, running, until `lets_go`."""
        self.sandbox.faults.hold.add(node)

    def lets_go(self, node: str) -> None:
        """The node goes on."""
        self.sandbox.faults.hold.discard(node)

    def wait_until_running(self, timeout: float = 30.0) -> None:
        """Return as soon as it runs a prompt. Raises: TimeoutError."""
        __tracebackhide__ = True
        self._run(self.sandbox.wait_for(lambda server: server.running is not None, timeout), timeout + GRACE_SECONDS)

    def restarts(self) -> None:
        """It stops and starts: queue, history and cache are empty, files stay."""
        self._run(self.sandbox.restart())

    def crashes(self) -> None:
        """It goes away like a killed process, and is there again at once with nothing in memory."""
        self._run(self.sandbox.crash())
        self._run(self.sandbox.start())

    def reset(self) -> None:
        """It does nothing wrong any more."""
        self.sandbox.faults.change({"reset": True})
