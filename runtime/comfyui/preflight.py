"""Checking a graph against what a server can run, before anything is sent.

The server's own check stops short: it lets through wrong options of new-style (V3) choices and sizes off their step,
and these fail only when the node runs. It also cannot say where a missing model is to be had.
"""

import math
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Protocol

from runtime.api.workflow import Graph
from runtime.comfyui.catalogue import Catalogue, InputSpec, NodeClass, base_name
from runtime.comfyui.errors import GraphProblem, GraphProblems
from runtime.comfyui.rejection import shorten, showable

MODEL_SUFFIXES = (".safetensors", ".sft", ".ckpt", ".pt", ".pt2", ".pth", ".bin", ".gguf", ".onnx")


class RequiredModel(Protocol):
    """A model file that a workflow needs. `folder` is below ComfyUI's models/, `size_gb` in GiB."""

    @property
    def name(self) -> str: ...
    @property
    def folder(self) -> str: ...
    @property
    def size_gb(self) -> float: ...
    @property
    def link(self) -> str: ...
    @property
    def licence(self) -> str: ...


def check_graph(graph: Graph, catalogue: Catalogue, models: Iterable[RequiredModel] = ()) -> tuple[GraphProblem, ...]:
    """Everything wrong with `graph` on that server; nothing if it can be posted.

    As on the server, classes are checked for all nodes, inputs for those that an output node depends on.
    Kinds: no_outputs, unknown_class, required_input_missing, bad_link, wrong_type, not_a_number, too_small, too_large,
    off_step, not_an_option, missing_model, cycle.
    """
    check = _Check(graph, catalogue, {model.name: model for model in models})
    return tuple(check.run())


def missing_models(catalogue: Catalogue, models: Iterable[RequiredModel]) -> tuple[RequiredModel, ...]:
    """Those of `models` that no loader of the server offers, in any folder."""
    offered = catalogue.model_files()
    return tuple(model for model in models if model.name not in offered)


def raise_if_any(backend: str, problems: tuple[GraphProblem, ...]) -> None:
    """Raises: GraphProblems, if there are problems."""
    if problems:
        raise GraphProblems(backend, problems)


def where_to_get(model: RequiredModel) -> str:
    """One line for the operator: which file to put where, and where it is from."""
    licence = f" (licence: {model.licence})" if model.licence else ""
    source = f", from {model.link}{licence}" if model.link else ""
    return f"put {model.name} ({model.size_gb:.1f} GB) into ComfyUI/models/{model.folder}{source}"


