"""Whether two graphs are the same but for the ids of their nodes."""

import json
from collections.abc import Mapping
from typing import Any

from runtime.api import Graph

Naming = dict[str, str]
"""Node id of one graph -> id of the same node in the other."""


def same_but_for_ids(ours: Graph, theirs: Graph) -> Naming | None:
    """How the nodes of `ours` are called in `theirs`, or None if the graphs differ in a class, a value or a link."""
    if len(ours) != len(theirs):
        return None
    return _extended({}, list(ours), ours, theirs)


def _extended(naming: Naming, left: list[str], ours: Graph, theirs: Graph) -> Naming | None:
    if not left:
        return naming if all(_links(ours[a], naming) == _links(theirs[b], {}) for a, b in naming.items()) else None
    taken = set(naming.values())
    for candidate in theirs:
        if candidate not in taken and _shape(ours[left[0]]) == _shape(theirs[candidate]):
            found = _extended({**naming, left[0]: candidate}, left[1:], ours, theirs)
            if found is not None:
                return found
    return None


def _shape(node: Mapping[str, Any]) -> str:
    """Class, values and names of linked inputs; compared as JSON, so that 1 and 1.0 and true differ."""
    inputs = {name: "link" if isinstance(value, list) else json.dumps(value) for name, value in node["inputs"].items()}
    return json.dumps([node["class_type"], inputs], sort_keys=True)


def _links(node: Mapping[str, Any], naming: Naming) -> dict[str, tuple[str, int]]:
    return {
        name: (naming.get(value[0], value[0]), value[1])
        for name, value in node["inputs"].items()
        if isinstance(value, list)
    }
