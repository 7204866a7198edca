"""How much work a job is, in a word, so that only jobs of about one size are timed together."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from runtime.api import Command, Duration, Medium, Parameter, Size

MULTIPLIERS = frozenset({"steps", "batch_size", "length", "frames", "num_frames", "video_length", "megapixels"})
"""Inputs of ComfyUI's nodes of which twice as much is twice the work."""

INPUT_PIXELS = 2**20
"""A picture of the usual size: what a job is measured by whose result is as large as its picture."""

_MOST = 12
"""Bound of the half octaves, upwards and downwards: 1/64 to 64 times."""


def size_class(
    command: Command, arguments: Mapping[str, Any], *, variant: str | None = None, inputs: Sequence[Medium] = ()
) -> str:
    """`1x` for a job by the command's defaults, `1.4x`, `2x`, … for more work, `0.71x`, `0.5x`, … for less.

    In steps of half an octave. What counts: pixels, steps, pictures at once, length of a film; how many pictures it
    works on; and their size, if the graph names none. "" if that is not known.
    """
    chosen = command.variant(variant)
    defaults = chosen.defaults if chosen else {}
    factor = 1.0
    for parameter in command.parameters:
        if _multiplies(parameter, command, variant):
            before = _amount(parameter, defaults.get(parameter.name, parameter.initial()))
            factor *= _amount(parameter, arguments.get(parameter.name)) / before if before else 1.0
    if command.image_input is not None and inputs:
        if _names_a_size(command, variant):
            factor *= (1 + len(inputs)) / (1 + max(command.image_input.low, 1))
        else:
            pixels = [(medium.width or 0) * (medium.height or 0) for medium in inputs]
            factor *= sum(pixels) / INPUT_PIXELS if all(pixels) else 0.0
    if factor <= 0:
        return ""
    half_octaves = min(max(round(2 * math.log2(factor)), -_MOST), _MOST)
    return f"{2 ** (half_octaves / 2):.2g}x"


def _multiplies(parameter: Parameter, command: Command, variant: str | None) -> bool:
    places = command.workflow_of(variant).targets.get(parameter.name, ())
    inputs = {name for place in places for _, name in place} or {parameter.name}
    return isinstance(parameter, Size | Duration) or not MULTIPLIERS.isdisjoint(inputs)


def _amount(parameter: Parameter, value: Any) -> float:
    """What the graph gets of the argument, as one number; 0 if it gets none."""
    if isinstance(value, int | float):
        value = parameter.components(value)
    numbers = [part for part in value if isinstance(part, int | float)] if isinstance(value, list | tuple) else []
    return math.prod(numbers) if numbers else 0.0


def _names_a_size(command: Command, variant: str | None) -> bool:
    graph = command.workflow_of(variant).graph
    return any(
        {"width", "height"} <= node["inputs"].keys() or "megapixels" in node["inputs"] for node in graph.values()
    )
