"""From the editor's format to the API's: what ComfyUI's front end does when it queues a workflow (graphToPrompt).

Muted nodes are left out, bypassed ones are passed through by type; notes say nothing; reroutes and primitives are what
they lead to; a subgraph is laid out flat, its nodes named `outer:inner`. An input with no source left is left out too.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from runtime.api import Graph
from runtime.workflow.description import Descriptions, UnknownOption, inputs_of, laid_out
from runtime.workflow.editor import CannotConvert, Link, Node, Scope, fits, scope_of

MUTED, BYPASSED = 2, 4
NOTES = ("Note", "MarkdownNote")
PRIMITIVE, REROUTE = "PrimitiveNode", "Reroute"
MOST_NESTED = 32

Source: TypeAlias = "tuple[str, int] | Literal_ | None"
"""Where an input's value comes from: (node id, slot), a value, or nowhere."""


@dataclass(frozen=True, slots=True)
class Literal_:
    """A value in the place of a link: of a primitive, or of a subgraph's own widget."""

    value: Any


@dataclass(frozen=True)
class _Place:
    """One level: the scope whose nodes these are, and the subgraph node that stands for it one level up."""

    scope: Scope
    prefix: str = ""
    node: Node | None = None
    outer: "_Place | None" = None

    def name(self, node: Node) -> str:
        return f"{self.prefix}{node.id}"


def convert(document: Mapping[str, Any], descriptions: Descriptions) -> Graph:
    """The graph in API format, with titles in `_meta` as the editor exports it.

    descriptions: of every node class that is used, see `shipped_descriptions`.

    Raises: CannotConvert.
    """
    return _Converter(document, descriptions).graph()


def left_out(document: Mapping[str, Any]) -> list[str]:
    """What of the workflow is not in the graph, one line each: muted and bypassed nodes, notes."""
    scope = scope_of(document)
    told = {MUTED: "muted: left out", BYPASSED: "bypassed: passed through"}
    found = []
    for node in scope.nodes.values():
        if node.type in NOTES:
            found.append(f"{node.id} {node.title}: a note")
        elif node.mode in told:
            found.append(f"{node.id} {node.title}: {told[node.mode]}")
    return found


