"""Small graphs with readable ids."""

from typing import Any

Graph = dict[str, dict[str, Any]]


def still(colour: int = 0, size: int = 64, batch: int = 1, prefix: str = "out") -> Graph:
    """A plain picture, no model."""
    return {
        "canvas": node("EmptyImage", width=size, height=size, batch_size=batch, color=colour),
        "save": node("SaveImage", images=["canvas", 0], filename_prefix=prefix),
    }


def sampled(seed: int = 1, steps: int = 4, prompt: str = "an astronaut", prefix: str = "out") -> Graph:
    """One checkpoint, one sampler."""
    return {
        "model": node("CheckpointLoaderSimple", ckpt_name="sd3.5_large_fp8_scaled.safetensors"),
        "positive": node("CLIPTextEncode", text=prompt, clip=["model", 1]),
        "negative": node("CLIPTextEncode", text="", clip=["model", 1]),
        "latent": node("EmptySD3LatentImage", width=64, height=64, batch_size=1),
        "sampler": node(
            "KSampler", model=["model", 0], seed=seed, steps=steps, cfg=4.0, sampler_name="euler",
            scheduler="sgm_uniform", positive=["positive", 0], negative=["negative", 0], latent_image=["latent", 0],
            denoise=1.0,
        ),
        "decode": node("VAEDecode", samples=["sampler", 0], vae=["model", 2]),
        "save": node("SaveImage", images=["decode", 0], filename_prefix=prefix),
    }  # fmt: skip


def film(seed: int = 1) -> Graph:
    """Two samplers one after the other, as in Wan: steps 0 to 2 and 2 to 4 of 4."""
    sampling = {"steps": 4, "cfg": 1.0, "sampler_name": "euler", "scheduler": "simple"}
    conditions = {"positive": ["positive", 0], "negative": ["negative", 0]}
    return {
        "clip": node("CLIPLoader", clip_name="umt5_xxl_fp8_e4m3fn_scaled.safetensors", type="wan"),
        "vae": node("VAELoader", vae_name="wan_2.1_vae.safetensors"),
        "high": node(
            "UNETLoader", unet_name="wan2.2_t2v_high_noise_14B_fp8_scaled.safetensors", weight_dtype="default"
        ),
        "low": node(
            "UNETLoader", unet_name="wan2.2_t2v_low_noise_14B_fp8_scaled.safetensors", weight_dtype="default"
        ),
        "positive": node("CLIPTextEncode", text="a swan", clip=["clip", 0]),
        "negative": node("CLIPTextEncode", text="", clip=["clip", 0]),
        "latent": node("EmptyHunyuanLatentVideo", width=64, height=64, length=5, batch_size=1),
        "first": node(
            "KSamplerAdvanced", model=["high", 0], add_noise="enable", noise_seed=seed, start_at_step=0,
            end_at_step=2, return_with_leftover_noise="enable", latent_image=["latent", 0], **sampling, **conditions,
        ),
        "second": node(
            "KSamplerAdvanced", model=["low", 0], add_noise="disable", noise_seed=0, start_at_step=2,
            end_at_step=4, return_with_leftover_noise="disable", latent_image=["first", 0], **sampling, **conditions,
        ),
        "decode": node("VAEDecode", samples=["second", 0], vae=["vae", 0]),
        "video": node("CreateVideo", images=["decode", 0], fps=16.0),
        "save": node("SaveVideo", video=["video", 0], filename_prefix="video/out", format="auto", codec="auto"),
    }  # fmt: skip


def edited(image: str) -> Graph:
    """A picture turned inside out."""
    return {
        "photo": node("LoadImage", image=image),
        "invert": node("ImageInvert", image=["photo", 0]),
        "save": node("SaveImage", images=["invert", 0], filename_prefix="out"),
    }


def node(class_type: str, /, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}
