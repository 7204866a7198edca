import struct
import zlib

import pytest

from runtime.media import BrokenMedium, probe, sniff
from tests.media import samples


@pytest.mark.parametrize(
    ("kind", "media_type"),
    [
        ("PNG", "image/png"),
        ("JPEG", "image/jpeg"),
        ("WEBP", "image/webp"),
        ("GIF", "image/gif"),
        ("BMP", "image/bmp"),
        ("TIFF", "image/tiff"),
        ("AVIF", "image/avif"),
    ],
)
def test_a_picture_is_known_by_its_content_and_measured(kind: str, media_type: str) -> None:
    medium = probe(samples.encoded(samples.picture(), kind))

    assert (medium.kind, medium.media_type, medium.width, medium.height) == ("image", media_type, 64, 48)
    assert not medium.is_animated
    assert medium.duration_seconds is None


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animated_picture_is_told_apart(kind: str) -> None:
    assert probe(samples.animation(kind)).is_animated


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_size_is_given_as_the_picture_is_looked_at(kind: str) -> None:
    medium = probe(samples.encoded(samples.picture(), kind, exif=samples.exif(orientation=8)))

    assert (medium.width, medium.height) == (48, 64)


def test_a_png_that_tells_behind_its_pixels_how_it_is_turned_is_measured_so() -> None:
    content = samples.encoded(samples.picture(), "PNG")
    turned = samples.exif(orientation=8)
    chunk = struct.pack(">I", len(turned)) + b"eXIf" + turned + struct.pack(">I", zlib.crc32(b"eXIf" + turned))
    medium = probe(content[:-12] + chunk + content[-12:])

    assert (medium.width, medium.height) == (48, 64)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_nothing_is_decoded(kind: str) -> None:
    """Half of the pixels would not do for that; a large picture would take a second of it, and 150 MB."""
    content = samples.encoded(samples.noise((640, 480)), kind)
    medium = probe(content[: len(content) // 2] if kind != "WEBP" else content)

    assert (medium.width, medium.height) == (640, 480)


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (b"\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00qt  ", "video/quicktime"),
        (b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00avifmif1", "image/avif"),
        (b"\x00\x00\x00\x18ftypisom\x00\x00\x00\x00isommp42", "video/mp4"),
        (b"RIFF\x00\x00\x00\x00WAVE", None),
        (b"", None),
    ],
)
def test_containers_are_told_apart_by_their_brands(content: bytes, media_type: str | None) -> None:
    assert sniff(content) == media_type


def test_a_header_cut_short_is_broken() -> None:
    with pytest.raises(BrokenMedium):
        probe(samples.encoded(samples.picture(), "PNG")[:20])