class _Check:
    def __init__(self, graph: Graph, catalogue: Catalogue, models: Mapping[str, RequiredModel]) -> None:
        self._graph = graph
        self._classes = catalogue.classes
        self._models = models

    def run(self) -> Iterable[GraphProblem]:
        for node in self._graph:
            if self._class_of(node) is None:
                yield self._unknown_class(node)
        outputs = [node for node in self._graph if (known := self._class_of(node)) is not None and known.is_output]
        if not outputs:
            yield GraphProblem("", "", "", "no_outputs", "the graph saves nothing: it has no output node")
        order, cyclic = _depended_on(self._graph, outputs)
        if cyclic:
            yield self._problem(cyclic, "", "cycle", "depends on itself")
        for node in order:
            known = self._class_of(node)
            if known is not None:
                yield from self._inputs(node, known)

    def _class_of(self, node: str) -> NodeClass | None:
        return self._classes.get(str(self._graph[node].get("class_type")))

    def _unknown_class(self, node: str) -> GraphProblem:
        class_type = str(self._graph[node].get("class_type"))
        close = get_close_matches(class_type, self._classes, n=1)
        hint = f"; did you mean {close[0]}?" if close else "; install the custom node that brings it"
        message = f"node {node!r} is of class {class_type!r}, which this ComfyUI does not have{hint}"
        return GraphProblem(node, class_type, "", "unknown_class", message, class_type)

    def _inputs(self, node: str, known: NodeClass) -> Iterable[GraphProblem]:
        inputs = self._graph[node].get("inputs", {})
        for spec in known.inputs.values():
            if spec.name not in inputs:
                if spec.required and not spec.type.startswith("COMFY_"):  # those grow names of their own
                    yield self._problem(node, spec.name, "required_input_missing", "is required and missing")
                continue
            value = inputs[spec.name]
            found = self._link(node, spec, value) if isinstance(value, list) else self._value(node, spec, value)
            if found is not None:
                yield found

    def _link(self, node: str, spec: InputSpec, link: list[Any]) -> GraphProblem | None:
        if spec.takes_many and (len(link) != 2 or not isinstance(link[1], int)):
            return self._problem(node, spec.name, "bad_link", 'takes a list only as {"__value__": [...]}')
        if len(link) != 2 or not isinstance(link[0], str) or link[0] not in self._graph:
            said = f"links to {showable(link[0]) if link else None!r}, which is no node of this graph"
            return self._problem(node, spec.name, "bad_link", said)
        source = self._class_of(link[0])
        if source is None:
            return None  # reported once, at that node
        slot = link[1]
        if not isinstance(slot, int) or isinstance(slot, bool) or not 0 <= slot < len(source.outputs):
            slots = f"{source.name} has {len(source.outputs)} outputs, counted from 0"
            return self._problem(node, spec.name, "bad_link", f"links to output {slot!r} of {link[0]!r}; {slots}")
        if not _fits(source.outputs[slot], spec.type):
            said = f"wants {spec.type} and is linked to {source.outputs[slot]} of {link[0]!r}"
            return self._problem(node, spec.name, "wrong_type", said, allowed=spec.type)
        return None

    def _value(self, node: str, spec: InputSpec, value: Any) -> GraphProblem | None:
        if isinstance(value, dict) and "__value__" in value:  # how a literal list is written
            value = value["__value__"]
        if spec.type in ("INT", "FLOAT"):
            return self._number(node, spec, value)
        if spec.options is not None:
            return self._choice(node, spec, value)
        if _needs_link(spec.type):
            return self._problem(node, spec.name, "wrong_type", f"wants a link to {spec.type}", allowed=spec.type)
        return None

    def _number(self, node: str, spec: InputSpec, value: Any) -> GraphProblem | None:
        try:
            number = int(value) if spec.type == "INT" else float(value)
        except (TypeError, ValueError, OverflowError):
            wanted = "a whole number" if spec.type == "INT" else "a number"
            return self._problem(node, spec.name, "not_a_number", f"must be {wanted}", received=value)
        if isinstance(number, float) and not math.isfinite(number):  # a whole number may be too long for a float
            return self._problem(node, spec.name, "not_a_number", "must be a finite number", received=value)
        allowed = f"{_plain(spec.low)} to {_plain(spec.high)}"
        if spec.low is not None and number < spec.low:
            said = f"is {number}, the least is {_plain(spec.low)}"
            return self._problem(node, spec.name, "too_small", said, number, allowed)
        if spec.high is not None and number > spec.high:
            said = f"is {number}, the most is {_plain(spec.high)}"
            return self._problem(node, spec.name, "too_large", said, number, allowed)
        if spec.type == "INT" and spec.step is not None and spec.step > 1:
            return self._step(node, spec, int(number), int(spec.step))
        return None

    def _step(self, node: str, spec: InputSpec, number: int, step: int) -> GraphProblem | None:
        """Sizes and lengths go in steps from the default: width 1024 by 16, frames 25 by 4 (so 4k + 1)."""
        anchor = spec.default if isinstance(spec.default, int) else int(spec.low or 0)
        rest = (number - anchor) % step
        if not rest:
            return None
        near = [n for n in (number - rest, number - rest + step) if spec.low is None or n >= spec.low]
        nearest = " or ".join(str(n) for n in near if spec.high is None or n <= spec.high)
        said = f"is {number}, but goes in steps of {step}; the nearest is {nearest}"
        return self._problem(node, spec.name, "off_step", said, number, nearest)

    def _choice(self, node: str, spec: InputSpec, value: Any) -> GraphProblem | None:
        chosen = value if spec.takes_many and isinstance(value, list) else [value]
        options = spec.options or ()
        wrong = next((item for item in chosen if item not in options), None)
        if wrong is None:
            return None
        if not options and not str(wrong).lower().endswith(MODEL_SUFFIXES):
            return None  # the node makes its own, such as CustomCombo
        required = self._models.get(base_name(wrong)) if isinstance(wrong, str) else None
        if required is not None or (isinstance(wrong, str) and wrong.lower().endswith(MODEL_SUFFIXES)):
            return self._missing_model(node, spec, str(wrong), required)
        close = get_close_matches(str(wrong), [str(option) for option in options], n=1)
        hint = f"; did you mean {close[0]}?" if close else f"; there is: {shorten(options)}"
        shown = repr(showable(wrong)) if showable(wrong) is not None else "no option"
        return self._problem(node, spec.name, "not_an_option", f"is {shown}{hint}", wrong, shorten(options))

    def _missing_model(self, node: str, spec: InputSpec, name: str, model: RequiredModel | None) -> GraphProblem:
        elsewhere = [option for option in spec.options or () if base_name(str(option)) == base_name(name)]
        allowed = shorten(spec.options or ())
        if elsewhere:
            place = f"the server has it as {elsewhere[0]!r}; move it, or name it so"
        elif model is not None:
            place = where_to_get(model)
        else:
            place = f"there is: {allowed}"
        return self._problem(node, spec.name, "missing_model", f"model file {name} is missing: {place}", name, allowed)

    def _problem(
        self, node: str, name: str, kind: str, said: str, received: Any = None, allowed: str | None = None
    ) -> GraphProblem:
        class_type = str(self._graph[node].get("class_type"))
        place = f"node {node!r} ({class_type})" + (f", {name}" if name else "")
        separator = ": " if kind == "missing_model" else " "
        message = f"{place}{separator}{said}"
        return GraphProblem(node, class_type, name, kind, message, showable(received), allowed)


