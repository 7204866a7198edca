"""Who stands in the picture: an astronaut, a cat or a person, centred so that clothes fit on the chest."""

import math
from collections.abc import Callable

from PIL import Image, ImageDraw

from runtime.sandbox.comfyui.painting.layers import Colour, Sheet, mixed

CHEST = (0.5, 0.615)
"""Centre of the chest, in parts of width and height."""
CHEST_WIDTH = 0.25
"""Width of the chest, in parts of the shorter side."""


class Easel:
    """Draws on an enlarged RGBA sheet, in parts of the shorter side around the chest."""

    def __init__(self, sheet: Sheet, scale: int = 2) -> None:
        self._scale = scale
        self._unit = sheet.unit * scale
        self._centre = sheet.width * CHEST[0] * scale, sheet.height * CHEST[1] * scale
        self._image = Image.new("RGBA", (sheet.width * scale, sheet.height * scale), (0, 0, 0, 0))
        self._pen = ImageDraw.Draw(self._image)

    def _at(self, x: float, y: float) -> tuple[float, float]:
        return self._centre[0] + x * self._unit, self._centre[1] + y * self._unit

    def oval(self, x: float, y: float, wide: float, high: float, colour: Colour) -> None:
        (left, top), (right, bottom) = self._at(x - wide, y - high), self._at(x + wide, y + high)
        self._pen.ellipse((left, top, right, bottom), fill=(*colour, 255))

    def block(self, x: float, y: float, wide: float, high: float, round_by: float, colour: Colour) -> None:
        (left, top), (right, bottom) = self._at(x - wide, y - high), self._at(x + wide, y + high)
        self._pen.rounded_rectangle((left, top, right, bottom), round_by * self._unit, fill=(*colour, 255))

    def polygon(self, points: list[tuple[float, float]], colour: Colour) -> None:
        self._pen.polygon([self._at(*point) for point in points], fill=(*colour, 255))

    def limb(self, points: list[tuple[float, float]], thick: float, colour: Colour) -> None:
        """A bent tube with round ends."""
        self._pen.line(
            [self._at(*point) for point in points], fill=(*colour, 255), width=max(1, round(thick * self._unit))
        )
        for x, y in points:
            self.oval(x, y, thick / 2, thick / 2, colour)

    def arc(
        self, x: float, y: float, wide: float, high: float, start: int, end: int, thick: float, colour: Colour
    ) -> None:
        (left, top), (right, bottom) = self._at(x - wide, y - high), self._at(x + wide, y + high)
        width = max(1, round(thick * self._unit))
        self._pen.arc((left, top, right, bottom), start, end, fill=(*colour, 255), width=width)

    def done(self) -> Image.Image:
        return self._image.reduce(self._scale)


def astronaut(sheet: Sheet) -> Image.Image:
    easel = Easel(sheet)
    suit, fold, dark = (238, 240, 246), (196, 202, 216), (70, 78, 98)
    accent = sheet.chance.choice(((232, 92, 64), (64, 132, 232), (240, 170, 50)))
    easel.block(0, -0.02, 0.17, 0.17, 0.04, (150, 156, 172))
    easel.limb([(-0.13, -0.09), (-0.23, 0.03), (-0.20, 0.16)], 0.085, fold)
    easel.limb([(0.13, -0.09), (0.25, -0.10), (0.29, -0.24)], 0.085, fold)
    easel.oval(-0.20, 0.18, 0.05, 0.05, dark)
    easel.oval(0.29, -0.26, 0.05, 0.05, dark)
    easel.limb([(-0.06, 0.14), (-0.075, 0.32)], 0.11, fold)
    easel.limb([(0.06, 0.14), (0.075, 0.32)], 0.11, fold)
    easel.block(-0.085, 0.375, 0.07, 0.035, 0.03, dark)
    easel.block(0.085, 0.375, 0.07, 0.035, 0.03, dark)
    easel.block(0, 0.02, 0.135, 0.17, 0.06, suit)
    easel.block(0, 0.16, 0.125, 0.016, 0.008, accent)
    easel.block(0, 0.045, 0.065, 0.042, 0.012, fold)
    for index, lamp in enumerate(((230, 80, 70), (250, 200, 70), (90, 200, 120))):
        easel.oval(-0.036 + index * 0.036, 0.034, 0.010, 0.010, lamp)
    easel.block(0, 0.066, 0.046, 0.007, 0.004, dark)
    easel.block(-0.188, -0.02, 0.042, 0.010, 0.005, accent)
    easel.oval(0, -0.27, 0.155, 0.15, suit)
    easel.oval(0, -0.26, 0.122, 0.108, accent)
    easel.oval(0, -0.26, 0.113, 0.099, (24, 30, 54))
    easel.oval(0.01, -0.245, 0.088, 0.07, (44, 58, 104))
    easel.oval(-0.045, -0.30, 0.034, 0.020, (214, 230, 255))
    easel.oval(0.055, -0.22, 0.014, 0.010, (150, 180, 240))
    easel.block(0, -0.125, 0.085, 0.02, 0.015, fold)
    return easel.done()


