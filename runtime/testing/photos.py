"""Pictures to send."""

import io

from PIL import Image, ImageDraw


def photo(width: int = 512, height: int = 512, *, colour: str = "steelblue", format: str = "JPEG") -> bytes:
    """A real picture, `width` by `height` pixels: a frame and a diagonal on one colour."""
    image = Image.new("RGB", (width, height), colour)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, width - 1, height - 1), outline="white", width=max(1, width // 64))
    draw.line((0, 0, width, height), fill="white", width=max(1, width // 64))
    file = io.BytesIO()
    image.save(file, format)
    return file.getvalue()
