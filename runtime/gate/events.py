"""The event socket, seen through the gate: own prompts and the length of the queue, nothing else.

ComfyUI sends everybody what has no client id, and its extensions send what they like (comfyui.md: `/ws`). Sampler
previews and `progress_state`, which repeats every node each time, are left out: nobody reads them, and they would
compete with the results for the circuit.
"""

import json
import struct
from typing import Any

from runtime.gate.files import files_of_outputs
from runtime.gate.ledger import Ledger

PASSING = frozenset(
    {
        "status", "feature_flags", "execution_start", "execution_cached", "executing", "progress", "executed",
        "execution_success", "execution_error", "execution_interrupted",
    }
)  # fmt: skip

IMAGE_FRAME, PNG = 1, 2
FROM_CLIENT_BYTES = 16 * 1024


class EventFilter:
    """What passes on one socket, in the order in which it comes."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._runs_ours = False

    def text(self, frame: str) -> str | None:
        """The frame as it is passed on, or None. What a prompt of ours wrote is noted in the ledger."""
        event = _parsed(frame)
        if event is None or event.get("type") not in PASSING:
            return None
        data = event.get("data")
        content = data if isinstance(data, dict) else {}
        prompt_id = content.get("prompt_id")
        if prompt_id is None:
            return frame
        is_ours = self._ledger.owns(prompt_id)
        if event["type"] in ("execution_start", "executing"):
            self._runs_ours = is_ours
        if is_ours and event["type"] == "executed":
            self._ledger.make(prompt_id, files_of_outputs(content.get("output")))
        return frame if is_ours else None

    def binary(self, frame: bytes) -> bytes | None:
        """A whole picture of a prompt of ours (SaveImageWebsocket sends PNG), or None."""
        if not self._runs_ours or len(frame) < 8:
            return None
        kind, image_format = struct.unpack(">II", frame[:8])
        return frame if (kind, image_format) == (IMAGE_FRAME, PNG) else None

    @staticmethod
    def from_client(frame: str | bytes) -> str | None:
        """What the client may say: which features it knows."""
        if isinstance(frame, bytes) or len(frame) > FROM_CLIENT_BYTES:
            return None
        event = _parsed(frame)
        return frame if event is not None and event.get("type") == "feature_flags" else None


def _parsed(frame: str) -> dict[str, Any] | None:
    try:
        event = json.loads(frame)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None
