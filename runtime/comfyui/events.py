"""Frames of the WebSocket, as far as they say how a prompt gets on."""

import json
from dataclasses import dataclass
from typing import Any

_SKIPPED = '{"type": "progress_state"'
"""It repeats every finished node each time (69 kB in one small run) and says nothing that the others do not."""


@dataclass(frozen=True, slots=True)
class Event:
    """One text frame. `kind` is its type; `status` goes to everyone and has no prompt_id.

    node: None with kind `executing` means that the prompt is over and its history written. step, steps: of `progress`.
    nodes: of `execution_cached`.
    """

    kind: str
    prompt_id: str | None = None
    node: str | None = None
    step: float = 0
    steps: float = 0
    nodes: frozenset[str] = frozenset()

    @property
    def is_end(self) -> bool:
        """Whether it hints that the prompt is over. `execution_success` does not: it comes before the history entry."""
        ended = self.kind == "executing" and self.node is None
        return ended or self.kind in ("execution_error", "execution_interrupted")


def parse_event(frame: str | bytes) -> Event | None:
    """The event in a frame, or None for previews, `progress_state` and whatever is not in ComfyUI's shape."""
    if isinstance(frame, bytes) or frame.startswith(_SKIPPED):
        return None
    try:
        message = json.loads(frame)
    except ValueError:
        return None
    if not isinstance(message, dict) or not isinstance(message.get("data"), dict):
        return None
    content = message["data"]
    return Event(
        kind=str(message.get("type", "")),
        prompt_id=_text(content.get("prompt_id")),
        node=_text(content.get("node")),
        step=_number(content.get("value")),
        steps=_number(content.get("max")),
        nodes=frozenset(map(str, content["nodes"])) if isinstance(content.get("nodes"), list) else frozenset(),
    )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
