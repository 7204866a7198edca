"""Nodes from pictures to pictures."""

import math
from fractions import Fraction
from pathlib import Path

from PIL import Image, ImageFile, ImageOps, ImageSequence, UnidentifiedImageError

from runtime.sandbox.comfyui.nodes.recipe import NodeFailure, NodeRun, node
from runtime.sandbox.comfyui.result_cache import NodeResult
from runtime.sandbox.comfyui.values import Images, Mask, Video

METHODS = {
    "nearest-exact": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "area": Image.Resampling.BOX,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@node("LoadImage")
async def load_image(run: NodeRun) -> NodeResult:
    """Reads the file now. A file that is no picture fails here, with PIL.UnidentifiedImageError."""
    path = run.storage.input_path(run.inputs["image"])

    images = Images.of(await run.compute(lambda: _read(path)))
    return NodeResult((images, Mask(images.width, images.height)))


@node("EmptyImage")
async def empty_image(run: NodeRun) -> NodeResult:
    width, height, color = run.inputs["width"], run.inputs["height"], run.inputs["color"]
    red, green, blue = color >> 16 & 255, color >> 8 & 255, color & 255
    count = run.inputs["batch_size"]
    return NodeResult((Images(width, height, count, lambda _: Image.new("RGB", (width, height), (red, green, blue))),))


@node("ImageInvert")
async def invert(run: NodeRun) -> NodeResult:
    images: Images = run.inputs["image"]
    return NodeResult((images.mapped(ImageOps.invert, images.width, images.height),))


@node("ImageScale")
async def scale(run: NodeRun) -> NodeResult:
    images: Images = run.inputs["image"]
    width, height = run.inputs["width"], run.inputs["height"]
    if width == 0 and height == 0:
        return NodeResult((images,))
    width = width or max(1, round(images.width * height / images.height))
    height = height or max(1, round(images.height * width / images.width))
    return _resized(images, width, height, run.inputs["upscale_method"], fills=run.inputs["crop"] == "center")


@node("ImageScaleBy")
async def scale_by(run: NodeRun) -> NodeResult:
    images: Images = run.inputs["image"]
    factor = run.inputs["scale_by"]
    return _resized(images, round(images.width * factor), round(images.height * factor), run.inputs["upscale_method"])


@node("ImageScaleToTotalPixels")
async def scale_to_pixels(run: NodeRun) -> NodeResult:
    """A megapixel is 1024 x 1024; the shape is kept as nearly as whole pixels allow."""
    images: Images = run.inputs["image"]
    factor = math.sqrt(int(run.inputs["megapixels"] * 1024 * 1024) / (images.width * images.height))
    return _resized(images, round(images.width * factor), round(images.height * factor), run.inputs["upscale_method"])


@node("ImageUpscaleWithModel")
async def upscale_with_model(run: NodeRun) -> NodeResult:
    images: Images = run.inputs["image"]
    return _resized(images, images.width * 4, images.height * 4, "lanczos")


@node("ImageCrop")
async def crop(run: NodeRun) -> NodeResult:
    images: Images = run.inputs["image"]
    left, top = min(run.inputs["x"], images.width - 1), min(run.inputs["y"], images.height - 1)
    right, bottom = min(images.width, left + run.inputs["width"]), min(images.height, top + run.inputs["height"])
    box = (left, top, right, bottom)
    return NodeResult((images.mapped(lambda picture: picture.crop(box), right - left, bottom - top),))


@node("ImageFromBatch")
async def image_from_batch(run: NodeRun) -> NodeResult:
    images: Images = run.inputs["image"]
    start = min(images.count - 1, run.inputs["batch_index"])
    return NodeResult((images.picked(range(start, min(images.count, start + run.inputs["length"]))),))


@node("RepeatImageBatch")
async def repeat_images(run: NodeRun) -> NodeResult:
    images: Images = run.inputs["image"]
    return NodeResult((images.picked([*range(images.count)] * run.inputs["amount"]),))


@node("ImageBatch")
async def batch_images(run: NodeRun) -> NodeResult:
    first: Images = run.inputs["image1"]
    second: Images = run.inputs["image2"]
    size = (first.width, first.height)
    second = second.mapped(lambda picture: ImageOps.fit(picture, size), *size)

    def paint(index: int) -> Image.Image:
        return first.paint(index) if index < first.count else second.paint(index - first.count)

    return NodeResult((Images(*size, first.count + second.count, paint),))


@node("CreateVideo")
async def create_video(run: NodeRun) -> NodeResult:
    return NodeResult((Video(run.inputs["images"], Fraction(run.inputs["fps"])),))


def _read(path: Path) -> list[Image.Image]:
    """The frames of a file, upright. A truncated file gives what is there of it."""
    try:
        return _frames(path)
    except UnidentifiedImageError:
        raise
    except OSError:
        before, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, True
        try:
            return _frames(path)
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = before


def _frames(path: Path) -> list[Image.Image]:
    with Image.open(path) as file:
        frames = [ImageOps.exif_transpose(frame).convert("RGB") for frame in ImageSequence.Iterator(file)]
        return frames[:1] if file.format == "MPO" else [frame for frame in frames if frame.size == frames[0].size]


def _resized(images: Images, width: int, height: int, method: str, *, fills: bool = False) -> NodeResult:
    if method not in METHODS:
        message = f"Input Error: Only 3D, 4D and 5D input Tensors supported (got 4D) for the mode {method}"
        raise NodeFailure("NotImplementedError", message)
    resampling = METHODS[method]

    def change(picture: Image.Image) -> Image.Image:
        if fills:
            return ImageOps.fit(picture, (width, height), resampling)
        return picture.resize((width, height), resampling)

    return NodeResult((images.mapped(change, width, height),))
