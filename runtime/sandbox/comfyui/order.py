"""In which order the nodes of a graph run: as soon as possible towards a result, not in the graph's own order."""

from collections.abc import Callable, Collection
from typing import Any

Graph = dict[str, Any]


def is_link(value: object) -> bool:
    """Whether an input's value points at another node: [node id, slot]."""
    return (
        isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], (int, float))
    )


def inputs_of(node: Graph) -> dict[str, Any]:
    """The node's inputs; {} for one that nobody checked and that has none."""
    inputs = node.get("inputs")
    return inputs if isinstance(inputs, dict) else {}


def links(node: Graph) -> dict[str, tuple[str, int]]:
    """The linked inputs of a node: input name -> (node id, slot)."""
    return {name: (value[0], value[1]) for name, value in inputs_of(node).items() if is_link(value)}


class RunOrder:
    """The nodes still to run. `next()` picks one that is ready; `done(id)` takes it off.

    cached: nodes whose result is known already: they and what only they need are left out, except output nodes.
    """

    def __init__(self, graph: Graph, cached: Collection[str], is_output: Callable[[str], bool]) -> None:
        self._graph, self._cached, self._is_output = graph, cached, is_output
        self._needs: dict[str, set[str]] = {}
        self._feeds: dict[str, list[str]] = {}

    def add(self, node_id: str) -> None:
        """Plan a node and everything above it."""
        found: list[tuple[str, str]] = []
        stack = [node_id]
        while stack:
            current = stack.pop()
            if current in self._needs:
                continue
            self._needs[current], self._feeds[current] = set(), []
            for source, _slot in links(self._graph[current]).values():
                if source not in self._cached:
                    stack.append(source)
                    found.append((source, current))
        for source, target in found:
            if source not in self._needs[target]:
                self._needs[target].add(source)
                self._feeds[source].append(target)

    def __bool__(self) -> bool:
        return bool(self._needs)

    def next(self) -> str:
        """A ready node, the one nearest to an output first: an output, what feeds one, what feeds that, any."""
        ready = [node_id for node_id, needs in self._needs.items() if not needs]
        nearness = (self._is_output, self._feeds_output, self._feeds_feeder)
        for is_near in nearness:
            for node_id in ready:
                if is_near(node_id):
                    return node_id
        return ready[0]

    def done(self, node_id: str) -> None:
        del self._needs[node_id]
        for target in self._feeds.pop(node_id):
            self._needs[target].discard(node_id)

    def _feeds_output(self, node_id: str) -> bool:
        return any(self._is_output(target) for target in self._feeds[node_id])

    def _feeds_feeder(self, node_id: str) -> bool:
        return any(self._feeds_output(target) for target in self._feeds[node_id])
