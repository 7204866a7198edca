"""/sd3: text to image with Stable Diffusion 3.5 Large. The graph is ComfyUI's own template sd3.5_simple_example."""

from runtime.api import (
    Command,
    Float,
    GpuAffinity,
    Integer,
    Limits,
    ModelFile,
    Prompt,
    Seed,
    Size,
    Text,
    Workflow,
    hookimpl,
)

SD35 = "https://huggingface.co/Comfy-Org/stable-diffusion-3.5-fp8"

workflow = Workflow.load(
    "sd35_large.json",
    bind={
        "prompt": "positive.text",
        "negative": "negative.text",
        "size": "latent.width,latent.height",
        "n": "latent.batch_size",
        "steps": "sampler.steps",
        "cfg": "sampler.cfg",
        "seed": "sampler.seed",
    },
    output="save",
    models=(
        ModelFile(
            "sd3.5_large_fp8_scaled.safetensors",
            "checkpoints",
            13.9,
            SD35,
            "Stability AI Community",
            "https://stability.ai/community-license-agreement",
        ),
    ),
)

sd3 = Command(
    name="sd3",
    summary="Text to image with Stable Diffusion 3.5",
    example='a lighthouse at dusk --negative "people, text"',
    parameters=(
        Prompt(),
        Text("negative", "what you do not want to see"),
        Size(),
        Integer("n", "how many pictures", default=1, low=1, high=4),
        Integer("steps", "more is finer and slower", default=20, low=1, high=60),
        Float("cfg", "how closely to follow the words", default=4.01, low=1.0, high=15.0),
        Seed(),
    ),
    workflow=workflow,
    affinity=GpuAffinity(vram_gb=12, model_set="sd3.5-large"),
    limits=Limits(run_seconds=300),
)


@hookimpl
def register_commands() -> list[Command]:
    return [sd3]
