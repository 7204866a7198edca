"""Six landscapes: beach, mountains, space, city, meadow, dunes."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFilter

from runtime.sandbox.comfyui.painting.layers import Colour, Layer, Sheet, disc, glow, mixed

WHITE: Colour = (255, 255, 255)


@dataclass(frozen=True, slots=True)
class Light:
    """A time of day: the sky from top to horizon, the sun, and the tint of what is far away."""

    sky: tuple[Colour, Colour, Colour]
    sun: Colour
    haze: Colour


DAWN = Light(((62, 92, 160), (214, 156, 178), (255, 214, 170)), (255, 240, 214), (236, 190, 180))
NOON = Light(((38, 118, 200), (112, 184, 232), (206, 234, 246)), (255, 250, 226), (176, 212, 232))
SUNSET = Light(((46, 38, 98), (202, 84, 96), (255, 178, 92)), (255, 226, 150), (222, 124, 98))
DUSK = Light(((18, 24, 66), (72, 62, 130), (206, 120, 140)), (255, 224, 214), (116, 88, 142))
NIGHT = Light(((8, 10, 34), (22, 28, 74), (58, 64, 128)), (240, 240, 255), (50, 58, 112))
SPACE = Light(((4, 5, 18), (12, 12, 42), (34, 24, 74)), (250, 246, 236), (64, 52, 104))

SheetOf = Callable[[float], Sheet]
"""Gives a sheet for a layer by how fast it pans: 0 is fixed, 1 is the fastest."""


def beach(sheet_of: SheetOf) -> list[Layer]:
    chance = sheet_of(0).chance
    light = chance.choice((DAWN, NOON, SUNSET))
    sky, sun = _sky(sheet_of(0), light, low_sun=light is not NOON)
    sea = sheet_of(0.25)
    horizon = 0.56
    deep, near = mixed(light.sky[0], (0, 70, 110), 0.5), mixed(light.haze, (40, 170, 180), 0.6)
    water = sea.land([(0, horizon * sea.height), (sea.width, horizon * sea.height)], mixed(near, light.haze, 0.4), deep)
    pen = ImageDraw.Draw(water)
    for _ in range(140):
        depth = chance.random() ** 1.6
        y = (horizon + 0.01 + depth * 0.3) * sea.height
        reach = (0.01 + depth * 0.09) * sea.unit
        x = sun[0] / sheet_of(0).width * sea.width + chance.gauss(0, 0.06 + depth * 0.22) * sea.width
        width = max(1, round((0.002 + depth * 0.004) * sea.unit))
        pen.line((x - reach, y, x + reach, y), fill=(*mixed(light.sun, WHITE, 0.3), 215), width=width)
    sand = sheet_of(0.7)
    shore = [(x / 60 * sand.width, (0.8 + 0.035 * math.sin(x / 60 * 7 + 1)) * sand.height) for x in range(61)]
    foam = [(x, y - 0.012 * sand.height) for x, y in shore]
    ground = mixed((238, 212, 160), light.haze, 0.25)
    return [Layer(sky), Layer(water), Layer(sand.land(foam, WHITE, WHITE)), Layer(_grainy(sand, shore, ground))]


def mountains(sheet_of: SheetOf) -> list[Layer]:
    chance = sheet_of(0).chance
    light = chance.choice((DAWN, NOON, SUNSET, DUSK))
    sky, _ = _sky(sheet_of(0), light, low_sun=light is not NOON)
    layers = [Layer(sky)]
    rock = chance.choice(((44, 62, 92), (54, 58, 84), (38, 70, 84)))
    for index in range(4):
        near = index / 3
        sheet = sheet_of(0.1 + near * 0.6)
        skyline = sheet.ridge(0.5 + 0.12 * index, 0.30 - 0.055 * index, 0.58 - 0.03 * index)
        top = mixed(light.haze, rock, 0.25 + 0.6 * near)
        layers.append(Layer(sheet.land(skyline, top, mixed(top, light.haze, 0.45 * (1 - near)))))
    sheet = sheet_of(1)
    skyline = sheet.ridge(0.9, 0.06, 0.5)
    forest = sheet.land(skyline, mixed(rock, (8, 24, 26), 0.75), (6, 16, 20))
    layers.append(Layer(_with_pines(sheet, forest, skyline, mixed(rock, (6, 20, 24), 0.85))))
    return layers


def space(sheet_of: SheetOf) -> list[Layer]:
    sheet = sheet_of(0)
    chance = sheet.chance
    sky = _starry(sheet, sheet.gradient((0, SPACE.sky[0]), (0.55, SPACE.sky[1]), (1, SPACE.sky[2])), 420)
    for _ in range(3):
        tint = chance.choice(((120, 60, 190), (40, 110, 200), (210, 80, 140), (40, 160, 170)))
        place = chance.uniform(0, sheet.width), chance.uniform(0, sheet.height * 0.7)
        glow(sky, place, sheet.unit * chance.uniform(0.3, 0.6), tint, 0.34)
    layers = [Layer(sky)]
    tint = chance.choice(((226, 150, 96), (120, 176, 226), (196, 140, 214), (222, 200, 140)))
    far = sheet_of(0.15)
    place = (far.width * chance.uniform(0.16, 0.3), far.height * chance.uniform(0.18, 0.3))
    layers.append(Layer(_planet(far, place, far.unit * 0.13, tint, rings=True)))
    moon_place = (far.width * chance.uniform(0.74, 0.86), far.height * chance.uniform(0.12, 0.26))
    layers.append(Layer(_planet(far, moon_place, far.unit * 0.055, (210, 214, 226), rings=False)))
    dust = chance.choice(((150, 140, 160), (178, 120, 92), (122, 136, 158)))
    for index, base in enumerate((0.74, 0.84)):
        ground = sheet_of(0.4 + index * 0.5)
        skyline = ground.ridge(base, 0.09 - 0.05 * index, 0.5)
        shade = mixed(dust, SPACE.sky[1], 0.5 - 0.35 * index)
        layers.append(
            Layer(_cratered(ground, ground.land(skyline, shade, mixed(shade, (10, 8, 20), 0.5)), shade, base))
        )
    return layers


def city(sheet_of: SheetOf) -> list[Layer]:
    sheet = sheet_of(0)
    chance = sheet.chance
    light = chance.choice((DUSK, NIGHT, SUNSET))
    sky, _ = _sky(sheet, light, low_sun=True)
    layers = [Layer(sky)]
    for index in range(3):
        block = sheet_of(0.2 + 0.35 * index)
        wall = mixed(light.haze, (16, 18, 40), 0.45 + 0.25 * index)
        layers.append(Layer(_skyline(block, wall, 0.62 + 0.09 * index, has_windows=index > 0)))
    street = sheet_of(1)
    floor = [(0.0, 0.93 * street.height), (float(street.width), 0.93 * street.height)]
    layers.append(Layer(street.land(floor, (20, 20, 40), (8, 8, 20))))
    return layers


def meadow(sheet_of: SheetOf) -> list[Layer]:
    sheet = sheet_of(0)
    chance = sheet.chance
    light = chance.choice((NOON, DAWN))
    sky, _ = _sky(sheet, light, low_sun=False)
    layers = [Layer(sky)]
    for index in range(3):
        hill = sheet_of(0.2 + 0.25 * index)
        skyline = hill.ridge(0.58 + 0.1 * index, 0.09, 0.36)
        top = mixed(light.haze, (96, 168, 84), 0.45 + 0.25 * index)
        layers.append(Layer(hill.land(skyline, top, mixed(top, (30, 96, 60), 0.4))))
    front = sheet_of(0.95)
    grass = front.land(front.ridge(0.84, 0.03, 0.4), (84, 156, 70), (30, 92, 52))
    pen = ImageDraw.Draw(grass)
    for _ in range(150):
        x, depth = chance.uniform(0, front.width), chance.random()
        y = (0.86 + depth * 0.14) * front.height
        size = (0.004 + depth * 0.010) * front.unit
        petal = chance.choice(((255, 120, 150), (255, 214, 90), (250, 250, 255), (190, 130, 240), (255, 150, 90)))
        for turn in range(5):
            angle = turn * math.tau / 5
            dx, dy = math.cos(angle) * size, math.sin(angle) * size
            pen.ellipse((x + dx - size, y + dy - size, x + dx + size, y + dy + size), fill=(*petal, 255))
        pen.ellipse((x - size * 0.7, y - size * 0.7, x + size * 0.7, y + size * 0.7), fill=(255, 200, 60, 255))
    return [*layers, Layer(grass)]


def dunes(sheet_of: SheetOf) -> list[Layer]:
    sheet = sheet_of(0)
    chance = sheet.chance
    light = chance.choice((SUNSET, NOON, NIGHT))
    sky, _ = _sky(sheet, light, low_sun=light is SUNSET)
    layers = [Layer(sky)]
    sand = mixed((232, 172, 104), light.sky[0], 0.45 if light is NIGHT else 0.0)
    for index in range(4):
        dune = sheet_of(0.15 + 0.25 * index)
        skyline = dune.ridge(0.6 + 0.1 * index, 0.1, 0.3)
        top = mixed(light.haze, sand, 0.5 + 0.15 * index)
        layers.append(Layer(dune.land(skyline, top, mixed(top, (120, 62, 58), 0.5))))
    return layers


LANDSCAPES: dict[str, Callable[[SheetOf], list[Layer]]] = {
    "beach": beach,
    "mountains": mountains,
    "space": space,
    "city": city,
    "meadow": meadow,
    "dunes": dunes,
}


def _sky(sheet: Sheet, light: Light, *, low_sun: bool) -> tuple[Image.Image, tuple[float, float]]:
    """The sky with sun or moon and clouds, and where the sun stands."""
    chance = sheet.chance
    sky = sheet.gradient((0, light.sky[0]), (0.38, light.sky[1]), (0.66, light.sky[2]), (1, light.sky[2]))
    is_dark = sum(light.sky[0]) < 130
    if is_dark:
        sky = _starry(sheet, sky, 160)
    across = chance.choice((chance.uniform(0.16, 0.34), chance.uniform(0.66, 0.84)))
    place = (sheet.width * across, sheet.height * (0.47 if low_sun else 0.2))
    size = sheet.unit * (0.075 if low_sun else 0.06)
    glow(sky, place, size * 8, light.sun, 0.5)
    glow(sky, place, size * 3, light.sun, 0.8)
    disc(sky, place, size, mixed(light.sun, WHITE, 0.35))
    if not is_dark or chance.random() < 0.5:
        _add_clouds(sheet, sky, mixed(WHITE, light.sky[2], 0.35))
    return sky, place


def _add_clouds(sheet: Sheet, sky: Image.Image, colour: Colour) -> None:
    chance = sheet.chance
    small = (max(8, sheet.width // 4), max(8, sheet.height // 4))
    mask = Image.new("L", small)
    pen = ImageDraw.Draw(mask)
    unit = min(small)
    for _ in range(chance.randint(3, 6)):
        x, y = chance.uniform(0, small[0]), chance.uniform(0.04, 0.4) * small[1]
        for _puff in range(chance.randint(7, 13)):
            dx, dy = chance.gauss(0, 0.12) * unit, chance.gauss(0, 0.012) * unit
            wide, high = chance.uniform(0.05, 0.13) * unit, chance.uniform(0.012, 0.034) * unit
            pen.ellipse((x + dx - wide, y + dy - high, x + dx + wide, y + dy + high), fill=chance.randint(90, 170))
    mask = mask.filter(ImageFilter.GaussianBlur(unit * 0.014)).resize(sky.size, Image.Resampling.BICUBIC)
    sky.paste(Image.new("RGB", sky.size, colour), (0, 0), mask)


def _starry(sheet: Sheet, sky: Image.Image, count: int) -> Image.Image:
    chance = sheet.chance
    for _ in range(count):
        x, y = chance.uniform(0, sheet.width), chance.uniform(0, sheet.height * 0.8)
        shine = chance.random() ** 3
        colour = mixed((170, 180, 255), (255, 244, 214), chance.random())
        if shine > 0.75:
            glow(sky, (x, y), sheet.unit * 0.02 * shine, colour, 0.9)
        size = max(0.5, sheet.unit * 0.0022 * (0.4 + shine))
        faded = mixed(sky.getpixel((int(x) % sky.width, int(y) % sky.height)), colour, 0.35 + 0.65 * shine)  # type: ignore[arg-type]
        ImageDraw.Draw(sky).ellipse((x - size, y - size, x + size, y + size), fill=faded)
    return sky


def _planet(sheet: Sheet, place: tuple[float, float], radius: float, tint: Colour, *, rings: bool) -> Image.Image:
    layer = sheet.clear()
    size = max(8, round(radius * 2))
    ball = Image.new("RGB", (size, size), tint)
    pen = ImageDraw.Draw(ball)
    for _ in range(7):
        y = sheet.chance.uniform(0, size)
        band = mixed(tint, sheet.chance.choice((WHITE, (60, 40, 60))), sheet.chance.uniform(0.08, 0.28))
        pen.rectangle((0, y, size, y + size * sheet.chance.uniform(0.03, 0.12)), fill=band)
    ball = ball.filter(ImageFilter.GaussianBlur(size * 0.02))
    glow(ball, (size * 0.3, size * 0.25), size * 0.6, WHITE, 0.4)
    lit = round(size * 0.66), round(size * 0.70)
    shade = Image.radial_gradient("L").resize((size * 2, size * 2)).crop((*lit, lit[0] + size, lit[1] + size))
    shade = shade.point(lambda value: max(0, min(225, int(value * 2.1) - 90)))
    ball.paste(Image.new("RGB", ball.size, (6, 6, 24)), (0, 0), shade)
    mask = Image.new("L", (size * 4, size * 4))
    ImageDraw.Draw(mask).ellipse((2, 2, size * 4 - 3, size * 4 - 3), fill=255)
    corner = round(place[0] - size / 2), round(place[1] - size / 2)
    layer.paste(ball, corner, mask.reduce(4))
    if rings:
        _add_rings(layer, place, radius, tint)
    return layer


def _add_rings(layer: Image.Image, place: tuple[float, float], radius: float, tint: Colour) -> None:
    side = max(16, round(radius * 5))
    ring = Image.new("L", (side * 2, side * 2))
    pen = ImageDraw.Draw(ring)
    middle = side
    for reach, shine in ((2.3, 150), (2.0, 90), (1.8, 190), (1.5, 0)):
        wide, high = reach * radius * 2, reach * radius * 0.56
        pen.ellipse((middle - wide, middle - high, middle + wide, middle + high), fill=shine)
    pen.pieslice((middle - radius * 2, middle - radius * 2, middle + radius * 2, middle + radius * 2), 180, 360, fill=0)
    ring = ring.rotate(16, Image.Resampling.BICUBIC).reduce(2)
    colour = Image.new("RGBA", ring.size, (*mixed(tint, WHITE, 0.45), 255))
    colour.putalpha(ring)
    layer.alpha_composite(colour, (max(0, round(place[0] - side / 2)), max(0, round(place[1] - side / 2))))


def _cratered(sheet: Sheet, ground: Image.Image, shade: Colour, base: float) -> Image.Image:
    holes = sheet.clear()
    pen = ImageDraw.Draw(holes)
    for _ in range(26):
        x, depth = sheet.chance.uniform(0, sheet.width), sheet.chance.random()
        y = (base + 0.05 + depth * 0.2) * sheet.height
        wide = (0.008 + 0.04 * depth) * sheet.unit
        high = wide * 0.3
        pen.ellipse((x - wide, y - high, x + wide, y + high), fill=(*mixed(shade, WHITE, 0.25), 150))
        pen.ellipse((x - wide, y - high * 1.25, x + wide, y + high * 0.7), fill=(*mixed(shade, (8, 6, 20), 0.55), 220))
    visible = Image.composite(holes, sheet.clear(), ground.getchannel("A"))
    return Image.alpha_composite(ground, visible)


def _with_pines(sheet: Sheet, ground: Image.Image, skyline: list[tuple[float, float]], colour: Colour) -> Image.Image:
    chance = sheet.chance

    def draw(pen: ImageDraw.ImageDraw, scale: int) -> None:
        for _ in range(max(14, round(46 * sheet.width / sheet.height))):
            x, y = chance.choice(skyline)
            x += chance.uniform(-0.03, 0.03) * sheet.unit
            tall = chance.uniform(0.06, 0.15) * sheet.unit
            for tier in range(4):
                top = y - tall + tier * tall * 0.22
                half = tall * (0.07 + 0.06 * tier)
                points = [(x, top), (x - half, top + tall * 0.36), (x + half, top + tall * 0.36)]
                pen.polygon([(px * scale, py * scale) for px, py in points], fill=255)
            pen.rectangle(
                [
                    (x - tall * 0.03) * scale,
                    (y - tall * 0.1) * scale,
                    (x + tall * 0.03) * scale,
                    (y + tall * 0.1) * scale,
                ],
                fill=255,
            )

    return Image.alpha_composite(sheet.shape(draw, colour), ground)


def _skyline(sheet: Sheet, wall: Colour, horizon: float, *, has_windows: bool) -> Image.Image:
    chance = sheet.chance
    layer = sheet.clear()
    pen = ImageDraw.Draw(layer)
    x = -0.02 * sheet.unit
    lamp = (255, 214, 130)
    while x < sheet.width:
        wide = chance.uniform(0.06, 0.14) * sheet.unit
        top = (horizon - chance.uniform(0.05, 0.34)) * sheet.height
        tone = mixed(wall, (0, 0, 0), chance.uniform(0, 0.25))
        pen.rectangle((x, top, x + wide, sheet.height), fill=(*tone, 255))
        if chance.random() < 0.3:
            pen.rectangle((x + wide * 0.47, top - 0.06 * sheet.height, x + wide * 0.53, top), fill=(*tone, 255))
        cell = max(3.0, 0.017 * sheet.unit)
        rows = int((sheet.height - top) / cell) - 1 if has_windows else 0
        for row in range(rows):
            for column in range(int(wide / cell) - 1):
                if chance.random() < 0.42:
                    left, high = x + (column + 0.7) * cell, top + (row + 0.8) * cell
                    shine = mixed(tone, lamp, chance.uniform(0.5, 1))
                    pen.rectangle((left, high, left + cell * 0.42, high + cell * 0.5), fill=(*shine, 255))
        x += wide + chance.uniform(0, 0.02) * sheet.unit
    return layer


def _grainy(sheet: Sheet, skyline: list[tuple[float, float]], colour: Colour) -> Image.Image:
    ground = sheet.land(skyline, mixed(colour, (150, 120, 90), 0.28), mixed(colour, WHITE, 0.12))
    pen = ImageDraw.Draw(ground)
    for _ in range(240):
        x, y = sheet.chance.uniform(0, sheet.width), sheet.chance.uniform(0.86, 1) * sheet.height
        size = max(0.5, sheet.unit * 0.0016)
        pen.ellipse((x - size, y - size, x + size, y + size), fill=(*mixed(colour, (110, 80, 60), 0.4), 130))
    return ground
