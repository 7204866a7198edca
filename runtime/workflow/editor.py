"""The editor's format: nodes with slots and widget values, links between them, subgraphs with their own.

Version 0.4 writes links as lists, version 1 and subgraphs as objects. -10 and -20 are the ids of a subgraph's own
inputs and outputs.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runtime.api import VeilrunError

ENTRY, EXIT = "-10", "-20"
SHORTEST_LINK = 5


class CannotConvert(VeilrunError):
    """The workflow cannot be brought into API format. The text names the node, the reason and what to do."""


@dataclass(frozen=True, slots=True)
class Link:
    """From slot `slot` of the node `origin`."""

    origin: str
    slot: int
    target: str
    target_slot: int


@dataclass(frozen=True)
class Node:
    """One node as it was saved. values: of its widgets, a list in their order or a mapping by name."""

    id: str
    type: str
    title: str
    mode: int
    inputs: Sequence[Mapping[str, Any]]
    outputs: Sequence[Mapping[str, Any]]
    values: Any
    properties: Mapping[str, Any] = field(default_factory=dict)

    def output_type(self, slot: int) -> str:
        """The type of an output, empty if it has none."""
        return str(self.outputs[slot].get("type", "")) if 0 <= slot < len(self.outputs) else ""


class Scope:
    """The nodes and links of the workflow, or of one subgraph. subgraphs: by id, those of the whole workflow."""

    def __init__(self, content: Mapping[str, Any], subgraphs: "dict[str, Scope]") -> None:
        self.nodes = {node.id: node for node in map(_node, _list(content, "nodes")) if node is not None}
        self.links = {number: link for number, link in map(_link, _list(content, "links"))}
        self.subgraphs = subgraphs
        self._entries = [str(one.get("name", "")) for one in _list(content, "inputs") if isinstance(one, Mapping)]
        self._by_target = {(link.target, link.target_slot): link for link in self.links.values()}

    def link_to(self, node: Node, slot: int) -> Link | None:
        """The link into an input, as the input names it; None if nothing is linked there."""
        number = node.inputs[slot].get("link") if slot < len(node.inputs) else None
        return self.links.get(str(number)) if number is not None else None

    def link_out(self, slot: int) -> Link | None:
        """The link that gives the subgraph its output `slot`."""
        return self._by_target.get((EXIT, slot))

    def is_entry(self, link: Link) -> bool:
        """Whether the link comes from an input of the subgraph."""
        return link.origin == ENTRY

    def entry_name(self, slot: int) -> str:
        """The name of the subgraph's input `slot`."""
        return self._entries[slot] if 0 <= slot < len(self._entries) else ""

    def widget_entries(self) -> list[str]:
        """The subgraph's inputs that lead to a widget inside, by name and in order."""
        return [name for slot, name in enumerate(self._entries) if self.widget_behind(slot) is not None]

    def widget_behind(self, entry: int) -> tuple[Node, str] | None:
        """The first widget that the subgraph's input `entry` leads to: its node and name."""
        for link in self.links.values():
            target = self.nodes.get(link.target)
            if (
                (link.origin, link.slot) != (ENTRY, entry)
                or target is None
                or not 0 <= link.target_slot < len(target.inputs)
            ):
                continue
            if isinstance(target.inputs[link.target_slot].get("widget"), Mapping):
                return target, str(target.inputs[link.target_slot].get("name", ""))
        return None


def scope_of(document: Mapping[str, Any]) -> Scope:
    """The workflow's own level, with its subgraphs."""
    subgraphs: dict[str, Scope] = {}
    for content in _renumbered(document):
        subgraphs[str(content.get("id"))] = Scope(content, subgraphs)
    return Scope(document, subgraphs)


def fits(one: str, other: str) -> bool:
    """Whether slots of these types may be linked: `*` is any type, several are separated by commas."""
    have, want = ({kind.strip().lower() for kind in kinds.split(",")} for kinds in (one, other))
    return bool(have & want) or not {"*", "", "0"}.isdisjoint(have | want)


