"""The event socket, seen through the gate: own prompts and the length of the queue, nothing else.

ComfyUI sends everybody what has no client id, and its extensions send what they like. Sampler
previews and `progress_state`, which repeats every node each time, are left out: nobody reads them, and they would
compete with the results for the circuit.
"""

import json
import struct
from typing import Any

from runtime.gate.ledger import Ledger
from runtime.gate.results import Results, Run, cached_nodes, started_at

PASSING = frozenset(
    {
        "status", "feature_flags", "execution_start", "execution_cached", "executing", "progress", "executed",
        "execution_success", "execution_error", "execution_interrupted",
    }
)  # fmt: skip

WITHOUT_ID = frozenset({"status", "feature_flags", "executing"})
"""What the server tells without a prompt's id. `executing` so only right after the start of a socket, to its client."""

IMAGE_FRAME, PNG = 1, 2
FROM_CLIENT_BYTES = 16 * 1024


class EventFilter:
    """What passes on one socket, in the order in which it comes."""

    def __init__(self, ledger: Ledger, results: Results) -> None:
        self._ledger, self._results = ledger, results
        self._runs_ours = False
        self._run: Run | None = None

    def text(self, frame: str) -> str | None:
        """The frame as it is passed on, or None. What a prompt of ours wrote is noted in the ledger."""
        event = _parsed(frame)
        kind, data = (event.get("type"), event.get("data")) if event is not None else (None, None)
        content = data if isinstance(data, dict) else {}
        prompt_id = content.get("prompt_id")
        if prompt_id is None:
            return frame if kind in WITHOUT_ID else None
        is_ours = self._ledger.owns(prompt_id)
        if kind in ("execution_start", "executing", "progress_state"):
            self._runs_ours = is_ours and not _is_end(content)
        if kind not in PASSING or not is_ours:
            return None
        if kind == "execution_cached":
            self._run = Run(prompt_id, started_at(content), cached_nodes(content))
        elif kind == "executed":
            self._note(prompt_id, str(content.get("node")), content.get("output"))
        return frame

    def _note(self, prompt_id: str, node: str, output: Any) -> None:
        if self._run is not None and self._run.prompt_id == prompt_id:
            self._results.note(self._run, node, output)
        else:
            self._results.show(prompt_id, output)

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


def _is_end(content: dict[str, Any]) -> bool:
    """Whether it is the `executing` that ends a prompt. What comes then, until the next begins, is somebody else's."""
    return "node" in content and content["node"] is None


def _parsed(frame: str) -> dict[str, Any] | None:
    try:
        event = json.loads(frame)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("type"), str) else None
