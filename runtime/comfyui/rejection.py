"""A server's refusal of a graph, in words that name the place."""

import re
from collections.abc import Mapping
from typing import Any

from runtime.api.workflow import Graph
from runtime.comfyui.errors import GraphProblem

_NODE_IN_DETAILS = re.compile(r"Node ID '#(.+)'")
_FILE_NAME = re.compile(r"[^\s\"']{1,200}\.\w{2,12}( \[\w+\])?")
_WORD = re.compile(r"[\w.+/\\-]{1,80}")
SHOWN_OPTIONS = 8


def parse_rejection(answer: Mapping[str, Any], graph: Graph) -> tuple[GraphProblem, ...]:
    """The problems in the body of a 400 from POST /prompt, at least one.

    The top-level `error` has no detail when the fault is upstream of an output node, so `node_errors` is read first.
    """
    problems = parse_node_errors(answer.get("node_errors") or {}, graph)
    if problems:
        return problems
    error = answer.get("error")
    if not isinstance(error, dict):
        return (GraphProblem("", "", "", "unknown", "the server refused it without saying why"),)
    kind = str(error.get("type", "unknown"))
    found = _NODE_IN_DETAILS.search(str(error.get("details", "")))
    if kind == "invalid_prompt" and found:
        node = found[1]
        class_type = str(graph.get(node, {}).get("class_type", ""))
        message = f"node {node!r} is of class {class_type!r}, which this ComfyUI does not have; install its custom node"
        return (GraphProblem(node, class_type, "", "unknown_class", message, received=class_type),)
    return (GraphProblem("", "", "", kind, str(error.get("message", kind)).rstrip(".")),)


def parse_node_errors(node_errors: Mapping[str, Any], graph: Graph) -> tuple[GraphProblem, ...]:
    """One problem for each error of each node."""
    return tuple(
        _problem(str(node), str(fault.get("class_type", "")), error, graph)
        for node, fault in node_errors.items()
        for error in fault.get("errors", ())
    )


def _problem(node: str, class_type: str, error: Mapping[str, Any], graph: Graph) -> GraphProblem:
    kind = str(error.get("type", "unknown"))
    extra = error.get("extra_info") or {}
    name = str(extra.get("input_name", ""))
    value = extra.get("received_value", graph.get(node, {}).get("inputs", {}).get(name))
    received = showable(value, words=kind != "custom_validation_failed")
    allowed = _allowed(kind, extra)
    place = f"node {node!r} ({class_type})" + (f", {name}" if name else "")
    said = f", got {received!r}" if received is not None and not isinstance(value, list) else ""
    wanted = f"; allowed: {allowed}" if allowed else ""
    return GraphProblem(node, class_type, name, kind, f"{place}: {_says(error)}{said}{wanted}", received, allowed)


def _says(error: Mapping[str, Any]) -> str:
    message = str(error.get("message", "not accepted"))
    match error.get("type"):
        case "value_smaller_than_min":
            return "value is too small"
        case "value_bigger_than_max":
            return "value is too large"
        case "invalid_input_type":
            return "value is of the wrong type"
        case "custom_validation_failed":
            return "the node does not accept the value"
        case "return_type_mismatch":
            extra = error.get("extra_info") or {}
            wanted = (extra.get("input_config") or ["?"])[0]
            return f"linked to an output of type {extra.get('received_type')}, wants {wanted}"
        case "exception_during_validation" | "exception_during_inner_validation":
            return "linked to a node or an output that is not there"
    return message[:1].lower() + message[1:].rstrip(".")


def _allowed(kind: str, extra: Mapping[str, Any]) -> str | None:
    config = extra.get("input_config")
    if not isinstance(config, list) or len(config) != 2 or not isinstance(config[1], dict):
        return None
    if kind == "value_not_in_list" and isinstance(config[0], list):
        return shorten(config[0])
    if kind in ("value_smaller_than_min", "value_bigger_than_max"):
        return f"{config[1].get('min')} to {config[1].get('max')}"
    return None


def shorten(options: list[Any] | tuple[Any, ...]) -> str:
    """The first few options, and how many there are."""
    shown = ", ".join(str(option) for option in options[:SHOWN_OPTIONS])
    return f"{shown}, … ({len(options)} in all)" if len(options) > SHOWN_OPTIONS else shown or "nothing"


def showable(value: Any, *, words: bool = True) -> Any:
    """The value if it can be no prompt: a number, a boolean, a file name or, with `words`, one word. Else None."""
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, str) and (_FILE_NAME.fullmatch(value) or (words and _WORD.fullmatch(value))):
        return value
    return None
