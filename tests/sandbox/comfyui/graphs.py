"""Small graphs with readable node ids, in the shapes of the five templates."""

from typing import Any

Graph = dict[str, Any]


def node(class_type: str, **inputs: Any) -> Graph:
    return {"class_type": class_type, "inputs": inputs}


def plain(color: int = 123, *, prefix: str = "x", size: int = 64, batch: int = 1) -> Graph:
    """The smallest graph with an output: one flat picture, saved."""
    return {
        "blank": node("EmptyImage", width=size, height=size, batch_size=batch, color=color),
        "save": node("SaveImage", images=["blank", 0], filename_prefix=prefix),
    }


def sd3(
    prompt: str = "a bottle", *, seed: int = 77, steps: int = 4, width: int = 64, height: int = 64, batch: int = 1
) -> Graph:
    return {
        "decode": node("VAEDecode", samples=["sampler", 0], vae=["model", 2]),
        "save": node("SaveImage", filename_prefix="ComfyUI", images=["decode", 0]),
        "negative": node("CLIPTextEncode", text="", clip=["model", 1]),
        "latent": node("EmptySD3LatentImage", width=width, height=height, batch_size=batch),
        "model": node("CheckpointLoaderSimple", ckpt_name="sd3.5_large_fp8_scaled.safetensors"),
        "positive": node("CLIPTextEncode", text=prompt, clip=["model", 1]),
        "sampler": node(
            "KSampler",
            seed=seed,
            steps=steps,
            cfg=4.01,
            sampler_name="euler",
            scheduler="sgm_uniform",
            denoise=1,
            model=["model", 0],
            positive=["positive", 0],
            negative=["negative", 0],
            latent_image=["latent", 0],
        ),
    }


def flux(prompt: str = "a car", *, seed: int = 7) -> Graph:
    return {
        "vae": node("VAELoader", vae_name="ae.safetensors"),
        "clip": node(
            "DualCLIPLoader",
            clip_name1="clip_l.safetensors",
            clip_name2="t5xxl_fp16.safetensors",
            type="flux",
            device="default",
        ),
        "latent": node("EmptySD3LatentImage", width=64, height=64, batch_size=1),
        "negative": node("ConditioningZeroOut", conditioning=["positive", 0]),
        "decode": node("VAEDecode", samples=["sampler", 0], vae=["vae", 0]),
        "save": node("SaveImage", filename_prefix="ComfyUI", images=["decode", 0]),
        "model": node("UNETLoader", unet_name="flux1-schnell.safetensors", weight_dtype="default"),
        "sampler": node(
            "KSampler",
            seed=seed,
            steps=4,
            cfg=1,
            sampler_name="euler",
            scheduler="simple",
            denoise=1,
            model=["model", 0],
            positive=["positive", 0],
            negative=["negative", 0],
            latent_image=["latent", 0],
        ),
        "positive": node("CLIPTextEncodeFlux", clip_l=prompt, t5xxl=prompt, guidance=3.5, clip=["clip", 0]),
    }


