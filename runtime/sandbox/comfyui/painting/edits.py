"""A visible edit of given pictures: clothes on the chest, or a sticker, in a frame."""

import random
import re
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageOps

from runtime.sandbox.comfyui.painting.caption import accent_of
from runtime.sandbox.comfyui.painting.emblems import add_emblem
from runtime.sandbox.comfyui.painting.layers import Colour, Sheet, mixed
from runtime.sandbox.comfyui.painting.subjects import CHEST_WIDTH, Easel
from runtime.sandbox.comfyui.values import Artwork

CLOTHES = {
    "shirt", "tshirt", "t-shirt", "tee", "sweater", "hoodie", "dress", "jacket", "coat", "clothes", "clothing", "wear",
    "wearing", "suit", "top",
}  # fmt: skip
COLOURS: dict[str, Colour] = {
    "red": (216, 62, 62),
    "blue": (58, 110, 214),
    "green": (52, 160, 96),
    "yellow": (250, 206, 74),
    "black": (44, 46, 56),
    "white": (246, 246, 250),
    "pink": (246, 140, 178),
    "orange": (244, 140, 54),
    "purple": (136, 92, 212),
}


def edited(artwork: Artwork, width: int, height: int, variation: int) -> Image.Image:
    """The artwork's input pictures side by side, framed in the command's colour, with the edit on them."""
    chance = random.Random(f"{artwork.prompt}|{artwork.seed}|{variation}")
    pictures = [images.paint(variation % images.count) for images in artwork.inputs]
    canvas = _side_by_side(pictures, width, height)
    words = set(re.findall(r"[\w-]+", artwork.prompt.lower()))
    sheet = Sheet(width, height, chance)
    canvas.paste(layer := _clothes(sheet, words) if words & CLOTHES else _sticker(sheet, words), (0, 0), layer)
    _frame(canvas, accent_of(artwork.command))
    return canvas


def _side_by_side(pictures: Sequence[Image.Image], width: int, height: int) -> Image.Image:
    """One picture fills the canvas; several share it in columns, or in rows where it is tall."""
    if len(pictures) == 1:
        return ImageOps.fit(pictures[0], (width, height), Image.Resampling.LANCZOS)
    canvas = Image.new("RGB", (width, height), (16, 18, 30))
    is_wide = width >= height
    share = (width if is_wide else height) / len(pictures)
    gap = max(1, round(min(width, height) * 0.006))
    for index, picture in enumerate(pictures):
        start, end = round(index * share), round((index + 1) * share) - (gap if index < len(pictures) - 1 else 0)
        size = (max(1, end - start), height) if is_wide else (width, max(1, end - start))
        fitted = ImageOps.fit(picture, size, Image.Resampling.LANCZOS)
        canvas.paste(fitted, (start, 0) if is_wide else (0, start))
    return canvas


def _clothes(sheet: Sheet, words: set[str]) -> Image.Image:
    """A t-shirt where the chest of our own subjects is."""
    easel = Easel(sheet)
    cloth = _colour(sheet, words)
    fold, ink = mixed(cloth, (0, 0, 0), 0.16), (250, 250, 252) if sum(cloth) < 480 else (48, 52, 78)
    half = CHEST_WIDTH * 0.62
    for side in (-1, 1):
        sleeve = [(side * half * 0.55, -0.125), (side * half, -0.10), (side * half * 1.5, 0.02)]
        easel.polygon([*sleeve, (side * half * 1.12, 0.07), (side * half * 0.8, 0.0)], fold)
    body = [(-half * 0.62, -0.13), (half * 0.62, -0.13), (half, -0.09), (half * 0.98, 0.18), (-half * 0.98, 0.18)]
    easel.polygon([*body, (-half, -0.09)], cloth)
    easel.block(0, 0.18, half * 0.98, 0.012, 0.01, fold)
    easel.oval(0, -0.135, half * 0.42, 0.034, fold)
    easel.oval(0, -0.142, half * 0.34, 0.027, mixed(cloth, (0, 0, 0), 0.45))
    add_emblem(easel, words, ink, (0, 0.035), 1.0)
    return easel.done()


def _sticker(sheet: Sheet, words: set[str]) -> Image.Image:
    """A round badge in the upper right corner of a picture whose edit we cannot show."""
    easel = Easel(sheet)
    colour = _colour(sheet, words)
    reach = sheet.width / sheet.unit / 2, sheet.height / sheet.unit
    place = (reach[0] - 0.19, 0.19 - reach[1] * 0.615)
    easel.oval(*place, 0.125, 0.125, (255, 255, 255))
    easel.oval(*place, 0.113, 0.113, colour)
    add_emblem(easel, words, (255, 255, 255) if sum(colour) < 560 else (48, 52, 78), place, 0.95)
    return easel.done()


def _colour(sheet: Sheet, words: set[str]) -> Colour:
    """The colour that the prompt names, else any."""
    named = [colour for name, colour in COLOURS.items() if name in words]
    return named[0] if named else sheet.chance.choice([COLOURS[name] for name in ("red", "blue", "green", "purple")])


def _frame(canvas: Image.Image, colour: Colour) -> None:
    width, height = canvas.size
    thick = max(1, round(min(width, height) * 0.012))
    ImageDraw.Draw(canvas).rectangle((0, 0, width - 1, height - 1), outline=colour, width=thick)
