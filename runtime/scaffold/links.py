"""Walking a graph along its links."""

from collections.abc import Iterator
from typing import Any

from runtime.api import Graph


def link_of(value: Any) -> str | None:
    """The node that an input is linked to; None for a value."""
    return value[0] if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) else None


def parts_of(graph: Graph, place: str) -> tuple[str, str]:
    """(node, input) of a place as `Workflow.bind` takes it; names may have dots: `service.model.prompt`."""
    cuts = [number for number, letter in enumerate(place) if letter == "."]
    return next(
        (place[:cut], place[cut + 1 :])
        for cut in cuts
        if place[:cut] in graph and place[cut + 1 :] in graph[place[:cut]]["inputs"]
    )


def upstream(graph: Graph, node: str) -> Iterator[str]:
    """`node` and everything that it depends on, each once, the nearest first."""
    seen, waiting = {node}, [node]
    while waiting:
        current = waiting.pop(0)
        yield current
        for value in graph[current]["inputs"].values():
            giver = link_of(value)
            if giver in graph and giver not in seen:
                seen.add(giver)
                waiting.append(giver)


def takers(graph: Graph, node: str) -> Iterator[tuple[str, str]]:
    """(node, input) for everything that takes something of `node`."""
    for name, content in graph.items():
        for key, value in content["inputs"].items():
            if link_of(value) == node:
                yield name, key


def literal_behind(graph: Graph, node: str, key: str, kind: type) -> tuple[str, str] | None:
    """Where the value of an input really is: there, or in the one node of values that it is linked to.

    Values are passed on by primitives and the like: nodes that take no links themselves.
    """
    for _ in range(len(graph)):
        value = graph[node]["inputs"].get(key)
        if isinstance(value, kind) and not (kind is not bool and isinstance(value, bool)):
            return node, key
        giver = link_of(value)
        if giver is None or giver not in graph:
            return None
        inputs = graph[giver]["inputs"]
        fitting = [name for name, given in inputs.items() if isinstance(given, kind) and not isinstance(given, bool)]
        links = [name for name, given in inputs.items() if link_of(given)]
        if fitting and not links:
            return giver, fitting[0]
        if len(links) != 1 or fitting:
            return (giver, fitting[0]) if fitting else None
        node, key = giver, links[0]
    return None
