"""Empty latents, batches of latents, and the way between pictures and latents. One latent cell is 8 pixels."""

from dataclasses import replace

from PIL import Image

from runtime.sandbox.comfyui.nodes.recipe import NodeRun, OutOfMemory, node
from runtime.sandbox.comfyui.result_cache import NodeResult
from runtime.sandbox.comfyui.values import Images, Latent

CELL = 8
LARGEST_PIXELS = 64 * 1024 * 1024
"""More pixels than this in one picture do not fit the pretended card."""

UNSAMPLED = (127, 123, 120)
"""About what a latent of zeros decodes to."""


@node("EmptyLatentImage", "EmptySD3LatentImage")
async def empty_latent(run: NodeRun) -> NodeResult:
    width, height = _cells(run.inputs["width"]), _cells(run.inputs["height"])
    return NodeResult((Latent(width, height, tuple(range(run.inputs["batch_size"]))),))


@node("EmptyHunyuanLatentVideo")
async def empty_film(run: NodeRun) -> NodeResult:
    """Frames come in fours behind the first: length 81 gives 81, length 80 gives 77."""
    width, height = _cells(run.inputs["width"]), _cells(run.inputs["height"])
    frames = ((run.inputs["length"] - 1) // 4 * 4 + 1) * run.inputs["batch_size"]
    return NodeResult((Latent(width, height, tuple(range(frames)), is_film=True),))


@node("RepeatLatentBatch")
async def repeat_latent(run: NodeRun) -> NodeResult:
    latent: Latent = run.inputs["samples"]
    count, amount = len(latent.indices), run.inputs["amount"]
    step = max(latent.indices) + 1
    if latent.source is not None or latent.artwork is not None:
        return NodeResult((latent.picked(latent.indices * amount),))
    return NodeResult((latent.picked([latent.indices[i % count] + i // count * step for i in range(count * amount)]),))


@node("LatentFromBatch")
async def latent_from_batch(run: NodeRun) -> NodeResult:
    latent: Latent = run.inputs["samples"]
    start = min(len(latent.indices) - 1, run.inputs["batch_index"])
    return NodeResult((latent.picked(latent.indices[start : start + run.inputs["length"]]),))


@node("LatentUpscale")
async def upscale_latent(run: NodeRun) -> NodeResult:
    latent: Latent = run.inputs["samples"]
    width, height = run.inputs["width"], run.inputs["height"]
    if width == 0 and height == 0:
        return NodeResult((latent,))
    width = max(64, width or round(latent.width * height / latent.height))
    height = max(64, height or round(latent.height * width / latent.width))
    return NodeResult((replace(latent, width=_cells(width), height=_cells(height)),))


@node("VAEEncode")
async def encode_pictures(run: NodeRun) -> NodeResult:
    """Width and height are cut to whole cells, from both sides."""
    pixels: Images = run.inputs["pixels"]
    width, height = _cells(pixels.width), _cells(pixels.height)
    left, top = (pixels.width - width) // 2, (pixels.height - height) // 2

    def crop(picture: Image.Image) -> Image.Image:
        return picture.crop((left, top, left + width, top + height))

    source = pixels.mapped(crop, width, height)
    return NodeResult((Latent(width, height, tuple(range(pixels.count)), source=source),))


@node("VAEDecode")
async def decode_latent(run: NodeRun) -> NodeResult:
    latent: Latent = run.inputs["samples"]
    if latent.width * latent.height > LARGEST_PIXELS:
        raise OutOfMemory
    artwork, size, indices = latent.artwork, (latent.width, latent.height), latent.indices

    def paint(position: int) -> Image.Image:
        if artwork is not None:
            return run.painter.paint(artwork, *size, indices[position], len(indices))
        if latent.source is not None:
            return latent.source.paint(indices[position] % latent.source.count).resize(size)
        return Image.new("RGB", size, UNSAMPLED)

    return NodeResult((Images(*size, len(indices), paint),))


def _cells(pixels: int) -> int:
    return max(CELL, pixels // CELL * CELL)
