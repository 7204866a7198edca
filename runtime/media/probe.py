"""What a medium is and how large, by its content."""

from dataclasses import dataclass
from typing import Literal

import av
from PIL import Image

from runtime.media.errors import UnknownMedium
from runtime.media.pictures import open_picture
from runtime.media.sniff import SUFFIXES, sniff
from runtime.media.video import open_video

_TURNING = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")
"""What a PNG has that tells how it is turned: its own chunk, or the key of a text."""


@dataclass(frozen=True, slots=True)
class Medium:
    """Facts about a medium. Width and height in pixels as it is looked at; duration of a video in seconds, if known.

    is_animated: a picture that moves (GIF, animated WebP), which a chat would show as its first frame only.
    """

    kind: Literal["image", "video"]
    media_type: str
    width: int
    height: int
    duration_seconds: float | None = None
    is_animated: bool = False

    @property
    def suffix(self) -> str:
        """The ending of a file name for it, or nothing if it is of a kind that is not sent on."""
        return SUFFIXES.get(self.media_type, "")


def probe(content: bytes) -> Medium:
    """Read the headers; nothing is decoded, so a damaged body is not noticed.

    But for a PNG that may tell behind its pixels how it is turned: Pillow decodes those on the way.

    Raises: UnknownMedium, BrokenMedium, MediumTooLarge.
    """
    media_type = sniff(content)
    if media_type is None:
        raise UnknownMedium("this is neither a picture nor a video")
    if media_type.startswith("video/"):
        return _probe_video(content, media_type)
    with open_picture(content) as image:
        width, height = image.size
        if _may_be_turned(image, content) and image.getexif().get(0x0112, 1) >= 5:  # by a quarter
            width, height = height, width
        is_animated = getattr(image, "n_frames", 1) > 1 and image.format != "MPO"
    return Medium("image", media_type, width, height, is_animated=is_animated)


def _may_be_turned(image: Image.Image, content: bytes) -> bool:
    """False if it surely is not: Pillow would decode a PNG of 1024 px for some 20 ms to look behind its pixels."""
    return image.format != "PNG" or any(chunk in content for chunk in _TURNING)


def _probe_video(content: bytes, media_type: str) -> Medium:
    with open_video(content) as (container, stream):
        duration = None
        if container.duration is not None:
            duration = container.duration / av.time_base
        elif stream.duration is not None and stream.time_base is not None:
            duration = float(stream.duration * stream.time_base)
        return Medium("video", media_type, stream.width, stream.height, duration_seconds=duration)
