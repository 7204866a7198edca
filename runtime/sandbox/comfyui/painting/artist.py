"""Paints an artwork so that one sees what was asked for."""

from PIL import Image, ImageDraw

from runtime.sandbox.comfyui import png
from runtime.sandbox.comfyui.values import Artwork


class Artist:
    def paint(self, artwork: Artwork, width: int, height: int, variation: int, count: int) -> Image.Image:
        picture = Image.new(
            "RGB", (width, height), (hash(artwork.prompt) % 255, artwork.seed % 255, variation * 20 % 255)
        )
        ImageDraw.Draw(picture).text((4, 4), "sandbox")
        return picture

    def encode(self, picture: Image.Image) -> bytes:
        return png.encode(picture)
