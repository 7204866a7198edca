"""Making a picture that Telegram takes as a photo. May decode and encode: call from a thread."""

from PIL import Image, ImageOps

from runtime.media.pictures import Picture, encode_jpeg, open_picture
from runtime.media.probe import probe
from runtime.media.strip import strip_metadata

PHOTO_BYTES = 10_000_000
PHOTO_SIDES = 10_000
PHOTO_RATIO = 20


def fit_photo(content: bytes) -> Picture | None:
    """The picture within the Bot API's bounds for photos, or None if it can only go as a document.

    Bounds of sendPhoto: 10 MB, width plus height 10000, sides no more than 1 to 20. What fits is passed on as it is but
    for its metadata; a larger one becomes a JPEG, scaled down as far as needed. A too narrow or animated one is None.

    Raises: UnknownMedium, BrokenMedium, MediumTooLarge.
    """
    medium = probe(content)
    if medium.kind != "image" or medium.is_animated:
        return None
    width, height = medium.width, medium.height
    if max(width, height) > PHOTO_RATIO * min(width, height):
        return None
    fits = len(content) <= PHOTO_BYTES and width + height <= PHOTO_SIDES
    if fits and medium.media_type in ("image/jpeg", "image/png"):
        return Picture(strip_metadata(content), medium.media_type, width, height)
    with open_picture(content) as image:
        upright = ImageOps.exif_transpose(image)
        return _shrink(upright)


def _shrink(image: Image.Image) -> Picture:
    scale = min(1.0, PHOTO_SIDES / (image.width + image.height))
    quality = 95
    while True:
        size = (max(int(image.width * scale), 1), max(int(image.height * scale), 1))
        scaled = image if size == image.size else image.convert("RGBA").resize(size, Image.Resampling.LANCZOS)
        content = encode_jpeg(scaled, quality=quality)
        if len(content) <= PHOTO_BYTES:
            return Picture(content, "image/jpeg", *size)
        if quality > 85:
            quality -= 5
        else:
            scale *= 0.8
