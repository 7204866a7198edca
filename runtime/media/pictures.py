"""Reading pictures with Pillow, without trusting them. Decoding takes some 10 ms per megapixel: call from a thread."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO

from PIL import Image, ImageOps

from runtime.media.errors import BrokenMedium, MediumTooLarge, UnknownMedium
from runtime.media.sniff import SUFFIXES, sniff
from runtime.media.strip import strip_metadata

MAX_PIXELS = 50_000_000
_FORMATS = {
    "image/png": "PNG",
    "image/jpeg": "JPEG",
    "image/webp": "WEBP",
    "image/gif": "GIF",
    "image/bmp": "BMP",
    "image/tiff": "TIFF",
    "image/avif": "AVIF",
}
_UPLOADED_AS_THEY_ARE = ("image/png", "image/jpeg", "image/webp")
_LOSSY = ("image/jpeg", "image/avif", "image/webp")
_ORIENTATION = 0x0112


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture ready to be sent. Width and height in pixels, as it is looked at."""

    content: bytes = field(repr=False)
    media_type: str
    width: int
    height: int

    @property
    def suffix(self) -> str:
        """The ending of a file name for it."""
        return SUFFIXES[self.media_type]


@contextmanager
def open_picture(content: bytes, *, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """The picture, opened and checked but not yet decoded; errors within the context are made ours.

    Raises: UnknownMedium, BrokenMedium, MediumTooLarge.
    """
    media_type = sniff(content)
    if media_type == "image/heic":
        raise UnknownMedium("HEIC pictures cannot be read; send it as a photo rather than as a file")
    if media_type not in _FORMATS:
        raise UnknownMedium("this is no picture that can be read; send JPEG, PNG or WebP")
    try:
        with Image.open(BytesIO(content), formats=[_FORMATS[media_type]]) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise MediumTooLarge(f"the picture has {width}x{height} pixels; at most {max_pixels / 1e6:g} million")
            yield image
    except Image.DecompressionBombError as error:
        raise MediumTooLarge(f"the picture has too many pixels; at most {max_pixels / 1e6:g} million") from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, struct.error, zlib.error) as error:
        raise BrokenMedium("the picture is damaged or cut short; send it again") from error


def prepare_picture(content: bytes, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """What to upload to ComfyUI for the picture in `content`: decoded once in full, upright, without metadata.

    ComfyUI takes any bytes and fails only when the node runs; it reads an animation as a batch of pictures and 16-bit
    grey as white. Pictures that it reads well are passed on unchanged but for their metadata.

    Raises: UnknownMedium, BrokenMedium, MediumTooLarge.
    """
    media_type = sniff(content) or ""
    with open_picture(content, max_pixels=max_pixels) as image:
        is_turned = image.getexif().get(_ORIENTATION, 1) not in (0, 1)
        is_plain = media_type in _UPLOADED_AS_THEY_ARE and not _is_animated(image) and image.mode[0] not in "IF"
        image.load()
        if is_plain and not is_turned:
            return Picture(strip_metadata(content), media_type, *image.size)
        upright = ImageOps.exif_transpose(_eight_bit(image))
        if media_type in _LOSSY and not has_alpha(upright):
            return Picture(encode_jpeg(upright, quality=95), "image/jpeg", *upright.size)
        return Picture(_encode_png(upright), "image/png", *upright.size)


def has_alpha(image: Image.Image) -> bool:
    """Whether some of it may be transparent."""
    return image.has_transparency_data


def encode_jpeg(image: Image.Image, *, quality: int) -> bytes:
    """The picture as JPEG without metadata; what is transparent becomes white."""
    if has_alpha(image):
        opaque = Image.new("RGBA", image.size, "white")
        opaque.alpha_composite(image.convert("RGBA"))
        image = opaque
    buffer = BytesIO()
    subsampling = 0 if quality >= 90 else 2
    image.convert("RGB").save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return buffer.getvalue()


def _encode_png(image: Image.Image) -> bytes:
    buffer = BytesIO()
    plain = image.convert("RGBA" if has_alpha(image) else "RGB")
    plain.info.clear()
    plain.save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def _eight_bit(image: Image.Image) -> Image.Image:
    """16-bit grey scaled down; Pillow's own conversion would cut off everything above 255."""
    if image.mode[0] not in "IF":
        return image
    scaled = image.convert("I").point(lambda value: value * (1 / 256), "I").convert("L")
    scaled.info = dict(image.info)
    return scaled


def _is_animated(image: Image.Image) -> bool:
    """A JPEG with a second picture (MPO, from many phones) does not count: only the first is read."""
    return getattr(image, "n_frames", 1) > 1 and image.format != "MPO"