def _depended_on(graph: Graph, outputs: list[str]) -> tuple[list[str], str | None]:
    """The nodes that `outputs` depend on, themselves included, and one node of a cycle among them if there is one."""
    order: list[str] = []
    open_nodes: set[str] = set()
    done: set[str] = set()
    cyclic: str | None = None
    stack = [(node, False) for node in reversed(outputs)]
    while stack:
        node, is_leaving = stack.pop()
        if is_leaving:
            open_nodes.discard(node)
            done.add(node)
            continue
        if node in done:
            continue
        if node in open_nodes:
            cyclic = cyclic or node
            continue
        open_nodes.add(node)
        order.append(node)
        stack.append((node, True))
        stack.extend((source, False) for source in _sources(graph, node))
    return order, cyclic


def _sources(graph: Graph, node: str) -> list[str]:
    links = [value for value in graph[node].get("inputs", {}).values() if isinstance(value, list) and len(value) == 2]
    return [source for source, slot in links if isinstance(slot, int) and isinstance(source, str) and source in graph]


def _fits(offered: str, wanted: str) -> bool:
    """Types may be unions, "IMAGE,MASK"; one in common is enough. "*" is any type."""
    have = {kind.strip() for kind in offered.split(",")}
    want = {kind.strip() for kind in wanted.split(",")}
    return bool(have & want) or "*" in have or "*" in want


def _needs_link(kind: str) -> bool:
    """Whether values of the type exist only inside the server, so that a literal is a mistake."""
    return kind in ("MODEL", "CLIP", "VAE", "CONDITIONING", "LATENT", "IMAGE", "MASK", "VIDEO", "AUDIO")


def _plain(number: float | None) -> str:
    if number is None:
        return "any"
    return str(int(number)) if float(number).is_integer() else f"{number:g}"
