"""/wan: text to video with WAN 2.2 14B and the 4-step LoRA. The graph is ComfyUI's own template video_wan2_2_14B_t2v.

Two models share the work: the high-noise one makes the first two of four steps and adds the noise, so the seed is its
alone; the low-noise one makes the rest.
"""

from runtime.api import Command, Duration, GpuAffinity, Limits, ModelFile, Prompt, Seed, Size, Workflow, hookimpl

REPACKAGED = "https://huggingface.co/Comfy-Org/Wan_2.2_ComfyUI_Repackaged"
ENCODER = "https://huggingface.co/Comfy-Org/Wan_2.1_ComfyUI_repackaged"
APACHE = ("Apache-2.0", "https://www.apache.org/licenses/LICENSE-2.0")

workflow = Workflow.load(
    "wan22_t2v_14b.json",
    bind={
        "prompt": "positive.text",
        "size": "latent.width,latent.height",
        "seconds": "latent.length",
        "seed": "high_noise_sampler.noise_seed",
    },
    output="save",
    kind="video",
    models=(
        *(
            ModelFile(
                f"wan2.2_t2v_{noise}_noise_14B_fp8_scaled.safetensors", "diffusion_models", 13.31, REPACKAGED, *APACHE
            )
            for noise in ("high", "low")
        ),
        *(
            ModelFile(
                f"wan2.2_t2v_lightx2v_4steps_lora_v1.1_{noise}_noise.safetensors", "loras", 1.14, REPACKAGED, *APACHE
            )
            for noise in ("high", "low")
        ),
        ModelFile("umt5_xxl_fp8_e4m3fn_scaled.safetensors", "text_encoders", 6.27, ENCODER, *APACHE),
        ModelFile("wan_2.1_vae.safetensors", "vae", 0.24, ENCODER, *APACHE),
    ),
)

wan = Command(
    name="wan",
    summary="Text to video with WAN 2.2",
    example="a wave breaking in slow motion --seconds 3",
    parameters=(
        Prompt(),
        Size(default=(640, 640), low=128, high=1280, max_pixels=1280 * 720),
        Duration(default=5.0, low=0.5, high=5.0),
        Seed(),
    ),
    workflow=workflow,
    affinity=GpuAffinity(vram_gb=24, model_set="wan2.2-t2v-14b"),
    limits=Limits(load_seconds=900, run_seconds=900, per_user=1),
)


@hookimpl
def register_commands() -> list[Command]:
    return [wan]
