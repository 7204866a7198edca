"""How the editor lays out a node class: its inputs in order, and which of them it shows as widgets.

From GET /object_info; the order and the extra widgets are those of ComfyUI's front end (addInput in litegraphService).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

WIDGET_TYPES = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
CONTROLLED = ("seed", "noise_seed")
UPLOADS = ("image_upload", "video_upload", "animated_image_upload", "audio_upload")

EDITOR_ONLY: Mapping[str, Mapping[str, Any]] = {
    "LoadAudio": {"audioUI": ""},
    "LoadImageOutput": {"refresh": "refresh"},
    "Preview3D": {"image": ""},
    "Preview3DAnimation": {"image": ""},
    "PreviewAny": {"preview": ""},
    "PreviewAudio": {"audioUI": ""},
    "RecordAudio": {"audio": ""},
    "SaveAudio": {"audioUI": ""},
    "SaveAudioMP3": {"audioUI": ""},
    "SaveAudioOpus": {"audioUI": ""},
    "SaveGLB": {"image": ""},
}
"""What the editor's own players and previews add to a node when it is sent: the server takes no notice of it."""

Descriptions: TypeAlias = Mapping[str, Mapping[str, Any]]
"""Node class -> its entry in /object_info."""


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


def widgets_of(entry: Mapping[str, Any]) -> list[Widget]:
    """The widgets of a node of this class, in order, without those that dynamic choices add."""
    found: list[Widget] = []
    for name, spec in inputs_of(entry):
        widget = _widget(name, spec)
        if widget is not None:
            found.append(widget)
    return found


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
    extra += 1 if any(options.get(upload) for upload in UPLOADS) else 0
    return Widget(name, _default(kind, options, choices), extra)


def _default(kind: Any, options: Mapping[str, Any], choices: Any) -> Any:
    if "default" in options:
        return options["default"]
    if isinstance(kind, list) or kind == "COMBO":
        return choices[0] if choices else None
    return {"INT": 0, "FLOAT": 0, "STRING": "", "BOOLEAN": False}.get(kind)


def _split(spec: Any) -> tuple[Any, Mapping[str, Any]]:
    if not isinstance(spec, list) or not spec:
        return None, {}
    return spec[0], spec[1] if len(spec) > 1 and isinstance(spec[1], dict) else {}
