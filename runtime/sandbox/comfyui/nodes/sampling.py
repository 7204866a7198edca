"""The samplers: they take their steps, report each, and leave an artwork in the latent."""

import io
from dataclasses import replace

from PIL import Image, ImageFilter, ImageOps

from runtime.sandbox.comfyui.nodes.recipe import NodeRun, Preview, node
from runtime.sandbox.comfyui.result_cache import NodeResult
from runtime.sandbox.comfyui.sockets import JPEG
from runtime.sandbox.comfyui.values import Artwork, Conditioning, Latent, Weights

PREVIEW_SIZE = 512
FAMILIES = ("flux", "qwen", "wan", "sd3", "sdxl")


@node("KSampler")
async def sample(run: NodeRun) -> NodeResult:
    return await _sampled(run, run.inputs["seed"], run.inputs["steps"])


@node("KSamplerAdvanced")
async def sample_part(run: NodeRun) -> NodeResult:
    """Takes the steps from start_at_step to end_at_step; without new noise it goes on with what was begun."""
    steps = min(run.inputs["steps"], run.inputs["end_at_step"]) - run.inputs["start_at_step"]
    return await _sampled(run, run.inputs["noise_seed"], max(0, steps), adds_noise=run.inputs["add_noise"] == "enable")


async def _sampled(run: NodeRun, seed: int, steps: int, *, adds_noise: bool = True) -> NodeResult:
    latent: Latent = run.inputs["latent_image"]
    positive: Conditioning = run.inputs["positive"]
    artwork = latent.artwork
    if adds_noise or artwork is None:
        inputs = positive.pictures or ((latent.source,) if latent.source else ())
        artwork = Artwork(_family(run.inputs["model"]), positive.text, seed, inputs, latent.is_film)
    preview = await run.compute(lambda: _preview(run, artwork, latent)) if run.has_previews else None
    for step in range(1, steps + 1):
        await run.wait(run.pace.film_step_seconds if latent.is_film else run.pace.step_seconds)
        run.report(step, steps, _at_step(preview, step / steps) if preview else None)
    return NodeResult((replace(latent, artwork=artwork, source=None),))


def _family(model: Weights) -> str:
    """The command that probably wants this, by the name of the model file."""
    name = model.files[0].lower() if model.files else ""
    return next((family for family in FAMILIES if family in name), name.split(".")[0][:16] or "model")


def _preview(run: NodeRun, artwork: Artwork, latent: Latent) -> Image.Image:
    scale = PREVIEW_SIZE / 2 / max(latent.width, latent.height)
    size = max(8, round(latent.width * scale)), max(8, round(latent.height * scale))
    return run.painter.paint(artwork, *size, latent.indices[0], len(latent.indices))


def _at_step(picture: Image.Image, done: float) -> Preview:
    """The picture as blurred as it would be so early, as JPEG of up to 512 pixels."""
    blurred = picture.filter(ImageFilter.GaussianBlur(18 * (1 - done)))
    file = io.BytesIO()
    ImageOps.contain(blurred, (PREVIEW_SIZE, PREVIEW_SIZE)).save(file, "JPEG", quality=95)
    return file.getvalue(), JPEG
