"""Text encoders and what is done to conditionings."""

from runtime.sandbox.comfyui.nodes.recipe import NodeRun, node
from runtime.sandbox.comfyui.result_cache import NodeResult
from runtime.sandbox.comfyui.values import Conditioning


@node("CLIPTextEncode")
async def encode_text(run: NodeRun) -> NodeResult:
    return NodeResult((Conditioning(run.inputs["text"]),))


@node("CLIPTextEncodeFlux")
async def encode_flux(run: NodeRun) -> NodeResult:
    return NodeResult((Conditioning(run.inputs["t5xxl"].strip() or run.inputs["clip_l"]),))


@node("TextEncodeQwenImageEditPlus")
async def encode_edit(run: NodeRun) -> NodeResult:
    pictures = tuple(run.inputs[name] for name in ("image1", "image2", "image3") if run.inputs.get(name) is not None)
    return NodeResult((Conditioning(run.inputs["prompt"], pictures),))


@node("FluxGuidance")
async def set_guidance(run: NodeRun) -> NodeResult:
    return NodeResult((run.inputs["conditioning"],))


@node("ConditioningZeroOut")
async def zero_out(run: NodeRun) -> NodeResult:
    return NodeResult((Conditioning(""),))
