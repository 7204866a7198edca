"""Looking into media: photos re-encoded in Telegram's sizes, length and first frame of videos, types of the rest."""

from __future__ import annotations

import io
import mimetypes
from dataclasses import dataclass

import av
from av.error import FFmpegError
from PIL import Image, ImageOps, UnidentifiedImageError

from runtime.sandbox.telegram import limits
from runtime.sandbox.telegram.errors import BadRequest

_BOXES = (90, 320, 800, 1280, 2560)


@dataclass(frozen=True, slots=True)
class Picture:
    """An encoded JPEG and its true size in pixels."""

    content: bytes
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Footage:
    """What a video file says about itself: pixels, whole seconds, and its first frame as a thumbnail."""

    width: int
    height: int
    duration: int
    has_audio: bool
    thumbnail: Picture | None


def photo_sizes(content: bytes) -> list[Picture]:
    """The PhotoSizes Telegram would make, smallest first; the last one is the photo as shown.

    Re-encoded as JPEG without metadata, upright, transparency on white, longest side at most 2560 px.
    Raises: BadRequest when it is no image, too big, or too long and thin.
    """
    if not content:
        raise BadRequest("file must be non-empty")
    if len(content) > limits.PHOTO_BYTES:
        raise BadRequest(
            f"file of size {len(content)} bytes is too big for a photo; the maximum size is {limits.PHOTO_BYTES} bytes"
        )
    try:
        with Image.open(io.BytesIO(content)) as opened:
            _check_sides(*opened.size)
            picture = _on_white(ImageOps.exif_transpose(opened))
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError, SyntaxError, ValueError) as broken:
        raise BadRequest("IMAGE_PROCESS_FAILED") from broken
    longest = max(picture.size)
    boxes = [box for box in _BOXES if box < longest] + ([longest] if longest <= _BOXES[-1] else [])
    return [_fitted(picture, box) for box in boxes]


def footage(content: bytes) -> Footage | None:
    """What the container says, or None if it holds no video that can be read."""
    try:
        with av.open(io.BytesIO(content), mode="r") as container:
            if not container.streams.video:
                return None
            stream = container.streams.video[0]
            seconds = float(container.duration or 0) / 1_000_000
            frame = next(iter(container.decode(stream)), None)
            thumbnail = _fitted(_still(frame), limits.THUMBNAIL_SIDE) if frame is not None else None
            return Footage(
                stream.codec_context.width,
                stream.codec_context.height,
                round(seconds),
                bool(container.streams.audio),
                thumbnail,
            )
    except (FFmpegError, OSError, ValueError, EOFError):
        return None


def thumbnail(content: bytes) -> Picture | None:
    """A picture within 320 px made from any image, or None when it is no image."""
    try:
        with Image.open(io.BytesIO(content)) as opened:
            return _fitted(_on_white(ImageOps.exif_transpose(opened)), limits.THUMBNAIL_SIDE)
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError, SyntaxError, ValueError):
        return None


def mime_type(file_name: str, content: bytes) -> str:
    """The media type by signature for what we show ourselves, by the file's name otherwise."""
    if content[:8] == b"\x89PNG\r\n\x1a\n":
        return "image/png"
    if content[:3] == b"\xff\xd8\xff":
        return "image/jpeg"
    if content[:4] == b"GIF8":
        return "image/gif"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    if content[4:8] == b"ftyp":
        return "video/mp4"
    if content[:4] == b"\x1aE\xdf\xa3":
        return "video/webm"
    return mimetypes.guess_type(file_name)[0] or "application/octet-stream"


def _still(frame: av.VideoFrame) -> Image.Image:
    still: Image.Image = frame.to_image()  # type: ignore[no-untyped-call]
    return still


def _check_sides(width: int, height: int) -> None:
    if width + height > limits.PHOTO_SIDES_SUM or max(width, height) > limits.PHOTO_RATIO * min(width, height):
        raise BadRequest("PHOTO_INVALID_DIMENSIONS")


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        ground = Image.new("RGBA", layer.size, "white")
        ground.alpha_composite(layer)
        return ground.convert("RGB")
    return picture.convert("RGB")


def _fitted(picture: Image.Image, box: int) -> Picture:
    scale = min(1.0, box / max(picture.size))
    width, height = (max(1, round(side * scale)) for side in picture.size)
    fitted = picture if scale == 1.0 else picture.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
    target = io.BytesIO()
    fitted.convert("RGB").save(target, "JPEG", quality=87)
    return Picture(target.getvalue(), width, height)
