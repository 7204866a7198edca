"""Nodes and model files that the sandbox does not know, made up from the graphs that use them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from json import loads
from typing import Any

from runtime.api import Workflow
from runtime.sandbox.comfyui.models import MODEL_FILES

SAVERS = ("Save", "Preview")


def node_classes(workflows: Iterable[Workflow]) -> Mapping[str, Mapping[str, Any]]:
    """Entries in the shape of /object_info for the classes that the sandbox's own catalogue lacks.

    Inputs take what the graphs give them, of the type that the node at the other end has; what a node passes on has the
    type that its takers want. What is only known between two unknown nodes is "*".
    """
    known: dict[str, Any] = loads(files("runtime.sandbox.comfyui").joinpath("catalogue.json").read_text("utf-8"))
    inputs: dict[str, dict[str, Any]] = defaultdict(dict)
    outputs: dict[str, dict[int, str]] = defaultdict(dict)
    is_saver: set[str] = set()
    for workflow in workflows:
        graph = workflow.graph
        for name, node in graph.items():
            taker = str(node["class_type"])
            if taker not in known:
                outputs.setdefault(taker, {})
                if name == workflow.output or taker.startswith(SAVERS):
                    is_saver.add(taker)
            for key, value in node["inputs"].items():
                if not isinstance(value, list):
                    if taker not in known:
                        inputs[taker].setdefault(key, _literal(value))
                    continue
                giver, slot = str(graph[value[0]]["class_type"]), int(value[1])
                wanted = _wanted(known, taker, key)
                given = known[giver]["output"][slot] if giver in known else None
                if giver not in known and (wanted or slot not in outputs[giver]):
                    outputs[giver][slot] = wanted or "*"
                if taker not in known:
                    inputs[taker][key] = [given or "*", {}]
    return {
        name: {
            "input": {"required": inputs.get(name, {}), "optional": {}},
            "output": [slots.get(slot, "*") for slot in range(max(slots, default=-1) + 1)],
            "output_node": name in is_saver,
            "name": name,
        }
        for name, slots in outputs.items()
        if name not in known
    }


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


def _wanted(known: Mapping[str, Any], class_type: str, key: str) -> str | None:
    if class_type not in known:
        return None
    groups = known[class_type]["input"]
    spec = {**groups.get("optional", {}), **groups.get("required", {})}.get(key)
    return spec[0] if spec and isinstance(spec[0], str) else None
