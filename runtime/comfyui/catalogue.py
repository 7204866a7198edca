"""What a server can run: its node classes with their inputs and outputs, read from GET /object_info."""

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

COMBO = "COMBO"
MATCHING = "COMFY_MATCHTYPE_V3"
"""A slot that takes the type of what it is linked to."""

DYNAMIC_CHOICE = "COMFY_DYNAMICCOMBO_V3"
"""A choice whose options bring inputs of their own, named `choice.input`."""


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One input of a class.

    type: "INT", "MODEL", "IMAGE,MASK" (either), "*" (any); "COMBO" for a choice, in whichever of the two shapes the
    server wrote it. options: what a choice may be; None if the server does not tell, or if files are uploaded there.
    low, high, step, default: as declared, None if not. takes_many: a choice of several options at once.
    """

    name: str
    type: str
    required: bool
    options: tuple[Any, ...] | None = None
    low: float | None = None
    high: float | None = None
    step: float | None = None
    default: Any = None
    takes_many: bool = False


@dataclass(frozen=True, slots=True)
class NodeClass:
    """One node class. `outputs`: the type of each slot. `is_output`: graphs run for the sake of such nodes."""

    name: str
    inputs: Mapping[str, InputSpec]
    outputs: tuple[str, ...]
    is_output: bool


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All node classes of one server, by name."""

    classes: Mapping[str, NodeClass]

    @classmethod
    def parse(cls, object_info: Mapping[str, Any]) -> "Catalogue":
        """From the answer of GET /object_info. Entries not in ComfyUI's shape are left out, as if not installed: a
        custom node may tell anything of itself.
        """
        classes = {}
        for name, entry in object_info.items():
            with suppress(AttributeError, KeyError, OverflowError, TypeError, ValueError):
                classes[name] = _parse_class(name, entry)
        return cls(classes)

    def model_files(self) -> frozenset[str]:
        """The options of all choices, by file name without folders: among them every model file the server has."""
        return frozenset(
            base_name(option)
            for node in self.classes.values()
            for spec in node.inputs.values()
            for option in spec.options or ()
            if isinstance(option, str)
        )


def base_name(path: str) -> str:
    """The file name of a path below a model folder; a server on Windows separates with a backslash."""
    return path.replace("\\", "/").rsplit("/", 1)[-1]


def _parse_class(name: str, entry: Mapping[str, Any]) -> NodeClass:
    inputs = {
        key: _parse_input(key, spec, required=group == "required")
        for group in ("required", "optional")
        for key, spec in (entry["input"].get(group) or {}).items()
    }
    outputs = tuple(_output_type(kind) for kind in entry.get("output") or ())
    return NodeClass(name, inputs, outputs, bool(entry.get("output_node")))


def _output_type(kind: Any) -> str:
    if isinstance(kind, list):
        return COMBO
    return "*" if kind == MATCHING else str(kind)


def _parse_input(name: str, spec: Any, *, required: bool) -> InputSpec:
    """Old shape of a choice: `[[options…], {…}]`. New shape (V3): `["COMBO", {"options": […]}]`, or with `remote`."""
    kind, details = _split(spec)
    listed = kind if isinstance(kind, list) else details.get("options") if kind == COMBO else None
    if kind == DYNAMIC_CHOICE:
        listed = [option["key"] for option in details.get("options") or () if "key" in option]
    if kind == MATCHING:
        kind = str((details.get("template") or {}).get("allowed_types", "*"))
    if any(key.endswith("_upload") and details[key] for key in details):
        listed = None
    return InputSpec(
        name,
        COMBO if isinstance(kind, list) else str(kind),
        required,
        options=tuple(listed) if isinstance(listed, list) else None,
        low=_number(details.get("min")),
        high=_number(details.get("max")),
        step=_number(details.get("step")),
        default=details.get("default"),
        takes_many=bool(details.get("multiselect") or details.get("multi_select")),
    )


def _split(spec: Any) -> tuple[Any, Mapping[str, Any]]:
    if not isinstance(spec, list) or not spec:
        return spec, {}
    details = spec[1] if len(spec) > 1 and isinstance(spec[1], dict) else {}
    return spec[0], details


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and math.isfinite(value) else None
