"""Checking a graph without posting it: everything wrong, each with its place, its cause and its cure.

What a server would say is asked of `runtime.comfyui.preflight`, which jobs are checked by too; here it is put into
words for whoever edits the file, and what is no graph at all is told apart first.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runtime.comfyui import Catalogue, check_graph
from runtime.comfyui.errors import GraphProblem

EXAMPLE = '{"save": {"class_type": "SaveImage", "inputs": {"images": ["decoded", 0]}}}'


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong. node: its id, empty for the graph as a whole; input: empty for the node as a whole.

    kind: as in `runtime.comfyui.preflight`, or `shape`. allowed: what would be right, as far as it can be listed.
    """

    node: str
    title: str
    class_type: str
    input: str
    kind: str
    cause: str
    cure: str
    allowed: str = ""

    def __str__(self) -> str:
        title = f" “{self.title}”" if self.title and self.title != self.class_type else ""
        kind = f" ({self.class_type})" if self.class_type else ""
        place = (
            f"node {self.node}{title}{kind}" + (f", {self.input}" if self.input else "") if self.node else "the graph"
        )
        return f"{place}: {self.cause}; {self.cure}"


def check(graph: Any, catalogue: Catalogue, *, knows_files: bool = True) -> list[Finding]:
    """Everything wrong with a graph in API format, in its order; empty if it can be posted.

    knows_files: whether the catalogue is that of a server, which tells the model files that it has.
    """
    found = list(_shape(graph))
    if found:
        return found
    plain = {name: {key: node[key] for key in ("class_type", "inputs")} for name, node in graph.items()}
    problems = check_graph(plain, catalogue)
    return [_finding(graph, problem, catalogue) for problem in problems if knows_files or not _is_about_files(problem)]


def _shape(graph: Any) -> Iterator[Finding]:
    if not isinstance(graph, Mapping):
        said = f"it is {_kind(graph)}, not an object of nodes"
        yield Finding("", "", "", "", "shape", said, f"write nodes by their ids, like {EXAMPLE}")
        return
    if not graph:
        yield Finding("", "", "", "", "shape", "it has no nodes", f"write at least one that saves, like {EXAMPLE}")
    for name, node in graph.items():
        if not isinstance(node, Mapping):
            yield Finding(
                name, "", "", "", "shape", f"it is {_kind(node)}, not an object", "give it class_type and inputs"
            )
            continue
        kind, inputs = node.get("class_type"), node.get("inputs")
        title = _title(node)
        if not isinstance(kind, str) or not kind:
            yield Finding(name, title, "", "", "shape", "it has no class_type", "write the name of its node class")
        if not isinstance(inputs, Mapping):
            yield Finding(name, title, str(kind or ""), "", "shape", "it has no inputs", 'write "inputs": {}')


def _finding(graph: Mapping[str, Any], problem: GraphProblem, catalogue: Catalogue) -> Finding:
    node = graph.get(problem.node, {})
    _, _, said = problem.message.partition(f", {problem.input} ") if problem.input else ("", "", "")
    cause, _, hint = (said or problem.message).partition("; ")
    cause = cause.removeprefix(f"node {problem.node!r} ({problem.class_type}) ").removeprefix(f"node {problem.node!r} ")
    cause = cause.partition(f", {problem.input}: ")[2] or cause
    if problem.kind == "missing_model":
        cause, _, hint = cause.partition(": ")
    return Finding(
        problem.node,
        _title(node),
        problem.class_type,
        problem.input,
        problem.kind,
        _cause(problem, cause),
        hint
        if problem.kind not in _CURES or hint.startswith("did you mean")
        else _cure(graph, problem, catalogue, hint),
        problem.allowed or "",
    )


def _cause(problem: GraphProblem, words: str) -> str:
    if problem.kind == "not_a_number" and problem.received is not None:
        return f"{problem.received!r} {words}"
    return words


_CURES = {
    "no_outputs": "add a node that saves the result, such as SaveImage or SaveVideo",
    "unknown_class": "install the custom node that brings it, or correct the name",
    "required_input_missing": "link it, or write a value",
    "bad_link": 'a link is ["node id", number of its output]: name a node of this graph',
    "wrong_type": "link it to a node that gives such a value",
    "not_a_number": "write a number",
    "too_small": "write a larger number",
    "too_large": "write a smaller number",
    "off_step": "write a number on a step",
    "not_an_option": "write one of them",
    "missing_model": "put the file there, or name one that is there",
    "cycle": "take one of the links of the circle out",
}


def _cure(graph: Mapping[str, Any], problem: GraphProblem, catalogue: Catalogue, hint: str) -> str:
    cure = _CURES[problem.kind]
    known = catalogue.classes.get(problem.class_type)
    spec = known.inputs.get(problem.input) if known else None
    if problem.kind in ("wrong_type", "required_input_missing") and spec is not None:
        givers = list(_givers(graph, spec.type, problem.node, catalogue))
        if givers:
            return f"{cure}: {' or '.join(givers[:3])} gives {spec.type}"
        return f"{cure} of type {spec.type}"
    if problem.kind in ("too_small", "too_large") and problem.allowed:
        return f"write {problem.allowed}"
    return f"{cure}: {hint}" if hint else cure


def _givers(graph: Mapping[str, Any], wanted: str, but: str, catalogue: Catalogue) -> Iterator[str]:
    for name, node in graph.items():
        known = catalogue.classes.get(str(node.get("class_type")))
        for slot, kind in enumerate(known.outputs if known and name != but else ()):
            if kind == wanted:
                yield f'["{name}", {slot}]'


def _is_about_files(problem: GraphProblem) -> bool:
    """Whether only a server can know: it lists its files, the shipped catalogue has none."""
    return problem.kind == "missing_model" or (problem.kind == "not_an_option" and not problem.allowed)


def model_files(graph: Mapping[str, Any], suffixes: Sequence[str]) -> list[tuple[str, str]]:
    """(place, file) for every model file that the graph names."""
    return [
        (f"{name}.{key}", value)
        for name, node in graph.items()
        for key, value in node["inputs"].items()
        if isinstance(value, str) and value.lower().endswith(tuple(suffixes))
    ]


def _title(node: Mapping[str, Any]) -> str:
    meta = node.get("_meta")
    return str(meta.get("title", "")) if isinstance(meta, Mapping) else ""


def _kind(value: Any) -> str:
    names = {list: "a list", str: "text", int: "a number", float: "a number", bool: "true or false", type(None): "null"}
    return names.get(type(value), type(value).__name__)
