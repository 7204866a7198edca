"""Whose work a file is that ComfyUI names as a result: the prompt's own, or only shown by it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from runtime.gate.files import files_of_outputs
from runtime.gate.folders import Folders
from runtime.gate.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Run:
    """What ComfyUI told of a run when it began.

    started_at: seconds since the epoch, None if it did not say. cached: nodes whose results it had from an earlier run,
    of whomever.
    """

    prompt_id: str
    started_at: float | None = None
    cached: frozenset[str] = frozenset()

    @classmethod
    def of_history(cls, prompt_id: str, entry: Mapping[str, Any]) -> "Run":
        """From the messages of a history entry."""
        told = {kind: content for kind, content in _messages(entry)}
        start, cached = told.get("execution_start", {}), told.get("execution_cached", {})
        return cls(prompt_id, started_at(start), cached_nodes(cached))


def started_at(content: Mapping[str, Any]) -> float | None:
    """The time in an `execution_start` or `execution_cached`, which have it in milliseconds."""
    stamp = content.get("timestamp")
    return stamp / 1000 if isinstance(stamp, int | float) else None


def cached_nodes(content: Mapping[str, Any]) -> frozenset[str]:
    """The nodes in an `execution_cached`."""
    nodes = content.get("nodes")
    return frozenset(map(str, nodes)) if isinstance(nodes, list) else frozenset()


class Results:
    """Notes in the ledger what prompts of ours made."""

    def __init__(self, ledger: Ledger, folders: Folders) -> None:
        self._ledger, self._folders = ledger, folders

    def note(self, run: Run, node: str, output: Any) -> None:
        """A node told of its output. What the cache answered, or was there before the run, is not the prompt's own."""
        for ref in files_of_outputs(output):
            is_old = run.started_at is not None and self._folders.is_older(ref, run.started_at)
            self._ledger.make(run.prompt_id, [ref], is_new=node not in run.cached and not is_old)

    def show(self, prompt_id: str, output: Any) -> None:
        """The same for a run whose beginning was not heard: its history says later what is its own."""
        self._ledger.make(prompt_id, files_of_outputs(output), is_new=False)

    def note_history(self, prompt_id: str, entry: Mapping[str, Any]) -> None:
        """All that a history entry names."""
        run, outputs = Run.of_history(prompt_id, entry), entry.get("outputs")
        for node, output in outputs.items() if isinstance(outputs, dict) else ():
            self.note(run, node, output)


def _messages(entry: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    status = entry.get("status")
    for kind, content in (status.get("messages") or ()) if isinstance(status, dict) else ():
        if isinstance(content, dict):
            yield kind, content
