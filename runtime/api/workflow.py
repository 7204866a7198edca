"""A ComfyUI graph in API format, with names for the places that change from one invocation to the next."""

import copy
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from runtime.api.errors import DeclarationError
from runtime.api.parameters import Scalar

Kind: TypeAlias = Literal["image", "video"]
Graph: TypeAlias = dict[str, dict[str, Any]]
"""Node id -> `{"class_type": str, "inputs": {name: value or [node id, slot]}}`, as POST /prompt takes it."""

Target: TypeAlias = tuple[str, str]
"""One place in a graph: (node id, input name)."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file the GPU host must have: `folder` is below ComfyUI's `models/`, `size_gb` in GiB."""

    name: str
    folder: str
    size_gb: float
    link: str
    licence: str
    licence_link: str = ""


@dataclass(frozen=True)
class Workflow:
    """A graph with its bindings: parameter name -> the places that receive the value.

    bind: each value is `"node.input"`, a list of such places that all receive the same value, or, for a parameter of
    several components, the places separated by commas: `"latent.width,latent.height"`.
    output: the node whose files are the result; `kind` is what they are.
    """

    graph: Graph
    bind: Mapping[str, str | Sequence[str]]
    output: str
    kind: Kind = "image"
    models: tuple[ModelFile, ...] = ()
    source: str = "workflow"
    targets: Mapping[str, tuple[tuple[Target, ...], ...]] = field(init=False)

    def __post_init__(self) -> None:
        check_graph(self.graph, self.source)
        if self.kind not in get_args(Kind):
            raise DeclarationError(f"{self.source}: kind is {' or '.join(get_args(Kind))}, not {self.kind!r}")
        if self.output not in self.graph:
            raise DeclarationError(f"{self.source}: output {self.output!r} is no node; it has {_listed(self.graph)}")
        targets = {name: _targets(place, name, self.graph, self.source) for name, place in self.bind.items()}
        object.__setattr__(self, "targets", targets)

    @classmethod
    def load(
        cls,
        file: str | Path,
        *,
        bind: Mapping[str, str | Sequence[str]],
        output: str,
        kind: Kind = "image",
        models: tuple[ModelFile, ...] = (),
    ) -> "Workflow":
        """The workflow in `file`, a JSON graph in API format beside the module that calls this.

        Raises: DeclarationError, naming the file and the place, if it cannot be read or a binding leads nowhere.
        """
        path = Path(sys._getframe(1).f_globals.get("__file__", ".")).parent / file
        try:
            graph = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DeclarationError(f"{path.name}: cannot be read as a JSON graph: {error}") from error
        return cls(graph=graph, bind=bind, output=output, kind=kind, models=models, source=path.name)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of graph and bindings, hex: two workflows with the same digest do the same."""
        content = {"graph": self.graph, "bind": self.bind, "output": self.output}
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=list).encode()).hexdigest()

    @cached_property
    def node_classes(self) -> frozenset[str]:
        """The node classes a backend must offer."""
        return frozenset(node["class_type"] for node in self.graph.values())

    def fill(self, values: Mapping[str, Sequence[Scalar]]) -> Graph:
        """A copy of the graph with `values` (parameter name -> components) put into their places.

        A name without a binding is left to the plugin's `build_workflow` hook.
        """
        graph = copy.deepcopy(self.graph)
        for name, components in values.items():
            for places in self.targets.get(name, ()):
                if len(places) != len(components):
                    raise DeclarationError(
                        f"{self.source}: {name} has {len(components)} values for {len(places)} places in its binding"
                    )
                for (node, key), component in zip(places, components, strict=True):
                    graph[node]["inputs"][key] = component
        return graph


def check_graph(graph: Graph, source: str) -> None:
    """See that `graph` has the shape of API format; `source` names it. Raises: DeclarationError."""
    if not isinstance(graph, dict) or not graph:
        raise DeclarationError(f"{source}: a graph is a JSON object of nodes, and has at least one")
    if "nodes" in graph and "links" in graph:
        raise DeclarationError(f"{source}: this is the editor's format; in ComfyUI choose Workflow > Export (API)")
    for node_id, node in graph.items():
        if not isinstance(node_id, str):
            raise DeclarationError(f"{source}: node id {node_id!r} must be text, like '{node_id}'")
        if not isinstance(node, dict) or not isinstance(node.get("class_type"), str):
            raise DeclarationError(f"{source}: node {node_id!r} has no class_type")
        if not isinstance(node.get("inputs"), dict):
            raise DeclarationError(f"{source}: node {node_id!r} has no inputs object")
        for key, value in node["inputs"].items():
            if isinstance(value, list) and not _is_link(value, graph):
                raise DeclarationError(
                    f"{source}: {node_id}.{key} links to {value!r}; a link is [node id, slot] of a node in this graph"
                )


def _is_link(value: list[Any], graph: Graph) -> bool:
    match value:
        case [str(node), int(slot)] if slot >= 0 and slot is not True and slot is not False:
            return node in graph
    return False


def _targets(place: str | Sequence[str], name: str, graph: Graph, source: str) -> tuple[tuple[Target, ...], ...]:
    alternatives = [place] if isinstance(place, str) else place
    if not isinstance(alternatives, Sequence) or not all(isinstance(part, str) for part in alternatives):
        raise DeclarationError(f"{source}: bind {name!r} takes 'node.input' or a list of such places, not {place!r}")
    return tuple(
        tuple(_target(part.strip(), name, graph, source) for part in alternative.split(","))
        for alternative in alternatives
    )


def _target(place: str, name: str, graph: Graph, source: str) -> Target:
    parts = place.split(".")
    for cut in range(1, len(parts)):  # ids and names of inputs may have dots of their own: "resize.mode.width"
        node, key = ".".join(parts[:cut]), ".".join(parts[cut:])
        if node in graph and key in graph[node]["inputs"]:
            return node, key
    node, _, key = place.rpartition(".")
    if node not in graph:
        raise DeclarationError(f"{source}: bind {name!r} names node {node!r}; the graph has {_listed(graph)}")
    inputs = _listed(graph[node]["inputs"])
    raise DeclarationError(f"{source}: bind {name!r}: node {node!r} has no input {key!r}; it has {inputs}")


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(sorted(names))
