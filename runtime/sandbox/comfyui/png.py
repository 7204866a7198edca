"""PNG files with text in them, as ComfyUI writes its pictures."""

import io
import struct
import zlib
from collections.abc import Mapping

from PIL import Image

HEADER_SIZE = 33
"""Signature and IHDR chunk: text goes right behind them."""


def encode(picture: Image.Image) -> bytes:
    """The picture as PNG, quickly rather than small."""
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return file.getvalue()


def with_text(png: bytes, texts: Mapping[str, str]) -> bytes:
    """`png` with one tEXt chunk per entry. Values are ASCII (JSON with escapes)."""
    chunks = b"".join(_chunk(b"tEXt", f"{key}\0{value}".encode("latin-1")) for key, value in texts.items())
    return png[:HEADER_SIZE] + chunks + png[HEADER_SIZE:]


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
