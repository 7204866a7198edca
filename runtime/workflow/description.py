"""How the editor lays out a node class: its inputs in order, and which of them it shows as widgets.

From GET /object_info; the order and the extra widgets are those of ComfyUI's front end (addInput in litegraphService).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

COMPARISON = "IMAGECOMPARE"
"""Shows the pictures of the last run: its value never counts."""

WIDGET_TYPES = frozenset(
    (
        "INT",
        "FLOAT",
        "STRING",
        "BOOLEAN",
        "COMBO",
        "COLOR",
        "COLORS",
        "BOUNDING_BOX",
        "BOUNDING_BOXES",
        "CURVE",
        "RANGE",
    )
) | frozenset((COMPARISON, "LOAD_3D", "AUDIO_RECORD", "WEBCAM", "PAINTER"))
BUTTONS = ("upload3dmodel", "uploadExtraResources", "clear")
"""Of the 3D viewer: saved among the values behind the file."""

DYNAMIC_CHOICE, GROWING = "COMFY_DYNAMICCOMBO_V3", "COMFY_AUTOGROW_V3"
CONTROLLED = ("seed", "noise_seed")
UPLOADS = ("image_upload", "video_upload", "animated_image_upload", "audio_upload")

Descriptions: TypeAlias = Mapping[str, Mapping[str, Any]]
"""Node class -> its entry in /object_info."""


class UnknownOption(ValueError):
    """A saved choice is none that the description has, so that what belongs to the values behind it cannot be told."""

    def __init__(self, name: str, value: Any, options: Sequence[Any]) -> None:
        super().__init__(f"{name} is {value!r}, not one of {', '.join(map(str, options))}")


@dataclass(frozen=True, slots=True)
class Widget:
    """One value that the editor shows. extra: how many further values follow it in `widgets_values` that are not sent:
    what becomes of a seed after a run, the button for an upload."""

    name: str
    default: Any
    extra: int = 0


def inputs_of(entry: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """(name, spec) of each input in the editor's order."""
    declared = entry.get("input") or {}
    order = entry.get("input_order") or {}
    found: list[tuple[str, Any]] = []
    for group in ("required", "optional"):
        specs = declared.get(group) or {}
        names = order.get(group) or list(specs)
        found += [(name, specs[name]) for name in names if name in specs]
    return found


def laid_out(entry: Mapping[str, Any], given: Sequence[Any], grown: Sequence[str] = ()) -> dict[str, Any]:
    """Widget -> value, of a node of this class whose saved `widgets_values` are `given`; defaults where they end.

    The option of a dynamic choice brings widgets of its own, right behind it, named `choice.widget`. grown: names of
    inputs that the node has in the file; those of a group that grows (`texts.text2`) are known from there only.

    Raises: UnknownOption.
    """
    left = list(given)
    values: dict[str, Any] = {}
    for name, spec in inputs_of(entry):
        _lay_out(name, spec, left, grown, values)
    return values


def _lay_out(name: str, spec: Any, left: list[Any], grown: Sequence[str], values: dict[str, Any]) -> None:
    kind, options = _split(spec)
    if kind == DYNAMIC_CHOICE:
        choices = options.get("options") or []
        keys = [choice.get("key") for choice in choices]
        values[name] = left.pop(0) if left else options.get("default", keys[0] if keys else None)
        if keys and values[name] not in keys:
            raise UnknownOption(name, values[name], keys)
        for choice in choices:
            if choice.get("key") == values[name]:
                for inner, inner_spec in inputs_of({"input": choice.get("inputs") or {}}):
                    _lay_out(f"{name}.{inner}", inner_spec, left, grown, values)
        return
    if kind == GROWING:
        template = ((options.get("template") or {}).get("input")) or {}
        for _, inner_spec in inputs_of({"input": template}):
            for one in grown:
                if one.startswith(f"{name}."):
                    _lay_out(one, inner_spec, left, grown, values)
        return
    widget = _widget(name, spec)
    if widget is not None:
        saved = left.pop(0) if left else widget.default
        values[name] = widget.default if _split(spec)[0] == COMPARISON else saved
        del left[: widget.extra]
        while left and left[0] in BUTTONS:
            del left[0]


def _widget(name: str, spec: Any) -> Widget | None:
    kind, options = _split(spec)
    if options.get("forceInput") or options.get("rawLink"):
        return None
    is_choice = isinstance(kind, list)
    if not is_choice and kind not in WIDGET_TYPES and not options.get("widgetType"):
        return None
    choices = kind if is_choice else options.get("options") or []
    controlled = options.get("control_after_generate")
    is_number = kind in ("INT", "FLOAT")
    extra = 1 if controlled or (is_number and name in CONTROLLED and controlled is None) else 0
    extra += 1 if any(options.get(upload) for upload in UPLOADS) and not options.get("widgetType") else 0
    return Widget(name, _default(kind, options, choices), extra)


def _default(kind: Any, options: Mapping[str, Any], choices: Any) -> Any:
    if "default" in options:
        return options["default"]
    if isinstance(kind, list) or kind == "COMBO":
        return choices[0] if choices else None
    return {"INT": 0, "FLOAT": 0, "STRING": "", "BOOLEAN": False, COMPARISON: ["", ""]}.get(kind)


def _split(spec: Any) -> tuple[Any, Mapping[str, Any]]:
    if not isinstance(spec, list) or not spec:
        return None, {}
    return spec[0], spec[1] if len(spec) > 1 and isinstance(spec[1], dict) else {}
