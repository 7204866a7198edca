"""The model files a sandbox server pretends to have: those of the five templates, by ComfyUI folder."""

from collections.abc import Mapping

MODEL_FILES: Mapping[str, tuple[str, ...]] = {
    "checkpoints": ("flux1-dev-fp8.safetensors", "sd3.5_large_fp8_scaled.safetensors"),
    "diffusion_models": (
        "flux1-dev.safetensors",
        "flux1-schnell.safetensors",
        "qwen_image_edit_2509_fp8_e4m3fn.safetensors",
        "wan2.2_t2v_high_noise_14B_fp8_scaled.safetensors",
        "wan2.2_t2v_low_noise_14B_fp8_scaled.safetensors",
    ),
    "loras": (
        "Qwen-Image-Edit-2509-Lightning-4steps-V1.0-bf16.safetensors",
        "wan2.2_t2v_lightx2v_4steps_lora_v1.1_high_noise.safetensors",
        "wan2.2_t2v_lightx2v_4steps_lora_v1.1_low_noise.safetensors",
    ),
    "text_encoders": (
        "clip_l.safetensors",
        "qwen_2.5_vl_7b_fp8_scaled.safetensors",
        "t5xxl_fp16.safetensors",
        "t5xxl_fp8_e4m3fn_scaled.safetensors",
        "umt5_xxl_fp8_e4m3fn_scaled.safetensors",
    ),
    "vae": ("ae.safetensors", "qwen_image_vae.safetensors", "wan_2.1_vae.safetensors"),
    "upscale_models": ("RealESRGAN_x4plus.safetensors",),
}

OTHER_FOLDERS = (
    "configs", "clip_vision", "style_models", "embeddings", "diffusers", "vae_approx", "controlnet", "gligen",
    "custom_nodes", "hypernetworks", "photomaker", "classifiers", "model_patches", "audio_encoders",
)  # fmt: skip
"""Folders that a server knows and that hold nothing here: GET /models/{folder} answers [] rather than 404."""

MODEL_INPUTS: Mapping[tuple[str, str], str] = {
    ("CheckpointLoaderSimple", "ckpt_name"): "checkpoints",
    ("UNETLoader", "unet_name"): "diffusion_models",
    ("VAELoader", "vae_name"): "vae",
    ("CLIPLoader", "clip_name"): "text_encoders",
    ("DualCLIPLoader", "clip_name1"): "text_encoders",
    ("DualCLIPLoader", "clip_name2"): "text_encoders",
    ("TripleCLIPLoader", "clip_name1"): "text_encoders",
    ("TripleCLIPLoader", "clip_name2"): "text_encoders",
    ("TripleCLIPLoader", "clip_name3"): "text_encoders",
    ("LoraLoader", "lora_name"): "loras",
    ("LoraLoaderModelOnly", "lora_name"): "loras",
    ("UpscaleModelLoader", "model_name"): "upscale_models",
}
"""(class, input) whose options are the files of a folder."""

BUILT_IN_OPTIONS: Mapping[tuple[str, str], tuple[str, ...]] = {("VAELoader", "vae_name"): ("pixel_space",)}
"""Options of a loader that are no file."""

MODEL_EXTENSIONS = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin", ".gguf")


def is_model_file(input_name: str, value: object) -> bool:
    """Whether a literal names a model file: `unet_name`, `clip_name2`, ... with such an extension."""
    return isinstance(value, str) and input_name.rstrip("1234").endswith("_name") and value.endswith(MODEL_EXTENSIONS)
