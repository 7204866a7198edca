"""/qwen: edit a picture in words with Qwen-Image-Edit 2509. The graph is ComfyUI's own template
image_qwen_image_edit_2509; a second and a third picture get nodes of their own.
"""

from runtime.api import (
    Command,
    GpuAffinity,
    Graph,
    ImageInput,
    Integer,
    Invocation,
    Limits,
    ModelFile,
    Prompt,
    Seed,
    Workflow,
    hookimpl,
)

EDIT = "https://huggingface.co/Comfy-Org/Qwen-Image-Edit_ComfyUI"
BASE = "https://huggingface.co/Comfy-Org/Qwen-Image_ComfyUI"
LIGHTNING = "https://huggingface.co/lightx2v/Qwen-Image-Lightning"
APACHE = ("Apache-2.0", "https://www.apache.org/licenses/LICENSE-2.0")

workflow = Workflow.load(
    "edit_2509.json",
    bind={
        "prompt": "positive.prompt",
        "image": "image.image",
        "steps": "sampler.steps",
        "seed": "sampler.seed",
    },
    output="save",
    models=(
        ModelFile("qwen_image_edit_2509_fp8_e4m3fn.safetensors", "diffusion_models", 19.03, EDIT, *APACHE),
        ModelFile("Qwen-Image-Edit-2509-Lightning-4steps-V1.0-bf16.safetensors", "loras", 0.81, LIGHTNING, *APACHE),
        ModelFile("qwen_2.5_vl_7b_fp8_scaled.safetensors", "text_encoders", 8.74, BASE, *APACHE),
        ModelFile("qwen_image_vae.safetensors", "vae", 0.24, BASE, *APACHE),
    ),
)

qwen = Command(
    name="qwen",
    summary="Edit a picture in words with Qwen",
    example="put a t-shirt on him",
    parameters=(
        Prompt(summary="what to change"),
        ImageInput(low=1, high=3),
        Integer("steps", "more is finer and slower", default=4, low=1, high=50),
        Seed(),
    ),
    workflow=workflow,
    affinity=GpuAffinity(vram_gb=21, model_set="qwen-image-edit-2509"),
    limits=Limits(run_seconds=300),
)


@hookimpl
def register_commands() -> list[Command]:
    return [qwen]


@hookimpl
def build_workflow(invocation: Invocation, graph: Graph) -> Graph | None:
    """Load the second and third picture, and show them to both text encoders."""
    if invocation.command != "qwen":
        return None
    for number, upload in enumerate(invocation.uploads[1:], start=2):
        graph[f"image{number}"] = {"class_type": "LoadImage", "inputs": {"image": upload}}
        for encoder in ("positive", "negative"):
            graph[encoder]["inputs"][f"image{number}"] = [f"image{number}", 0]
    return graph
