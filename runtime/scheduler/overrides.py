"""Node classes that others stand in for on one backend, such as the loaders of ComfyUI-MultiGPU. Pure functions."""

from collections.abc import Iterable, Iterator, Mapping

from runtime.api import Graph, Workflow
from runtime.comfyui import Catalogue, GraphProblem, check_graph
from runtime.comfyui.catalogue import NodeClass
from runtime.registry import Override


def with_overrides(graph: Graph, overrides: Mapping[str, Override]) -> Graph:
    """The graph with the stand-ins in place of their classes; `graph` itself stays as it is.

    A node keeps its id, its links and its inputs; those of the override come on top.
    """
    changed = dict(graph)
    for name, node in graph.items():
        override = overrides.get(node["class_type"])
        if override is not None:
            inputs = {**node["inputs"], **override.inputs}
            changed[name] = {**node, "class_type": override.class_type, "inputs": inputs}
    return changed


def broken_by(workflow: Workflow, catalogue: Catalogue, overrides: Mapping[str, Override]) -> Iterator[str]:
    """What goes wrong with the workflow on that server because of the overrides, in words.

    A class that is not installed there, an input that it does not have (the server would ignore it), a value that it
    does not take, and whatever else is wrong with the graph that was not wrong before.
    """
    used = {node["class_type"] for node in workflow.graph.values()}
    in_use = {name: override for name, override in overrides.items() if name in used}
    if not in_use:
        return
    for original, override in in_use.items():
        known = catalogue.classes.get(override.class_type)
        if known is None:
            yield f"{override.class_type}, which is to stand in for {original} there, is not installed"
        else:
            yield from _undeclared(override, known)
    known_before = {_place(problem) for problem in check_graph(workflow.graph, catalogue, workflow.models)}
    for problem in check_graph(with_overrides(workflow.graph, in_use), catalogue, workflow.models):
        if problem.kind not in ("unknown_class", "missing_model") and _place(problem) not in known_before:
            yield _told(problem, in_use.values())


def _undeclared(override: Override, known: NodeClass) -> Iterator[str]:
    for name in override.inputs:
        if name not in known.inputs:
            yield f"{override.class_type} has no input {name!r}; it has: {', '.join(known.inputs)}"


def _place(problem: GraphProblem) -> tuple[str, str, str]:
    return problem.node, problem.input, problem.kind


def _told(problem: GraphProblem, overrides: Iterable[Override]) -> str:
    """What the operator wrote may be shown; an input of the graph's own may be part of a prompt."""
    if problem.kind != "not_an_option":
        return problem.message
    written = [
        one.inputs[problem.input]
        for one in overrides
        if one.class_type == problem.class_type and problem.input in one.inputs
    ]
    value = f"{problem.input} {written[0]!r}" if written else problem.input
    return f"{problem.class_type} does not take {value}; allowed: {problem.allowed}"
