"""`progress_state`, `progress` and preview frames of one prompt."""

from typing import Any

from runtime.sandbox.comfyui.sockets import Sockets

Json = dict[str, Any]


class NodeProgress:
    """How far each node of one prompt is. Every change tells of all nodes that have started so far."""

    def __init__(self, prompt_id: str, sockets: Sockets) -> None:
        self._prompt_id, self._sockets = prompt_id, sockets
        self._nodes: dict[str, Json] = {}

    def start(self, node_id: str) -> None:
        self._set(node_id, 0.0, 1.0, "running")

    def update(self, node_id: str, value: int, maximum: int, preview: tuple[bytes, int] | None = None) -> None:
        """One step done. The preview goes before `progress` to a client that reads metadata, else after it."""
        self._set(node_id, value, maximum, "running")
        client_id = self._sockets.client_id
        with_metadata = self._sockets.wants_metadata(client_id)
        if preview and with_metadata:
            self._send_preview(node_id, preview)
        step = {"value": value, "max": maximum, "prompt_id": self._prompt_id, "node": node_id}
        self._sockets.send("progress", step, client_id)
        if preview and not with_metadata:
            self._send_preview(node_id, preview)

    def finish(self, node_id: str) -> None:
        maximum = self._nodes.get(node_id, {"max": 1})["max"]
        self._set(node_id, maximum, maximum, "finished")

    def _set(self, node_id: str, value: float, maximum: float, state: str) -> None:
        self._nodes[node_id] = {"value": value, "max": maximum, "state": state, **self._place(node_id)}
        message = {"prompt_id": self._prompt_id, "nodes": self._nodes}
        self._sockets.send("progress_state", message, self._sockets.client_id)

    def _send_preview(self, node_id: str, preview: tuple[bytes, int]) -> None:
        self._sockets.send_preview(*preview, self._place(node_id), self._sockets.client_id)

    def _place(self, node_id: str) -> Json:
        return {
            "node_id": node_id,
            "prompt_id": self._prompt_id,
            "display_node_id": node_id,
            "parent_node_id": None,
            "real_node_id": node_id,
        }
