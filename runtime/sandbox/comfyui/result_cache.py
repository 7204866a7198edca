"""What nodes gave, kept from one prompt to the next: the same node with the same inputs is not run again."""

import hashlib
import json
import uuid
from dataclasses import dataclass
from typing import Any

from runtime.sandbox.comfyui.order import Graph, inputs_of, is_link
from runtime.sandbox.comfyui.storage import Storage

ALWAYS_RUN = frozenset({"SaveImageWebsocket"})


@dataclass(frozen=True, slots=True)
class NodeResult:
    """outputs: one value per slot. shown: what history lists under the node, None for a node that shows nothing."""

    outputs: tuple[Any, ...] = ()
    shown: dict[str, Any] | None = None


class ResultCache:
    """Results by what produced them: class, literals, and the same of everything above. File names are not checked."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._results: dict[str, NodeResult] = {}
        self._keys: dict[str, str] = {}

    def open_prompt(self, graph: Graph) -> None:
        """Turn to `graph`: results that none of its nodes can use are dropped, as the real server does."""
        self._keys = {}
        for node_id in graph:
            self._key(graph, node_id)
        wanted = set(self._keys.values())
        self._results = {key: result for key, result in self._results.items() if key in wanted}

    def get(self, node_id: str) -> NodeResult | None:
        return self._results.get(self._keys[node_id])

    def put(self, node_id: str, result: NodeResult) -> None:
        self._results[self._keys[node_id]] = result

    def clear(self) -> None:
        self._results = {}

    def _key(self, graph: Graph, node_id: str) -> str:
        if node_id not in self._keys:
            self._keys[node_id] = "open"  # closes a cycle in a part that no output needs
            node = graph.get(node_id, {"class_type": uuid.uuid4().hex})
            said: list[Any] = [node["class_type"], self._change_mark(node)]
            for name, value in sorted(inputs_of(node).items()):
                said.append([name, "link", self._key(graph, value[0]), value[1]] if is_link(value) else [name, value])
            text = json.dumps(said, sort_keys=True)
            self._keys[node_id] = hashlib.sha256(text.encode()).hexdigest()
        return self._keys[node_id]

    def _change_mark(self, node: Graph) -> str:
        """What makes a node run again though its inputs are the same: the bytes of the file it reads."""
        if node["class_type"] in ALWAYS_RUN:
            return uuid.uuid4().hex
        if node["class_type"] != "LoadImage":
            return ""
        try:
            return hashlib.sha256(self._storage.input_path(str(inputs_of(node)["image"])).read_bytes()).hexdigest()
        except (OSError, KeyError):
            return uuid.uuid4().hex
