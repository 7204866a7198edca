"""What POST /prompt checks before it queues a graph, with the error types, messages and shapes of ComfyUI 0.3.64.

Left unchecked there, and so here: the options of new-style (V3) combos, `step`, unknown inputs, the contents of files.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from runtime.sandbox.comfyui.catalogue import Catalogue, InputSpec
from runtime.sandbox.comfyui.storage import Storage

Json = dict[str, Any]

LONG_LIST = 20
"""A combo with more options than this is named by its length instead of being printed."""

CASTS = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}

SLIPS = (KeyError, IndexError, TypeError, AttributeError, ValueError)
"""What a malformed graph makes the real validation raise; it reports them with its own traceback."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """error: why nothing runs, None if something does. outputs: the output nodes that will run."""

    error: Json | None
    outputs: list[str] = field(default_factory=list)
    node_errors: Json = field(default_factory=dict)


def validate(graph: Json, catalogue: Catalogue, storage: Storage, targets: Sequence[str] | None = None) -> Verdict:
    """Check `graph` and convert its literals in place: "4" becomes 4 for an INT, `{"__value__": [...]}` is unwrapped.

    targets: run only these output nodes (`partial_execution_targets`).
    """
    outputs = []
    for node_id, node in graph.items():
        if "class_type" not in node:
            message = "Cannot execute because a node is missing the class_type property."
            return Verdict(_error("invalid_prompt", message, f"Node ID '#{node_id}'"))
        if node["class_type"] not in catalogue:
            message = f"Cannot execute because node {node['class_type']} does not exist."
            return Verdict(_error("invalid_prompt", message, f"Node ID '#{node_id}'"))
        if catalogue.is_output(node["class_type"]) and (targets is None or node_id in targets):
            outputs.append(node_id)
    if not outputs:
        return Verdict(_error("prompt_no_outputs", "Prompt has no outputs"))
    return _Validation(graph, catalogue, storage).of_outputs(outputs)


class _Validation:
    """One pass over a graph. `findings` holds the verdict on each node that was looked at."""

    def __init__(self, graph: Json, catalogue: Catalogue, storage: Storage) -> None:
        self.graph, self.catalogue, self.storage = graph, catalogue, storage
        self.findings: dict[str, tuple[bool, list[Json]]] = {}
        self.open: set[str] = set()

    def of_outputs(self, outputs: list[str]) -> Verdict:
        good: list[str] = []
        node_errors: Json = {}
        complaints: list[Json] = []
        for output in outputs:
            try:
                is_valid, reasons = self.node(output)
            except SLIPS as slip:
                is_valid, reasons = False, [_slip("exception_during_validation", "node", slip, {})]
                self.findings[output] = (False, reasons)
            if is_valid:
                good.append(output)
                continue
            complaints += reasons
            for node_id, (node_is_valid, errors) in self.findings.items():
                if node_is_valid or not errors:
                    continue  # a node below a faulty one is invalid too, without errors of its own
                blank = {"errors": errors, "dependent_outputs": [], "class_type": self.graph[node_id]["class_type"]}
                node_errors.setdefault(node_id, blank)["dependent_outputs"].append(output)
        if good:
            return Verdict(None, good, node_errors)
        details = "\n".join(f"{one['message']}: {one['details']}" for one in complaints)
        error = _error("prompt_outputs_failed_validation", "Prompt outputs failed validation", details)
        return Verdict(error, [], node_errors)

    def node(self, node_id: str) -> tuple[bool, list[Json]]:
        """Whether the node and all above it are sound, and the node's own errors."""
        if node_id in self.findings:
            return self.findings[node_id]
        if node_id in self.open:
            return False, []  # a cycle: the real server runs out of stack and ends up with no error on any node
        self.open.add(node_id)
        inputs: Json = self.graph[node_id]["inputs"]
        class_type: str = self.graph[node_id]["class_type"]
        errors: list[Json] = []
        is_sound = True
        for name, spec in self.catalogue.inputs(class_type).items():
            if name not in inputs:
                if spec.required:
                    extra = {"input_name": name}
                    errors.append(_error("required_input_missing", "Required input is missing", name, extra))
            elif isinstance(inputs[name], list):
                error, source_is_sound = self.link(name, spec, inputs[name])
                errors += [error] if error else []
                is_sound = is_sound and source_is_sound
            else:
                error = self.literal(class_type, name, spec, inputs)
                errors += [error] if error else []
        if class_type == "LoadImage":
            errors += self.picture(inputs)
        self.open.discard(node_id)
        self.findings[node_id] = (is_sound and not errors, errors)
        return self.findings[node_id]

    def link(self, name: str, spec: InputSpec, value: list[Any]) -> tuple[Json | None, bool]:
        """The error of a link, if it has one, and whether the node it leads to is sound."""
        extra = {"input_name": name, "input_config": spec.config}
        if len(value) != 2:
            message = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
            return _error("bad_linked_input", message, name, {**extra, "received_value": value}), True
        source, slot = value
        received = self.catalogue.outputs(self.graph[source]["class_type"])[slot]
        if not _fits(received, spec.type):
            details = f"{name}, received_type({received}) mismatch input_type({spec.type})"
            extra = {**extra, "received_type": received, "linked_node": value}
            return _error("return_type_mismatch", "Return type mismatch between linked nodes", details, extra), True
        try:
            return None, self.node(source)[0]
        except SLIPS as slip:
            extra = {**extra, "exception_message": str(slip), "linked_node": value}
            self.findings[source] = (False, [_slip("exception_during_inner_validation", "inner node", slip, extra)])
            return None, False

    def literal(self, class_type: str, name: str, spec: InputSpec, inputs: Json) -> Json | None:
        """Convert the literal in place and check its range or its option."""
        value = inputs[name]
        try:
            if isinstance(value, dict) and "__value__" in value:
                value = inputs[name] = value["__value__"]
            if isinstance(spec.type, str) and spec.type in CASTS:
                value = inputs[name] = CASTS[spec.type](value)
        except (ValueError, TypeError, OverflowError) as failure:
            message = f"Failed to convert an input value to a {spec.type} value"
            extra = _received(name, spec.config, value) | {"exception_message": str(failure)}
            return _error("invalid_input_type", message, f"{name}, {value}, {failure}", extra)
        if class_type == "LoadImage":
            return None  # its own check replaces these
        low, high = spec.options.get("min"), spec.options.get("max")
        if low is not None and value < low:
            message = f"Value {value} smaller than min of {low}"
            return _error("value_smaller_than_min", message, name, _received(name, spec.config, value))
        if high is not None and value > high:
            message = f"Value {value} bigger than max of {high}"
            return _error("value_bigger_than_max", message, name, _received(name, spec.config, value))
        if isinstance(spec.type, list) and value not in spec.type:
            is_long = len(spec.type) > LONG_LIST
            listed = f"(list of length {len(spec.type)})" if is_long else str(spec.type)
            extra = _received(name, None if is_long else spec.config, value)
            return _error("value_not_in_list", "Value not in list", f"{name}: '{value}' not in {listed}", extra)
        return None

    def picture(self, inputs: Json) -> list[Json]:
        """LoadImage's own check: the file exists. What is in it is seen only when the node runs."""
        if "image" not in inputs:
            raise TypeError("LoadImage.VALIDATE_INPUTS() missing 1 required positional argument: 'image'")
        name = None if isinstance(inputs["image"], list) else inputs["image"]
        if self.storage.input_path(cast(str, name)).exists():
            return []
        details = f"image - Invalid image file: {name}"
        return [
            _error("custom_validation_failed", "Custom validation failed for node", details, {"input_name": "image"})
        ]


def _error(kind: str, message: str, details: str = "", extra: Json | None = None) -> Json:
    return {"type": kind, "message": message, "details": details, "extra_info": extra or {}}


def _received(name: str, config: list[Any] | None, value: object) -> Json:
    return {"input_name": name, "input_config": config, "received_value": value}


def _slip(kind: str, where: str, slip: Exception, extra: Json) -> Json:
    """An exception inside the validation itself, told with the server's traceback."""
    traceback = [
        '  File "execution.py", in validate_prompt\n',
        f'  File "execution.py", in validate_inputs\n    # {type(slip).__name__}\n',
    ]
    extra = {**extra, "exception_type": type(slip).__name__, "traceback": traceback}
    return _error(kind, f"Exception when validating {where}", str(slip), extra)


def _fits(received: str, wanted: str | list[Any]) -> bool:
    """Whether a link of type `received` may end in an input of type `wanted`; each may be "A,B" for either."""
    if not isinstance(wanted, str):
        return False
    return received == wanted or bool(_names(received) & _names(wanted))


def _names(types: str) -> set[str]:
    return {name.strip() for name in types.split(",")}
