"""Who paints: an artist for people to look at, or nobody, for measurements."""

import functools
from typing import Protocol

from PIL import Image

from runtime.sandbox.comfyui import png
from runtime.sandbox.comfyui.values import Artwork


class Painter(Protocol):
    """Turns an artwork into an RGB picture of exactly width x height, the same one every time."""

    def paint(self, artwork: Artwork, width: int, height: int, variation: int, count: int) -> Image.Image:
        """Picture `variation` of a batch of `count`, or that frame of a film."""
        ...

    def encode(self, picture: Image.Image) -> bytes:
        """The picture as PNG."""
        ...


class BlankPainter:
    """Grey pictures that cost nothing: what is left is the cost of the protocol."""

    def paint(self, artwork: Artwork, width: int, height: int, variation: int, count: int) -> Image.Image:
        return _grey(width, height)[0]

    def encode(self, picture: Image.Image) -> bytes:
        picture_and_png = _grey(*picture.size)
        return picture_and_png[1] if picture is picture_and_png[0] else png.encode(picture)


@functools.lru_cache(maxsize=64)
def _grey(width: int, height: int) -> tuple[Image.Image, bytes]:
    picture = Image.new("RGB", (width, height), (96, 104, 112))
    return picture, png.encode(picture)