def _renumbered(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The subgraphs, with new ids for nodes whose id is taken outside or in a subgraph before: the editor does so when
    it opens a workflow (deduplicateSubgraphNodeIds), and exports them by these."""
    taken = {str(node.get("id")) for node in _list(document, "nodes") if isinstance(node, Mapping)}
    last = _whole(_object(document, "state").get("lastNodeId") or document.get("last_node_id"), "last_node_id")
    for content in _list(_object(document, "definitions"), "subgraphs"):
        if not isinstance(content, Mapping):
            raise _damaged("a subgraph", content, "an object")
        new: dict[str, int] = {}
        for node in _list(content, "nodes"):
            number = str(node.get("id")) if isinstance(node, Mapping) else ""
            if number in taken:
                last += 1
                while str(last) in taken:
                    last += 1
                new[number] = last
            taken.add(str(new.get(number, number)))
        yield _with_ids(content, new) if new else content


def _with_ids(content: Mapping[str, Any], new: Mapping[str, int]) -> Mapping[str, Any]:
    def renamed(value: Any) -> Any:
        return new.get(str(value), value)

    nodes = [{**node, "id": renamed(node.get("id"))} for node in _list(content, "nodes") if isinstance(node, Mapping)]
    links = [
        {**link, "origin_id": renamed(link.get("origin_id")), "target_id": renamed(link.get("target_id"))}
        if isinstance(link, Mapping)
        else [link[0], renamed(link[1]), link[2], renamed(link[3]), *link[4:]]
        for link in _list(content, "links")
        if isinstance(link, Mapping) or (_is_list(link) and len(link) >= SHORTEST_LINK)
    ]
    return {**content, "nodes": nodes, "links": links}


def _node(content: Any) -> Node | None:
    if not isinstance(content, Mapping) or "id" not in content:
        return None
    kind = str(content.get("type", ""))
    place = f"node {content['id']} ({kind})"
    values = content.get("widgets_values")
    if values is not None and not isinstance(values, Mapping) and not _is_list(values):
        raise _damaged(f"{place}: widgets_values", values, "a list")
    return Node(
        id=str(content["id"]),
        type=kind,
        title=str(content.get("title") or kind),
        mode=_whole(content.get("mode"), f"{place}: mode"),
        inputs=[
            {**one, "name": str(one.get("name", ""))}
            for one in _list(content, "inputs", place)
            if isinstance(one, Mapping)
        ],
        outputs=[one for one in _list(content, "outputs", place) if isinstance(one, Mapping)],
        values=values if values is not None else [],
        properties=_object(content, "properties"),
    )


def _link(content: Any) -> tuple[str, Link]:
    if isinstance(content, Mapping):
        number, origin, slot = content.get("id"), content.get("origin_id"), content.get("origin_slot")
        target, target_slot = content.get("target_id"), content.get("target_slot")
    elif _is_list(content) and len(content) >= SHORTEST_LINK:
        number, origin, slot, target, target_slot = content[:SHORTEST_LINK]
    else:
        raise _damaged("a link", content, "[id, from node, output, to node, input, type]")
    place = f"link {number}"
    return str(number), Link(str(origin), _whole(slot, place), str(target), _whole(target_slot, place))


def _list(content: Mapping[str, Any], key: str, place: str = "the workflow") -> Sequence[Any]:
    value = content.get(key)
    if value is not None and not _is_list(value):
        raise _damaged(f"{place}: {key}", value, "a list")
    return value or []


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _object(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = content.get(key)
    return value if isinstance(value, Mapping) else {}


def _whole(value: Any, place: str) -> int:
    if value is not None and not isinstance(value, int):
        raise _damaged(place, value, "a whole number")
    return value or 0


def _damaged(place: str, value: Any, wanted: str) -> CannotConvert:
    return CannotConvert(f"{place} is {json.dumps(value)[:60]}, not {wanted}; in ComfyUI open it and export it again")
