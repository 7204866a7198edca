"""Frames of the WebSocket, as far as they say how a prompt gets on."""

import json
from dataclasses import dataclass, field
from typing import Any

from runtime.comfyui.answers import OutputFile, files_of

_SKIPPED = '{"type": "progress_state"'
"""It repeats every finished node each time (69 kB in one small run) and says nothing that the others do not."""

FRAME = "frame"
"""The kind of an event that stands for a binary frame."""


@dataclass(frozen=True, slots=True)
class Event:
    """One frame. `kind` is a text frame's type; `status` goes to everyone and has no prompt_id.

    node: None with kind `executing` means that the prompt is over and its history written. step, steps: of `progress`.
    nodes: of `execution_cached`. files: of `executed`, what the node wrote.
    content: of `frame`, a binary frame as it came; prompt_id and node are then those of the last `executing`.
    """

    kind: str
    prompt_id: str | None = None
    node: str | None = None
    step: float = 0
    steps: float = 0
    nodes: frozenset[str] = frozenset()
    files: tuple[OutputFile, ...] = ()
    content: bytes = field(default=b"", repr=False)

    @property
    def is_end(self) -> bool:
        """Whether it hints that the prompt is over. `execution_success` does not: it comes before the history entry."""
        ended = self.kind == "executing" and self.node is None
        return ended or self.kind in ("execution_error", "execution_interrupted")


def parse_event(frame: str) -> Event | None:
    """The event in a text frame, or None for `progress_state` and whatever is not in ComfyUI's shape."""
    if frame.startswith(_SKIPPED):
        return None
    try:
        message = json.loads(frame)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict) or not isinstance(message.get("data"), dict):
        return None
    kind, content = str(message.get("type", "")), message["data"]
    node = _text(content.get("node"))
    return Event(
        kind=kind,
        prompt_id=_text(content.get("prompt_id")),
        node=node,
        step=_number(content.get("value")),
        steps=_number(content.get("max")),
        nodes=frozenset(map(str, content["nodes"])) if isinstance(content.get("nodes"), list) else frozenset(),
        files=_files(node, content.get("output")) if kind == "executed" else (),
    )


def _files(node: str | None, output: Any) -> tuple[OutputFile, ...]:
    return files_of({node: output}) if node is not None and isinstance(output, dict) else ()


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _number(value: Any) -> float:
    is_sane = isinstance(value, int | float) and abs(value) < 2**53  # NaN is below nothing
    return float(value) if is_sane else 0.0