def person(sheet: Sheet) -> Image.Image:
    easel = Easel(sheet)
    skin = sheet.chance.choice(((244, 206, 176), (214, 160, 120), (146, 98, 70), (104, 70, 52)))
    hair = sheet.chance.choice(((52, 36, 30), (232, 190, 110), (150, 76, 40), (30, 30, 38), (170, 170, 178)))
    shirt = sheet.chance.choice(((226, 92, 84), (70, 120, 200), (250, 190, 80), (90, 160, 120), (150, 110, 200)))
    easel.oval(0, -0.25, 0.150, 0.165, hair)
    easel.block(0, -0.16, 0.142, 0.12, 0.06, hair)
    easel.block(-0.062, 0.26, 0.055, 0.15, 0.02, (54, 62, 92))
    easel.block(0.062, 0.26, 0.055, 0.15, 0.02, (48, 56, 84))
    easel.block(0, -0.12, 0.042, 0.06, 0.02, mixed(skin, (120, 60, 40), 0.2))
    easel.limb([(-0.12, -0.05), (-0.18, 0.08), (-0.165, 0.2)], 0.07, skin)
    easel.limb([(0.12, -0.05), (0.18, 0.08), (0.165, 0.2)], 0.07, skin)
    easel.block(0, 0.055, 0.135, 0.14, 0.06, shirt)
    easel.limb([(-0.11, -0.05), (-0.155, 0.04)], 0.085, shirt)
    easel.limb([(0.11, -0.05), (0.155, 0.04)], 0.085, shirt)
    easel.oval(0, -0.24, 0.108, 0.125, skin)
    easel.polygon([(-0.115, -0.26), (-0.09, -0.37), (0.06, -0.39), (0.118, -0.25), (0.05, -0.32), (-0.05, -0.31)], hair)
    for side in (-1, 1):
        easel.oval(side * 0.042, -0.245, 0.013, 0.016, (40, 40, 54))
        easel.oval(side * 0.046, -0.250, 0.005, 0.005, (255, 255, 255))
        easel.oval(side * 0.066, -0.205, 0.018, 0.011, mixed(skin, (230, 90, 90), 0.35))
    easel.arc(0, -0.21, 0.036, 0.03, 20, 160, 0.008, (150, 60, 60))
    return easel.done()


def cat(sheet: Sheet) -> Image.Image:
    easel = Easel(sheet)
    fur = sheet.chance.choice(((236, 150, 70), (90, 92, 104), (240, 232, 220), (60, 56, 62), (190, 160, 130)))
    stripe, belly = mixed(fur, (60, 30, 20), 0.35), mixed(fur, (255, 255, 255), 0.6)
    tail = [(0.12 + 0.13 * math.sin(t / 12 * 2.6), 0.26 - t / 12 * 0.3) for t in range(13)]
    easel.limb(tail, 0.05, stripe)
    easel.oval(0, 0.16, 0.17, 0.22, fur)
    easel.oval(0, 0.18, 0.10, 0.16, belly)
    for side in (-1, 1):
        easel.oval(side * 0.075, 0.36, 0.06, 0.032, mixed(fur, (255, 255, 255), 0.25))
        easel.polygon([(side * 0.16, -0.20), (side * 0.155, -0.40), (side * 0.04, -0.29)], fur)
        easel.polygon([(side * 0.14, -0.24), (side * 0.138, -0.35), (side * 0.07, -0.29)], (240, 160, 160))
    easel.oval(0, -0.17, 0.18, 0.15, fur)
    for index in (-1, 0, 1):
        easel.limb([(index * 0.035, -0.30), (index * 0.03, -0.25)], 0.014, stripe)
    easel.oval(0, -0.115, 0.085, 0.065, belly)
    for side in (-1, 1):
        easel.oval(side * 0.075, -0.185, 0.036, 0.040, (250, 250, 240))
        easel.oval(side * 0.075, -0.185, 0.028, 0.034, (96, 180, 110))
        easel.oval(side * 0.075, -0.185, 0.011, 0.031, (20, 20, 26))
        easel.oval(side * 0.075 + 0.008, -0.2, 0.007, 0.007, (255, 255, 255))
        easel.arc(side * 0.022, -0.118, 0.022, 0.020, 0, 180, 0.006, (90, 50, 50))
        for whisker in (-0.012, 0.008, 0.028):
            easel.limb(
                [(side * 0.05, -0.125 + whisker * 0.6), (side * 0.19, -0.13 + whisker * 2.4)], 0.003, (250, 250, 250)
            )
    easel.polygon([(-0.018, -0.145), (0.018, -0.145), (0, -0.124)], (220, 110, 120))
    return easel.done()


SUBJECTS: dict[str, Callable[[Sheet], Image.Image]] = {"astronaut": astronaut, "person": person, "cat": cat}
