"""Loaders of weights, and nodes that pass a model on with another setting."""

from runtime.sandbox.comfyui.models import is_model_file
from runtime.sandbox.comfyui.nodes.recipe import NodeRun, node
from runtime.sandbox.comfyui.result_cache import NodeResult
from runtime.sandbox.comfyui.values import Weights


@node("CheckpointLoaderSimple")
async def load_checkpoint(run: NodeRun) -> NodeResult:
    name = run.inputs["ckpt_name"]
    await run.load(name)
    return NodeResult((Weights((name,)),) * 3)


@node("UNETLoader", "VAELoader", "CLIPLoader", "DualCLIPLoader", "TripleCLIPLoader", "UpscaleModelLoader")
async def load_files(run: NodeRun) -> NodeResult:
    names = tuple(value for name, value in run.inputs.items() if is_model_file(name, value))
    await run.load(*names)
    return NodeResult((Weights(names),))


@node("LoraLoaderModelOnly", "LoraLoader")
async def load_lora(run: NodeRun) -> NodeResult:
    name = run.inputs["lora_name"]
    await run.load(name)
    passed = [run.inputs[key] for key in ("model", "clip") if key in run.inputs]
    return NodeResult(tuple(Weights((*weights.files, name)) for weights in passed))


@node("ModelSamplingSD3", "ModelSamplingAuraFlow", "CFGNorm")
async def pass_model(run: NodeRun) -> NodeResult:
    return NodeResult((run.inputs["model"],))
