"""A picture to work on, for templates that need one: made here, so that nothing has to be found or downloaded."""

import io

from PIL import Image, ImageDraw

SIDE = 1024


def input_picture(number: int = 0) -> bytes:
    """A PNG of SIDE x SIDE pixels: a figure in front of a horizon. The same number gives the same picture."""
    shift = number * 97 % 256
    sky = Image.linear_gradient("L").resize((SIDE, SIDE))
    picture = Image.merge("RGB", (sky.point(lambda v: v // 2 + 60), sky.point(lambda v: 255 - v // 3), sky))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 700, SIDE, SIDE), fill=(86, 125 + shift // 4, 70))
    draw.ellipse((720, 90, 880, 250), fill=(250, 214, 120 + shift // 2))
    draw.ellipse((432, 250, 592, 410), fill=(224, 172, 138))
    draw.rounded_rectangle((392, 410, 632, 760), radius=60, fill=(200 - shift // 2, 60, 70 + shift // 2))
    draw.rectangle((422, 740, 502, 960), fill=(45, 55, 90))
    draw.rectangle((522, 740, 602, 960), fill=(45, 55, 90))
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()
