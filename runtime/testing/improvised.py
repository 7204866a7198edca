"""Nodes and model files that the sandbox does not know, made up from the graphs that use them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from json import loads
from typing import Any

from runtime.api import Graph, Workflow
from runtime.sandbox.comfyui.models import MODEL_FILES
from runtime.workflow.shipped import shipped_descriptions

SAVERS = ("Save", "Preview")


def node_classes(workflows: Sequence[Workflow]) -> Mapping[str, Mapping[str, Any]]:
    """Entries in the shape of /object_info for the classes that the sandbox's own catalogue lacks, and for those of it
    of which the graphs know more options.

    Inputs take what the graphs give them. What a node passes on has the type that ComfyUI says, or else the one that
    its takers want; what is only known between two unknown nodes is "*".
    """
    known: dict[str, Any] = loads(files("runtime.sandbox.comfyui").joinpath("catalogue.json").read_text("utf-8"))
    graphs = [workflow.graph for workflow in workflows]
    results = {str(workflow.graph[workflow.output]["class_type"]) for workflow in workflows}
    made: dict[str, Any] = {}
    for kind, inputs in _nodes(graphs):
        if kind in known:
            if _add_options(known[kind], inputs):
                made[kind] = known[kind]
        elif kind not in made:
            made[kind] = _unknown(kind, is_output=kind in results or kind.startswith(SAVERS))
    links = [(kind, key, value, graph) for graph in graphs for kind, key, value in _links(graph)]
    free = {kind: [not name for name in entry["output"]] for kind, entry in made.items() if kind not in known}
    for kind, key, (giver, slot), graph in links:
        source = str(graph[giver]["class_type"])
        if source in free:
            outputs = made[source]["output"]
            outputs += [""] * (slot + 1 - len(outputs))
            if slot >= len(free[source]) or free[source][slot]:
                outputs[slot] = _either(outputs[slot], _wanted(known, kind, key))
    for kind in free:
        made[kind]["output"] = [name or "*" for name in made[kind]["output"]]
    for kind, inputs in _nodes(graphs):
        if kind in free:
            for key, value in inputs.items():
                if not isinstance(value, list):
                    made[kind]["input"]["optional"].setdefault(key, _literal(value))
    for kind, key, (giver, slot), graph in links:
        if kind in free:
            taken = made[kind]["input"]["optional"]
            given = {**known, **made}[str(graph[giver]["class_type"])]["output"]
            before = taken.get(key, [""])[0]
            taken[key] = [_either(before, given[slot] if slot < len(given) else "*"), {}]
    return made


def _nodes(graphs: Iterable[Graph]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for graph in graphs:
        for node in graph.values():
            yield str(node["class_type"]), node["inputs"]


def _links(graph: Graph) -> Iterator[tuple[str, str, tuple[str, int]]]:
    for kind, inputs in _nodes([graph]):
        for key, value in inputs.items():
            if isinstance(value, list):
                yield kind, key, (str(value[0]), int(value[1]))


def model_files(workflows: Iterable[Workflow]) -> Mapping[str, Sequence[str]]:
    """The sandbox's own model files and those that the workflows declare, by folder."""
    found: dict[str, set[str]] = {folder: set(names) for folder, names in MODEL_FILES.items()}
    for workflow in workflows:
        for model in workflow.models:
            found.setdefault(model.folder, set()).add(model.name)
    return {folder: sorted(names) for folder, names in found.items()}


def _literal(value: object) -> list[Any]:
    if isinstance(value, bool):
        return ["BOOLEAN", {}]
    if isinstance(value, int):
        return ["INT", {"min": -(2**63), "max": 2**64 - 1}]
    if isinstance(value, float):
        return ["FLOAT", {"min": -1e12, "max": 1e12}]
    return ["STRING", {}]


def _unknown(kind: str, *, is_output: bool) -> dict[str, Any]:
    described = shipped_descriptions().get(kind, {})
    output = ["" if name == "*" or name.startswith("COMFY_") else name for name in described.get("output", [])]
    return {"input": {"required": {}, "optional": {}}, "output": output, "output_node": is_output, "name": kind}


def _add_options(entry: dict[str, Any], inputs: Mapping[str, Any]) -> bool:
    """Choices that a newer ComfyUI has, such as another kind of text encoder; whether there were any."""
    found = False
    for group in ("optional", "required"):
        for key, spec in entry["input"].get(group, {}).items():
            value = inputs.get(key)
            if isinstance(value, str) and isinstance(spec[0], list) and spec[0] and value not in spec[0]:
                spec[0].append(value)
                found = True
    return found


def _either(before: str, other: str) -> str:
    """A type that fits where any of these does: "IMAGE,MASK"."""
    return ",".join(dict.fromkeys(name for name in (*before.split(","), other) if name))


def _wanted(known: Mapping[str, Any], class_type: str, key: str) -> str:
    if class_type not in known:
        return ""
    groups = known[class_type]["input"]
    spec = {**groups.get("optional", {}), **groups.get("required", {})}.get(key)
    return spec[0] if spec and isinstance(spec[0], str) else ""
