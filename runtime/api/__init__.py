"""All that a command plugin imports. Everything here is stable within one `API_VERSION`.

A plugin is a module that implements `register_commands` and is named by an entry point in the group
`veilrun.plugins`; docs/author.md shows one from the first line to the published package.
"""

from runtime.api.affinity import GpuAffinity, Limits
from runtime.api.command import Command, Variant
from runtime.api.errors import BadArgument, DeclarationError, VeilrunError, Veto
from runtime.api.hooks import API_VERSION, NAMESPACE, hookimpl, hookspec
from runtime.api.invocation import Invocation, Medium, Outcome
from runtime.api.parameters import (
    Choice,
    Duration,
    Float,
    ImageInput,
    Integer,
    Parameter,
    Prompt,
    Seed,
    Size,
    Text,
    Value,
)
from runtime.api.workflow import Graph, Kind, ModelFile, Workflow

__all__ = [
    "API_VERSION",
    "NAMESPACE",
    "BadArgument",
    "Choice",
    "Command",
    "DeclarationError",
    "Duration",
    "Float",
    "GpuAffinity",
    "Graph",
    "ImageInput",
    "Integer",
    "Invocation",
    "Kind",
    "Limits",
    "Medium",
    "ModelFile",
    "Outcome",
    "Parameter",
    "Prompt",
    "Seed",
    "Size",
    "Text",
    "Value",
    "Variant",
    "VeilrunError",
    "Veto",
    "Workflow",
    "hookimpl",
    "hookspec",
]
