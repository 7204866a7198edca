"""Removing metadata without touching a single pixel.

ComfyUI writes the whole graph, prompt included, into what it saves: PNG text chunks, EXIF of WebP, the container's
metadata of a video. A photo from a phone tells where it was taken. Only chunks known to matter for the picture are
kept. A turned photo keeps its orientation, or it would be shown lying on its side.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import TypeAlias

from PIL import Image

from runtime.media.errors import BrokenMedium, CannotStrip
from runtime.media.sniff import sniff
from runtime.media.video import strip_video

_Buffers: TypeAlias = list[bytes | memoryview]

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = frozenset(
    b"IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB iCCP sBIT bKGD pHYs hIST sPLT cICP mDCV cLLI acTL fcTL fdAT".split()
)
_WEBP_KEPT = frozenset({b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"})
_WEBP_EXIF_FLAG, _WEBP_XMP_FLAG = 0x08, 0x04
_GIF_KEPT_APPLICATIONS = (b"NETSCAPE2.0", b"ANIMEXTS1.0")
_EXIF_HEADER = b"Exif\x00\x00"
_ORIENTATION = 0x0112


def strip_metadata(content: bytes) -> bytes:
    """The same picture or video without metadata. PNG, JPEG, WebP, GIF by rewriting, videos by remuxing.

    A PNG of 1024 px takes a few ms; a video is remuxed through a temporary file: call from a thread.

    Raises: CannotStrip for other kinds, BrokenMedium.
    """
    media_type = sniff(content) or ""
    if media_type.startswith("video/"):
        return strip_video(content)
    strip = _STRIPPERS.get(media_type)
    if strip is None:
        raise CannotStrip(f"metadata cannot be removed from {media_type or 'an unknown kind of file'}")
    try:
        return strip(content)
    except (IndexError, struct.error) as error:
        raise BrokenMedium("the picture is damaged or cut short") from error


def strip_png(content: bytes) -> bytes:
    """Every chunk's checksum is verified. What follows IEND is dropped.

    Raises: BrokenMedium.
    """
    kept: _Buffers = [PNG_SIGNATURE]
    for kind, payload, chunk in _png_chunks(content):
        if kind in _PNG_KEPT or not kind[0] & 0x20:  # a lower-case first letter marks a chunk that may be left out
            kept.append(chunk)
        elif kind == b"eXIf" and (turned := _orientation_only(bytes(payload))):
            kept.append(struct.pack(">I", len(turned)) + kind + turned + struct.pack(">I", zlib.crc32(kind + turned)))
    return b"".join(kept)


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, memoryview, memoryview]]:
    view = memoryview(content)
    position, kind = len(PNG_SIGNATURE), b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", view, position)
        end = position + 12 + length
        (checksum,) = struct.unpack_from(">I", view, end - 4)
        if zlib.crc32(view[position + 4 : end - 4]) != checksum:
            raise BrokenMedium("the PNG is damaged: a checksum is wrong")
        yield kind, view[position + 8 : end - 4], view[position:end]
        position = end


def strip_jpeg(content: bytes) -> bytes:
    """Keeps JFIF, the colour profile and Adobe's colour transform. What follows the end of the image is dropped.

    Raises: BrokenMedium, IndexError or struct.error if cut short.
    """
    kept: _Buffers = [b"\xff\xd8"]
    view = memoryview(content)
    position = 2
    while True:
        if content[position] != 0xFF:
            raise BrokenMedium("the JPEG is damaged: a marker is missing")
        marker = content[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker == 0xD9:
            return b"".join([*kept, b"\xff\xd9"])
        (length,) = struct.unpack_from(">H", view, position + 2)
        end = position + 2 + length
        payload = view[position + 4 : end]
        if _keeps_segment(marker, payload):
            kept.append(view[position:end])
        elif (
            marker == 0xE1 and bytes(payload[:6]) == _EXIF_HEADER and (turned := _orientation_only(bytes(payload[6:])))
        ):
            segment = _EXIF_HEADER + turned
            kept.append(b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment)
        position = end
        if marker == 0xDA:
            position = _end_of_scan(content, end)
            kept.append(view[end:position])


def _keeps_segment(marker: int, payload: memoryview) -> bool:
    if marker == 0xE2:
        return bytes(payload[:12]) == b"ICC_PROFILE\x00"
    return marker in (0xE0, 0xEE) or not (0xE0 <= marker <= 0xEF or marker == 0xFE)


def _end_of_scan(content: bytes, position: int) -> int:
    """Where the next marker begins. Within a scan 0xFF is followed by 0, or by a restart marker."""
    while True:
        position = content.find(b"\xff", position)
        if position < 0:
            raise IndexError("no end of image")
        following = content[position + 1]
        if following != 0 and not 0xD0 <= following <= 0xD7:
            return position
        position += 2


def strip_webp(content: bytes) -> bytes:
    """Raises: BrokenMedium, struct.error if cut short."""
    kept: _Buffers = []
    turned = b""
    header = bytearray()
    view = memoryview(content)
    end_of_file = 8 + struct.unpack_from("<I", view, 4)[0]
    if end_of_file > len(content):
        raise BrokenMedium("the WebP is cut short")
    position = 12
    while position < end_of_file:
        kind, length = struct.unpack_from("<4sI", view, position)
        end = position + 8 + length + length % 2
        if kind == b"VP8X":
            header = bytearray(view[position:end])
        elif kind in _WEBP_KEPT:
            kept.append(view[position:end])
        elif kind == b"EXIF":
            turned = _orientation_only(bytes(view[position + 8 : end]).removeprefix(_EXIF_HEADER))
        position = end
    if turned:
        kept.append(b"EXIF" + struct.pack("<I", len(turned)) + turned)
    if header:
        header[8] &= ~(_WEBP_EXIF_FLAG | _WEBP_XMP_FLAG) & 0xFF
        header[8] |= _WEBP_EXIF_FLAG if turned else 0
    body = b"WEBP" + bytes(header) + b"".join(kept)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def strip_gif(content: bytes) -> bytes:
    """Drops comments, plain text and application blocks other than the one that loops the animation.

    Raises: BrokenMedium, IndexError if cut short.
    """
    view = memoryview(content)
    position = 13 + _colour_table_bytes(content[10])
    kept: _Buffers = [view[:position]]
    while (introducer := content[position]) != 0x3B:
        start = position
        if introducer == 0x2C:
            position = _end_of_blocks(content, position + 11 + _colour_table_bytes(content[position + 9]))
            kept.append(view[start:position])
        elif introducer == 0x21:
            position = _end_of_blocks(content, position + 2)
            label = content[start + 1]
            if label == 0xF9 or (label == 0xFF and content[start + 3 : start + 14] in _GIF_KEPT_APPLICATIONS):
                kept.append(view[start:position])
        else:
            raise BrokenMedium("the GIF is damaged: an unknown block")
    return b"".join([*kept, b";"])


def _colour_table_bytes(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _end_of_blocks(content: bytes, position: int) -> int:
    while length := content[position]:
        position += length + 1
    return position + 1


def _orientation_only(exif: bytes) -> bytes:
    """A TIFF block with nothing but the orientation, or nothing if the picture is upright."""
    found = Image.Exif()
    try:
        found.load(_EXIF_HEADER + exif)
        orientation = found.get(_ORIENTATION, 1)
    except (SyntaxError, ValueError, OSError, struct.error):
        return b""
    if orientation not in range(2, 9):
        return b""
    return b"MM\x00*" + struct.pack(">IHHHIHHI", 8, 1, _ORIENTATION, 3, 1, orientation, 0, 0)


_STRIPPERS: dict[str, Callable[[bytes], bytes]] = {
    "image/png": strip_png,
    "image/jpeg": strip_jpeg,
    "image/webp": strip_webp,
    "image/gif": strip_gif,
    "image/bmp": bytes,
}
