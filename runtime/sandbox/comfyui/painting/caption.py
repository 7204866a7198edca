"""The panel in each picture: that this is a sandbox, which command, prompt and seed."""

from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFilter

from runtime.sandbox.comfyui.painting.layers import Colour
from runtime.sandbox.comfyui.painting.lettering import drawable, font, length, wrapped

ACCENTS: dict[str, Colour] = {
    "flux": (255, 122, 89),
    "sd3": (64, 156, 255),
    "qwen": (150, 108, 255),
    "wan": (24, 180, 140),
}
OTHER: Colour = (236, 168, 40)

TAG_WIDTH, TAG_HEIGHT = 40, 24
"""A smaller picture carries no word at all."""
PANEL_WIDTH, PANEL_HEIGHT = 150, 110
"""A smaller picture carries only the word "sandbox"."""


@dataclass(frozen=True, slots=True)
class Caption:
    """What the panel says. `detail` is the last line: seed, size, place in the batch."""

    command: str
    prompt: str
    detail: str


def accent_of(command: str) -> Colour:
    return ACCENTS.get(command, OTHER)


def write(picture: Image.Image, caption: Caption) -> None:
    """Put the caption at the bottom of the picture, in place, as large as its size allows."""
    width, height = picture.size
    if width >= PANEL_WIDTH and height >= PANEL_HEIGHT:
        _write_panel(picture, caption)
    elif width >= TAG_WIDTH and height >= TAG_HEIGHT:
        _write_tag(picture, caption)


def _write_panel(picture: Image.Image, caption: Caption) -> None:
    width, height = picture.size
    size = round(max(10, min(34, min(width, height) * 0.034)))
    margin, gap = round(size * 0.8), round(size * 0.34)
    inner = width - 4 * margin
    most_lines = 1 if height < 200 else 2 if height < 480 else 3
    lines = wrapped(drawable(caption.prompt) or "(no prompt)", size, inner, most_lines)
    small = max(9, round(size * 0.8))
    panel = round(size * 1.5 + gap + len(lines) * size * 1.26 + gap + small * 1.1 + 2 * margin * 0.8)
    top = height - margin - panel
    box = (margin, top, width - margin, height - margin)
    _frost(picture, box, round(size * 0.8))
    pen = ImageDraw.Draw(picture)
    left, y = margin * 2, top + round(margin * 0.8)
    right = _write_pill(pen, (left, y), drawable(caption.command).upper(), size, accent_of(caption.command))
    note = "painted by the sandbox, not by a model"
    note = note if length(note, small) <= inner - (right - left) - gap * 2 else "sandbox"
    pen.text((right + gap * 2, y + size * 0.75), note, (214, 220, 232), font(small), anchor="lm")
    y += round(size * 1.5) + gap
    for line in lines:
        pen.text((left, y), line, (255, 255, 255), font(size))
        y += round(size * 1.26)
    detail = wrapped(drawable(caption.detail), small, inner, 1)[0]
    pen.text((left, y + gap), detail, (184, 192, 208), font(small))


def _write_tag(picture: Image.Image, caption: Caption) -> None:
    width, height = picture.size
    size = max(7, min(12, round(width / 7), height // 3))
    box = (0, height - round(size * 1.7), width, height)
    _frost(picture, box, 0)
    pen = ImageDraw.Draw(picture)
    words = f"{caption.command} sandbox" if length(f"{caption.command} sandbox", size) < width - 4 else "sandbox"
    pen.text((width / 2, height - size * 0.85), words, (255, 255, 255), font(size), anchor="mm")


def _write_pill(pen: ImageDraw.ImageDraw, corner: tuple[int, int], word: str, size: int, colour: Colour) -> float:
    """A word in a coloured pill; gives the pill's right edge."""
    x, y = corner
    right = x + length(word, size) + size * 1.1
    pen.rounded_rectangle((x, y, right, y + size * 1.5), size * 0.75, fill=colour)
    pen.text(((x + right) / 2, y + size * 0.75), word, (255, 255, 255), font(size), anchor="mm")
    return right


def _frost(picture: Image.Image, box: tuple[int, int, int, int], round_by: int) -> None:
    """Blur and darken a region with rounded corners, so that white letters read on it."""
    region = picture.crop(box).filter(ImageFilter.GaussianBlur(max(2, round_by * 0.6)))
    region = Image.blend(region, Image.new("RGB", region.size, (12, 16, 32)), 0.62)
    mask = Image.new("L", (region.width * 2, region.height * 2))
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, mask.width - 1, mask.height - 1), round_by * 2, fill=255)
    picture.paste(region, box[:2], mask.reduce(2))