class _Converter:
    def __init__(self, document: Mapping[str, Any], descriptions: Descriptions) -> None:
        self._descriptions = descriptions
        self._top = _Place(scope_of(document))
        self._subgraphs = self._top.scope.subgraphs

    def graph(self) -> Graph:
        graph: Graph = {}
        for place, node in self._leaves(self._top, 0):
            graph[place.name(node)] = {
                "inputs": self._inputs(place, node),
                "class_type": node.type,
                "_meta": {"title": node.title},
            }
        for content in graph.values():
            content["inputs"] = {
                key: value
                for key, value in content["inputs"].items()
                if not (isinstance(value, _Linked) and value.node not in graph)
            }
        for content in graph.values():
            for key, value in content["inputs"].items():
                if isinstance(value, _Linked):
                    content["inputs"][key] = [value.node, value.slot]
        if not graph:
            raise CannotConvert("no node of this workflow is active: unmute what is to run, and export it again")
        return graph

    def _leaves(self, place: _Place, depth: int) -> Iterator[tuple[_Place, Node]]:
        if depth > MOST_NESTED:
            raise CannotConvert("its subgraphs are nested too deeply, or in each other; unpack them in ComfyUI")
        for node in place.scope.nodes.values():
            if node.mode in (MUTED, BYPASSED) or node.type in (*NOTES, PRIMITIVE, REROUTE):
                continue
            if node.type in self._subgraphs:
                yield from self._leaves(self._inside(place, node), depth + 1)
            else:
                yield place, node

    def _inside(self, place: _Place, node: Node) -> _Place:
        return _Place(self._subgraphs[node.type], f"{place.name(node)}:", node, place)

    def _inputs(self, place: _Place, node: Node) -> dict[str, Any]:
        values = self._widget_values(place, node)
        for slot, given in enumerate(node.inputs):
            link = place.scope.link_to(node, slot)
            if link is None:
                continue
            source = self._origin(place, link, str(given.get("type", "*")), set())
            if isinstance(source, Literal_):
                values[given["name"]] = source.value
            elif source is not None:
                values[given["name"]] = _Linked(*source)
            else:
                # an input that was a widget keeps the widget's value, another has none
                values = {key: value for key, value in values.items() if key != given["name"] or "widget" in given}
        return values

    def _widget_values(self, place: _Place, node: Node) -> dict[str, Any]:
        entry = self._descriptions.get(node.type)
        if isinstance(node.values, dict):
            known = {name for name, _ in inputs_of(entry)} if entry else set(node.values)
            return {name: _literal(value) for name, value in node.values.items() if name in known}
        if entry is None:
            return self._by_input_names(place, node)
        grown = [str(given.get("name", "")) for given in node.inputs]
        try:
            values = laid_out(entry, node.values, grown)
        except UnknownOption as error:
            raise CannotConvert(
                f"node {place.name(node)} ({node.title}) is newer than the description of {node.type} here: {error};"
                f" name the ComfyUI that it is from with --backend, or its /object_info with --catalog"
            ) from error
        return {name: _literal(value) for name, value in values.items()}

    def _by_input_names(self, place: _Place, node: Node) -> dict[str, Any]:
        """The values of a class that is not described, as far as the workflow itself names its widgets."""
        widgets = [given["widget"] for given in node.inputs if isinstance(given.get("widget"), dict)]
        names = [str(widget.get("name", "")) for widget in widgets]
        values = [value for value in node.values if value not in ("fixed", "increment", "decrement", "randomize")]
        if len(names) != len(values):
            raise CannotConvert(
                f"node {place.name(node)} ({node.title}) is a {node.type}, which is not described here: name a ComfyUI"
                f" that has it with --backend, or its /object_info with --catalog"
            )
        return {name: _literal(value) for name, value in zip(names, values, strict=True)}

    def _origin(self, place: _Place, link: Link, wanted: str, seen: set[tuple[str, int]]) -> Source:
        """What is at the other end of a link, behind everything that is not sent itself."""
        if place.scope.is_entry(link):
            return self._through_entry(place, link, wanted, seen)
        node = place.scope.nodes.get(link.origin)
        if node is None or node.mode == MUTED:
            return None
        mark = (place.name(node), link.slot)
        if mark in seen:
            return None
        seen.add(mark)
        if node.mode == BYPASSED:
            return self._through_bypassed(place, node, link.slot, wanted, seen)
        if node.type == REROUTE:
            onward = place.scope.link_to(node, 0)
            return self._origin(place, onward, wanted, seen) if onward else None
        if node.type == PRIMITIVE:
            values = node.values
            return Literal_(values[0]) if isinstance(values, list) and values else None
        if node.type in self._subgraphs:
            inside = self._inside(place, node)
            onward = inside.scope.link_out(link.slot)
            return self._origin(inside, onward, wanted, seen) if onward else None
        return place.name(node), link.slot

    def _through_entry(self, place: _Place, link: Link, wanted: str, seen: set[tuple[str, int]]) -> Source:
        """Out of a subgraph, to what its node is linked to; else to the value of the node's own widget."""
        node, outer = place.node, place.outer
        if node is None or outer is None:
            return None
        name = place.scope.entry_name(link.slot)
        slot = next((number for number, one in enumerate(node.inputs) if one.get("name") == name), None)
        onward = outer.scope.link_to(node, slot) if slot is not None else None
        if onward is not None:
            return self._origin(outer, onward, wanted, seen)
        return self._promoted(place, node, name) or self._inner(place, link.slot)

    def _promoted(self, place: _Place, node: Node, name: str) -> Source:
        """The value that a subgraph's node has for an input that is a widget inside."""
        if isinstance(node.values, Mapping):
            return Literal_(node.values[name]) if name in node.values else None
        names = place.scope.widget_entries()
        if name in names and names.index(name) < len(node.values):
            return Literal_(node.values[names.index(name)])
        return None

    def _inner(self, place: _Place, entry: int) -> Source:
        """The value of the first widget inside that a subgraph's input leads to: its other targets have it too."""
        found = place.scope.widget_behind(entry)
        if found is None:
            return None
        target, name = found
        values = {} if target.type in self._subgraphs else self._widget_values(place, target)
        return Literal_(values[name]) if name in values else None

    def _through_bypassed(
        self, place: _Place, node: Node, slot: int, wanted: str, seen: set[tuple[str, int]]
    ) -> Source:
        """As getBypassSlotIndex: the input opposite the output if it fits, else one of its type, else one that fits."""
        kinds = [str(given.get("type", "*")) for given in node.inputs]
        kind = node.output_type(slot) or wanted
        opposite = [slot] if slot < len(kinds) and fits(kinds[slot], kind) else []
        same = [number for number, one in enumerate(kinds) if one == kind]
        fitting = [number for number, one in enumerate(kinds) if fits(one, kind)]
        for number in (opposite + same + fitting)[:1]:
            onward = place.scope.link_to(node, number)
            return self._origin(place, onward, wanted, seen) if onward else None
        return None


@dataclass(frozen=True, slots=True)
class _Linked:
    node: str
    slot: int


def _literal(value: Any) -> Any:
    """A list that is no link is written so."""
    return {"__value__": value} if isinstance(value, list) else value
