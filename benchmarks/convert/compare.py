"""One workflow converted by us, beside what the front end exports of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from runtime.api import Graph
from runtime.workflow import CannotConvert, convert
from runtime.workflow.convert import MUTED
from runtime.workflow.description import DYNAMIC_CHOICE, Descriptions, inputs_of

Verdict = Literal["equal", "differs", "not described"]
BUTTONS = ("upload", "audioUI", "preview")
"""Inputs of the editor alone."""

EDITORS = ("Note", "MarkdownNote", "Reroute", "PrimitiveNode")


@dataclass(frozen=True, slots=True)
class Comparison:
    """verdict: `not described` if neither side can know, as the node descriptions are older than the workflow."""

    verdict: Verdict
    reasons: tuple[str, ...] = ()


def compare(document: Mapping[str, Any], exported: Graph | str, descriptions: Descriptions) -> Comparison:
    """Ids, classes and inputs are compared, without inputs that no description has: the editor's own players and
    buttons, which another version of it sends and the server does not read."""
    unknown = tuple(sorted(set(_not_described(document, descriptions))))
    if unknown:
        return Comparison("not described", unknown)
    if isinstance(exported, str):
        return Comparison("differs", (f"the front end did not export it: {exported}",))
    try:
        ours = _read(convert(document, descriptions), descriptions)
    except CannotConvert as error:
        return Comparison("differs", (str(error),))
    theirs = _read(exported, descriptions)
    reasons = tuple(_differences(theirs, ours))
    return Comparison("differs" if reasons else "equal", reasons)


def _read(graph: Graph, descriptions: Descriptions) -> Graph:
    """The graph with what a server reads of it."""
    read: Graph = {}
    for name, node in graph.items():
        kind = node.get("class_type", "")  # the front end leaves it out of a node that it does not know
        known = {key for key, _ in inputs_of(descriptions.get(kind, {}))}
        inputs = {key: value for key, value in node["inputs"].items() if key.partition(".")[0] in known or key in known}
        read[name] = {"class_type": kind, "inputs": inputs}
    return read


def _differences(theirs: Graph, ours: Graph) -> Iterator[str]:
    for name in sorted(set(theirs) | set(ours)):
        if name not in ours or name not in theirs:
            node = ours.get(name) or theirs[name]
            yield f"{name} ({node['class_type']}) is only in {'ours' if name in ours else 'theirs'}"
            continue
        a, b = theirs[name]["inputs"], ours[name]["inputs"]
        for key in sorted(set(a) | set(b)):
            if a.get(key) != b.get(key) or (key in a) != (key in b):
                yield f"{name} ({ours[name]['class_type']}) {key}: theirs {_short(a, key)}, ours {_short(b, key)}"


def _short(inputs: Mapping[str, Any], key: str) -> str:
    return repr(inputs[key])[:60] if key in inputs else "none"


def _not_described(document: Mapping[str, Any], descriptions: Descriptions) -> Iterator[str]:
    subgraphs = (document.get("definitions") or {}).get("subgraphs") or []
    own = {subgraph["id"] for subgraph in subgraphs} | set(EDITORS)
    for scope in (document, *subgraphs):
        for node in scope["nodes"]:
            kind = node["type"]
            if kind in own or node.get("mode") == MUTED:
                continue
            if kind not in descriptions:
                yield kind
                continue
            yield from (f"{kind}.{what}" for what in _newer(node, descriptions[kind]))


def _newer(node: Mapping[str, Any], entry: Mapping[str, Any]) -> Iterator[str]:
    """Inputs and options of a saved node that its description does not have."""
    specs = dict(inputs_of(entry))
    listed = {str(given.get("name")) for given in node.get("inputs") or []}
    for name in listed:
        if name not in BUTTONS and name.partition(".")[0] not in specs and name not in specs:
            yield name
    values = node.get("widgets_values")
    for name, spec in specs.items():
        if spec[0] == DYNAMIC_CHOICE and isinstance(values, list):
            keys = [choice["key"] for choice in spec[1]["options"]]
            if keys and not any(value in keys for value in values if isinstance(value, str | int)):
                yield f"{name} with an option that is none of its {len(keys)}"
