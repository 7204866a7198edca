"""/f: text to image with FLUX.1, schnell unless `--dev` is written.

The graphs are ComfyUI's own templates flux_schnell_full_text_to_image and flux_dev_full_text_to_image.
"""

from dataclasses import replace

from runtime.api import (
    Command,
    GpuAffinity,
    Integer,
    Limits,
    ModelFile,
    Prompt,
    Seed,
    Size,
    Variant,
    Workflow,
    hookimpl,
)

APACHE, APACHE_LINK = "Apache-2.0", "https://www.apache.org/licenses/LICENSE-2.0"
MIT_LINK = "https://github.com/openai/CLIP/blob/main/LICENSE"
FLUX_ENCODERS = "https://huggingface.co/comfyanonymous/flux_text_encoders"
SCHNELL = "https://huggingface.co/black-forest-labs/FLUX.1-schnell"
DEV = "https://huggingface.co/black-forest-labs/FLUX.1-dev"

ENCODERS = (
    ModelFile("clip_l.safetensors", "text_encoders", 0.23, FLUX_ENCODERS, "MIT", MIT_LINK),
    ModelFile("t5xxl_fp16.safetensors", "text_encoders", 9.12, FLUX_ENCODERS, APACHE, APACHE_LINK),
)
BIND = {
    "prompt": ["positive.clip_l", "positive.t5xxl"],
    "size": "latent.width,latent.height",
    "n": "latent.batch_size",
    "steps": "sampler.steps",
    "seed": "sampler.seed",
}

schnell = Workflow.load(
    "schnell.json",
    bind=BIND,
    output="save",
    models=(
        ModelFile("flux1-schnell.safetensors", "diffusion_models", 22.15, SCHNELL, APACHE, APACHE_LINK),
        *ENCODERS,
        ModelFile("ae.safetensors", "vae", 0.32, SCHNELL, APACHE, APACHE_LINK),
    ),
)

dev = Workflow.load(
    "dev.json",
    bind=BIND,
    output="save",
    models=(
        ModelFile(
            "flux1-dev.safetensors",
            "diffusion_models",
            22.17,
            DEV,
            "FLUX.1 [dev] Non-Commercial",
            f"{DEV}/blob/main/LICENSE.md",
        ),
        *ENCODERS,
        ModelFile("ae.safetensors", "vae", 0.32, SCHNELL, APACHE, APACHE_LINK),
    ),
)

affinity = GpuAffinity(vram_gb=22, model_set="flux-schnell")

flux = Command(
    name="flux",
    aliases=("f",),
    summary="Text to image with FLUX.1",
    example="an astronaut on a beach --ar 16:9",
    parameters=(
        Prompt(),
        Size(),
        Integer("n", "how many pictures", default=1, low=1, high=4),
        Integer("steps", "more is finer and slower", default=4, low=1, high=50),
        Seed(),
    ),
    workflow=schnell,
    affinity=affinity,
    variants=(
        Variant("dev", "finer and slower", dev, replace(affinity, model_set="flux-dev"), defaults={"steps": 20}),
    ),
    limits=Limits(run_seconds=300),
)


@hookimpl
def register_commands() -> list[Command]:
    return [flux]
