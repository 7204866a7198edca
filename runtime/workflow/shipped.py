"""Descriptions of ComfyUI's own node classes, so that workflows are converted and checked with no server at hand."""

import gzip
import json
from functools import cache
from importlib.resources import files

from runtime.comfyui import Catalogue
from runtime.workflow.description import Descriptions


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
