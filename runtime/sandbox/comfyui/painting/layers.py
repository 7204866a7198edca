"""A picture as layers, far ones first: drawn once, then put together for a still or, panned, for a film."""

import itertools
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[int, int, int]
Point = tuple[float, float]

SMOOTH = 2
"""Shapes are drawn this much larger and scaled down, which smooths their edges."""


@dataclass(frozen=True, slots=True)
class Layer:
    """picture: RGB (the sky) or RGBA, wider than the view if it pans. sway: how far it bobs, in parts of the height."""

    picture: Image.Image
    sway: float = 0.0


@dataclass(frozen=True, slots=True)
class Sheet:
    """Where one layer is drawn: `width` x `height` pixels, and the scene's own randomness."""

    width: int
    height: int
    chance: random.Random

    @property
    def unit(self) -> float:
        """A length that suits the picture's size: its shorter side."""
        return float(min(self.width, self.height))

    def shape(self, draw: Callable[[ImageDraw.ImageDraw, int], None], colour: Image.Image | Colour) -> Image.Image:
        """An RGBA layer: `draw(pen, scale)` draws white on an enlarged mask, `colour` fills it."""
        factor = SMOOTH if max(self.width, self.height) <= 2048 else 1
        mask = Image.new("L", (self.width * factor, self.height * factor))
        draw(ImageDraw.Draw(mask), factor)
        mask = mask.reduce(factor) if factor > 1 else mask
        filled = colour if isinstance(colour, Image.Image) else Image.new("RGB", mask.size, colour)
        filled = filled.convert("RGBA")
        filled.putalpha(mask)
        return filled

    def gradient(self, *stops: tuple[float, Colour]) -> Image.Image:
        """RGB from top to bottom; a stop is (part of the height, colour)."""
        column = Image.new("RGB", (1, 256))
        for row in range(256):
            column.putpixel((0, row), _between(stops, row / 255))
        return column.resize((self.width, self.height), Image.Resampling.BICUBIC)

    def ridge(self, base: float, height: float, roughness: float) -> list[Point]:
        """A skyline from left to right in pixels, about `base` from the top and `height` high (parts of the height)."""
        heights = [self.chance.uniform(-0.5, 0.5), self.chance.uniform(-0.5, 0.5)]
        spread = 0.6
        while len(heights) < 129:
            middles = [(a + b) / 2 + self.chance.uniform(-spread, spread) for a, b in itertools.pairwise(heights)]
            heights = [one for pair in zip(heights, [*middles, 0.0], strict=True) for one in pair][:-1]
            spread *= roughness
        step = self.width / (len(heights) - 1)
        return [(index * step, (base - value * height) * self.height) for index, value in enumerate(heights)]

    def land(self, skyline: Sequence[Point], top: Colour, bottom: Colour) -> Image.Image:
        """Everything below a skyline."""
        highest = min(y for _, y in skyline) / self.height
        fill = self.gradient((max(0.0, highest), top), (1.0, bottom))

        def draw(pen: ImageDraw.ImageDraw, scale: int) -> None:
            points = [(x * scale, y * scale) for x, y in skyline]
            floor = self.height * scale
            pen.polygon([(0, floor), *points, (self.width * scale, floor)], fill=255)

        return self.shape(draw, fill)

    def clear(self) -> Image.Image:
        return Image.new("RGBA", (self.width, self.height), (0, 0, 0, 0))


def glow(picture: Image.Image, centre: Point, radius: float, colour: Colour, strength: float) -> None:
    """Light around a point, in place."""
    size = max(2, round(radius * 2))
    light = (
        Image.radial_gradient("L").resize((size, size)).point(lambda value: int(max(0, 255 - value * 1.42) * strength))
    )
    corner = round(centre[0] - size / 2), round(centre[1] - size / 2)
    picture.paste(Image.new("RGB", (size, size), colour), corner, light)


def disc(picture: Image.Image, centre: Point, radius: float, colour: Colour, soft: float = 0.0) -> None:
    """A filled circle with a smooth edge, in place."""
    size = max(2, round(radius * 2))
    mask = Image.new("L", (size * 4, size * 4))
    ImageDraw.Draw(mask).ellipse((2, 2, size * 4 - 3, size * 4 - 3), fill=255)
    mask = mask.reduce(4)
    if soft:
        mask = mask.filter(ImageFilter.GaussianBlur(soft))
    picture.paste(Image.new("RGB", mask.size, colour), (round(centre[0] - size / 2), round(centre[1] - size / 2)), mask)


def compose(layers: Sequence[Layer], width: int, height: int, moment: float = 0.5) -> Image.Image:
    """The view of width x height at a moment from 0 to 1. The wider a layer, the faster it passes."""
    view = Image.new("RGB", (width, height))
    for layer in layers:
        left = -round((layer.picture.width - width) * moment)
        top = round(math.sin(moment * math.tau * 2) * layer.sway * height)
        view.paste(layer.picture, (left, top), layer.picture if layer.picture.mode == "RGBA" else None)
    return view


def mixed(first: Colour, second: Colour, share: float) -> Colour:
    """`share` of the second colour in the first."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def _between(stops: Sequence[tuple[float, Colour]], place: float) -> Colour:
    before = stops[0]
    for stop in stops:
        if place <= stop[0]:
            gap = stop[0] - before[0]
            return mixed(before[1], stop[1], (place - before[0]) / gap if gap > 0 else 1.0)
        before = stop
    return before[1]
