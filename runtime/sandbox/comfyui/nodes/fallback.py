"""What a class does that we know only from its /object_info entry: a custom node, a MultiGPU loader."""

from typing import Any

from runtime.sandbox.comfyui.models import is_model_file
from runtime.sandbox.comfyui.nodes.recipe import NodeRun
from runtime.sandbox.comfyui.result_cache import NodeResult
from runtime.sandbox.comfyui.values import VALUE_TYPES, Weights


async def pass_on(run: NodeRun, output_types: tuple[str, ...]) -> NodeResult:
    """For each output the first input of its type; weights are made of the model files named; else None."""
    files = tuple(value for name, value in run.inputs.items() if is_model_file(name, value))
    await run.load(*files)
    return NodeResult(tuple(_first(run, name, files) for name in output_types))


def _first(run: NodeRun, output_type: str, files: tuple[str, ...]) -> Any:
    kind = VALUE_TYPES.get(output_type, type(None))
    given = next((value for value in run.inputs.values() if isinstance(value, kind)), None)
    return Weights(files) if given is None and kind is Weights else given
