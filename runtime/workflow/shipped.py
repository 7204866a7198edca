"""Descriptions of ComfyUI's own node classes, so that workflows are converted and checked with no server at hand."""

import gzip
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from runtime.comfyui import Catalogue
from runtime.workflow.description import Descriptions

UNUSED = (
    "tooltip",
    "display",
    "display_name",
    "advanced",
    "socketless",
    "dynamicPrompts",
    "multiline",
    "round",
    "lazy",
)
"""What a description says for the eye only."""


def compact(object_info: Descriptions) -> dict[str, Any]:
    """What converting and checking need of /object_info, without the names of a machine's uploaded files."""
    return {
        name: {
            "input": {group: _specs(entry["input"].get(group) or {}) for group in ("required", "optional")},
            "input_order": {
                group: (entry.get("input_order") or {}).get(group, []) for group in ("required", "optional")
            },
            "output": entry.get("output") or [],
            "output_node": bool(entry.get("output_node")),
        }
        for name, entry in sorted(object_info.items())
        if isinstance(entry.get("input"), Mapping)
    }


def _specs(specs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _spec(spec) for name, spec in specs.items()}


def _spec(spec: Any) -> Any:
    if not isinstance(spec, list | tuple) or not spec:
        return spec
    kind, options = spec[0], spec[1] if len(spec) > 1 and isinstance(spec[1], Mapping) else {}
    kept = {key: value for key, value in options.items() if key not in UNUSED}
    if any(key.endswith("_upload") and kept[key] for key in kept):
        kind = [] if isinstance(kind, list) else kind
        kept = {key: [] if key == "options" else value for key, value in kept.items() if key != "default"}
    if isinstance(kept.get("options"), list):
        kept["options"] = [_option(option) for option in kept["options"]]
    template = kept.get("template")
    if isinstance(template, Mapping) and isinstance(template.get("input"), Mapping):
        kept["template"] = {**template, "input": _groups(template["input"])}
    return [kind, kept] if kept else [kind]


def _option(option: Any) -> Any:
    if isinstance(option, Mapping) and isinstance(option.get("inputs"), Mapping):
        return {"key": option.get("key"), "inputs": _groups(option["inputs"])}
    return option


def _groups(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {group: _specs(specs) for group, specs in inputs.items() if specs}


@cache
def shipped_descriptions() -> Descriptions:
    """Node class -> its entry in /object_info, of the classes that a plain ComfyUI has, without model files."""
    packed = files("runtime.workflow").joinpath("object_info.json.gz").read_bytes()
    entries: Descriptions = json.loads(gzip.decompress(packed))
    return entries


@cache
def shipped_catalogue() -> Catalogue:
    """The same as a catalogue to check graphs against."""
    return Catalogue.parse(shipped_descriptions())