def qwen(picture: str, prompt: str = "put a t-shirt on him", *, seed: int = 3, others: tuple[str, ...] = ()) -> Graph:
    """An edit of one to three uploaded pictures; the size follows the first."""
    extra = {f"image{index}": [f"load{index}", 0] for index in range(2, 2 + len(others))}
    graph = {
        "norm": node("CFGNorm", strength=1, model=["shift", 0]),
        "vae": node("VAELoader", vae_name="qwen_image_vae.safetensors"),
        "clip": node(
            "CLIPLoader", clip_name="qwen_2.5_vl_7b_fp8_scaled.safetensors", type="qwen_image", device="default"
        ),
        "shift": node("ModelSamplingAuraFlow", shift=3, model=["lora", 0]),
        "sampler": node(
            "KSampler",
            seed=seed,
            steps=4,
            cfg=1,
            sampler_name="euler",
            scheduler="simple",
            denoise=1,
            model=["norm", 0],
            positive=["positive", 0],
            negative=["negative", 0],
            latent_image=["encode", 0],
        ),
        "model": node("UNETLoader", unet_name="qwen_image_edit_2509_fp8_e4m3fn.safetensors", weight_dtype="default"),
        "save": node("SaveImage", filename_prefix="ComfyUI", images=["decode", 0]),
        "encode": node("VAEEncode", pixels=["scale", 0], vae=["vae", 0]),
        "negative": node(
            "TextEncodeQwenImageEditPlus", prompt="", clip=["clip", 0], vae=["vae", 0], image1=["scale", 0], **extra
        ),
        "positive": node(
            "TextEncodeQwenImageEditPlus", prompt=prompt, clip=["clip", 0], vae=["vae", 0], image1=["scale", 0], **extra
        ),
        "lora": node(
            "LoraLoaderModelOnly",
            lora_name="Qwen-Image-Edit-2509-Lightning-4steps-V1.0-bf16.safetensors",
            strength_model=1,
            model=["model", 0],
        ),
        "decode": node("VAEDecode", samples=["sampler", 0], vae=["vae", 0]),
        "load": node("LoadImage", image=picture),
        "scale": node("ImageScaleToTotalPixels", upscale_method="lanczos", megapixels=1, image=["load", 0]),
    }
    for index, name in enumerate(others, start=2):
        graph[f"load{index}"] = node("LoadImage", image=name)
    return graph


def wan(prompt: str = "a woman turns", *, seed: int = 5, width: int = 64, height: int = 64, length: int = 5) -> Graph:
    def half(noise: str, start: int, end: int, latent: str, model: str, rest: str, seed: int) -> Graph:
        return node(
            "KSamplerAdvanced",
            add_noise=noise,
            noise_seed=seed,
            steps=4,
            cfg=1,
            sampler_name="euler",
            scheduler="simple",
            start_at_step=start,
            end_at_step=end,
            return_with_leftover_noise=rest,
            model=[model, 0],
            positive=["positive", 0],
            negative=["negative", 0],
            latent_image=[latent, 0],
        )

    def weights(level: str) -> str:
        return f"wan2.2_t2v_{level}_noise_14B_fp8_scaled.safetensors"

    def lora(level: str) -> str:
        return f"wan2.2_t2v_lightx2v_4steps_lora_v1.1_{level}_noise.safetensors"

    return {
        "clip": node("CLIPLoader", clip_name="umt5_xxl_fp8_e4m3fn_scaled.safetensors", type="wan", device="default"),
        "vae": node("VAELoader", vae_name="wan_2.1_vae.safetensors"),
        "low": node("UNETLoader", unet_name=weights("low"), weight_dtype="default"),
        "high": node("UNETLoader", unet_name=weights("high"), weight_dtype="default"),
        "high_lora": node("LoraLoaderModelOnly", lora_name=lora("high"), strength_model=1, model=["high", 0]),
        "low_lora": node("LoraLoaderModelOnly", lora_name=lora("low"), strength_model=1, model=["low", 0]),
        "low_shift": node("ModelSamplingSD3", shift=5, model=["low_lora", 0]),
        "high_shift": node("ModelSamplingSD3", shift=5, model=["high_lora", 0]),
        "positive": node("CLIPTextEncode", text=prompt, clip=["clip", 0]),
        "first": half("enable", 0, 2, "latent", "high_shift", "enable", seed),
        "film": node("CreateVideo", fps=16, images=["decode", 0]),
        "save": node("SaveVideo", filename_prefix="video/ComfyUI", format="auto", codec="auto", video=["film", 0]),
        "decode": node("VAEDecode", samples=["second", 0], vae=["vae", 0]),
        "negative": node("CLIPTextEncode", text="", clip=["clip", 0]),
        "latent": node("EmptyHunyuanLatentVideo", width=width, height=height, length=length, batch_size=1),
        "second": half("disable", 2, 4, "first", "low_shift", "disable", 0),
    }
