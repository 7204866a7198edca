"""Paints an artwork so that one sees what was asked for, and that it is a sandbox's work."""

import functools
import random

from PIL import Image, ImageDraw

from runtime.sandbox.comfyui import png
from runtime.sandbox.comfyui.painting import edits
from runtime.sandbox.comfyui.painting.caption import Caption, accent_of, write
from runtime.sandbox.comfyui.painting.landscapes import LANDSCAPES
from runtime.sandbox.comfyui.painting.layers import Layer, Sheet, compose
from runtime.sandbox.comfyui.painting.scene import Scene, scene_of
from runtime.sandbox.comfyui.painting.subjects import SUBJECTS
from runtime.sandbox.comfyui.values import Artwork

PAN = 0.35
"""How much wider than the view the nearest layer of a film is."""


class Artist:
    """A `Painter` for people to look at."""

    def paint(self, artwork: Artwork, width: int, height: int, variation: int, count: int) -> Image.Image:
        """A landscape, an edit of the input pictures, or a frame of a panning landscape; always with a caption."""
        if artwork.is_film and count > 1:
            return self._frame(artwork, width, height, variation, count)
        if artwork.inputs:
            picture = edits.edited(artwork, width, height, variation)
        else:
            picture = compose(_layers(scene_of(artwork, variation), width, height, 0.0), width, height)
        place = f"  ·  {variation + 1} of {count}" if count > 1 else ""
        write(picture, Caption(artwork.command, artwork.prompt, f"seed {artwork.seed}  ·  {width} x {height}{place}"))
        return picture

    def encode(self, picture: Image.Image) -> bytes:
        return png.encode(picture)

    def _frame(self, artwork: Artwork, width: int, height: int, index: int, count: int) -> Image.Image:
        moment = index / (count - 1)
        picture = compose(_film_layers(scene_of(artwork, 0), width, height), width, height, moment)
        detail = f"seed {artwork.seed}  ·  {width} x {height}  ·  frame {index + 1} of {count}"
        write(picture, Caption(artwork.command, artwork.prompt, detail))
        bar = max(2, round(height * 0.008))
        ImageDraw.Draw(picture).rectangle((0, height - bar, round(width * moment), height), accent_of(artwork.command))
        return picture


def _layers(scene: Scene, width: int, height: int, pan: float) -> list[Layer]:
    chance = random.Random(scene.key)

    def sheet_of(speed: float) -> Sheet:
        return Sheet(round(width * (1 + pan * speed)), height, chance)

    layers = LANDSCAPES[scene.landscape](sheet_of)
    if scene.subject:
        layers.append(Layer(SUBJECTS[scene.subject](sheet_of(0)), sway=0.018))
    return layers


@functools.lru_cache(maxsize=2)
def _film_layers(scene: Scene, width: int, height: int) -> list[Layer]:
    """Drawn once for all frames of a film."""
    return _layers(scene, width, height, PAN)
