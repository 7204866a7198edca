"""The sign on a shirt or a sticker: a swan, a cat, a heart or a star, about 0.16 of the picture wide."""

import math
from collections.abc import Callable

from runtime.sandbox.comfyui.painting.layers import Colour, mixed
from runtime.sandbox.comfyui.painting.subjects import Easel

Place = Callable[[float, float], tuple[float, float]]
"""From an offset within the emblem to where it is on the easel."""


def add_emblem(easel: Easel, words: set[str], ink: Colour, place: tuple[float, float], size: float) -> None:
    """Draw the emblem that the words of a prompt ask for, a star if none does."""

    def at(x: float, y: float) -> tuple[float, float]:
        return place[0] + x * size, place[1] + y * size

    draw = next((emblem for asked, emblem in EMBLEMS if words & asked), star)
    draw(easel, at, size, ink)


def swan(easel: Easel, at: Place, size: float, ink: Colour) -> None:
    easel.oval(*at(0.01, 0.045), 0.072 * size, 0.036 * size, ink)
    easel.polygon([at(0.03, 0.02), at(0.10, -0.015), at(0.082, 0.05)], ink)
    neck = [at(-0.05, 0.04), at(-0.062, 0.0), at(-0.045, -0.032), at(-0.034, -0.058), at(-0.047, -0.078)]
    easel.limb(neck, 0.02 * size, ink)
    easel.oval(*at(-0.052, -0.08), 0.018 * size, 0.015 * size, ink)
    easel.polygon([at(-0.066, -0.088), at(-0.098, -0.071), at(-0.064, -0.070)], (244, 140, 54))
    easel.oval(*at(-0.055, -0.084), 0.0035 * size, 0.0035 * size, (30, 30, 40))
    wing = mixed(ink, (120, 130, 160), 0.5)
    easel.arc(*at(0.03, 0.042), 0.035 * size, 0.018 * size, 20, 160, 0.005 * size, wing)


def cat(easel: Easel, at: Place, size: float, ink: Colour) -> None:
    for side in (-1, 1):
        easel.polygon([at(side * 0.06, 0.0), at(side * 0.058, -0.075), at(side * 0.012, -0.035)], ink)
    easel.oval(*at(0, 0.012), 0.062 * size, 0.054 * size, ink)
    for side in (-1, 1):
        easel.oval(*at(side * 0.024, 0.0), 0.008 * size, 0.010 * size, (30, 34, 50))
    easel.oval(*at(0, 0.022), 0.007 * size, 0.005 * size, (230, 110, 120))


def heart(easel: Easel, at: Place, size: float, ink: Colour) -> None:
    for side in (-1, 1):
        easel.oval(*at(side * 0.03, -0.02), 0.034 * size, 0.034 * size, ink)
    easel.polygon([at(-0.061, -0.008), at(0.061, -0.008), at(0, 0.066)], ink)


def star(easel: Easel, at: Place, _: float, ink: Colour) -> None:
    points = []
    for index in range(10):
        reach = 0.072 if index % 2 == 0 else 0.031
        angle = math.tau * index / 10 - math.tau / 4
        points.append(at(reach * math.cos(angle), reach * math.sin(angle)))
    easel.polygon(points, ink)


EMBLEMS: tuple[tuple[frozenset[str], Callable[[Easel, Place, float, Colour], None]], ...] = (
    (frozenset({"swan", "bird", "duck"}), swan),
    (frozenset({"cat", "dog", "dalmatian", "kitten"}), cat),
    (frozenset({"heart", "love"}), heart),
)
