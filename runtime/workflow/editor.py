"""The editor's format: nodes with slots and widget values, links between them, subgraphs with their own.

Version 0.4 writes links as lists, version 1 and subgraphs as objects. -10 and -20 are the ids of a subgraph's own
inputs and outputs.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

ENTRY, EXIT = "-10", "-20"


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
        self.nodes = {node.id: node for node in map(_node, content.get("nodes") or []) if node is not None}
        self.links = {number: link for number, link in map(_link, content.get("links") or [])}
        self.subgraphs = subgraphs
        self._entries = [str(one.get("name", "")) for one in content.get("inputs") or [] if isinstance(one, Mapping)]
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
            if (link.origin, link.slot) != (ENTRY, entry) or target is None or link.target_slot >= len(target.inputs):
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
    taken = {str(node.get("id")) for node in document.get("nodes") or [] if isinstance(node, Mapping)}
    last = int((document.get("state") or {}).get("lastNodeId") or document.get("last_node_id") or 0)
    for content in (document.get("definitions") or {}).get("subgraphs") or []:
        new: dict[str, int] = {}
        for node in content.get("nodes") or []:
            number = str(node.get("id"))
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

    nodes = [{**node, "id": renamed(node.get("id"))} for node in content.get("nodes") or []]
    links = [
        {**link, "origin_id": renamed(link.get("origin_id")), "target_id": renamed(link.get("target_id"))}
        if isinstance(link, Mapping)
        else [link[0], renamed(link[1]), link[2], renamed(link[3]), *link[4:]]
        for link in content.get("links") or []
    ]
    return {**content, "nodes": nodes, "links": links}


def _node(content: Any) -> Node | None:
    if not isinstance(content, Mapping) or "id" not in content:
        return None
    kind = str(content.get("type", ""))
    return Node(
        id=str(content["id"]),
        type=kind,
        title=str(content.get("title") or kind),
        mode=int(content.get("mode") or 0),
        inputs=[one for one in content.get("inputs") or [] if isinstance(one, Mapping)],
        outputs=[one for one in content.get("outputs") or [] if isinstance(one, Mapping)],
        values=content.get("widgets_values") if content.get("widgets_values") is not None else [],
        properties=content.get("properties") or {},
    )


def _link(content: Any) -> tuple[str, Link]:
    if isinstance(content, Mapping):
        number, origin, slot = content.get("id"), content.get("origin_id"), content.get("origin_slot")
        target, target_slot = content.get("target_id"), content.get("target_slot")
    else:
        number, origin, slot, target, target_slot = (*content, None, None, None, None, None)[:5]
    return str(number), Link(str(origin), int(slot or 0), str(target), int(target_slot or 0))
