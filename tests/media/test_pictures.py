import struct
import zlib
from contextlib import suppress
from io import BytesIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from runtime.media import BrokenMedium, MediaError, MediumTooLarge, UnknownMedium, prepare_picture
from tests.media import samples

RED, BLUE = (220, 40, 30), (30, 60, 220)


@pytest.mark.parametrize(("kind", "media_type"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")])
def test_what_comfyui_reads_is_uploaded_as_it_is_but_for_metadata(kind: str, media_type: str) -> None:
    original = samples.encoded(samples.picture(), kind, exif=samples.exif())

    prepared = prepare_picture(original)

    assert (prepared.media_type, prepared.width, prepared.height) == (media_type, 64, 48)
    assert samples.pixels(prepared.content) == samples.pixels(original)
    assert samples.SECRET.encode() not in prepared.content


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "AVIF"])
def test_other_formats_are_converted(kind: str) -> None:
    prepared = prepare_picture(samples.encoded(samples.picture(), kind))

    assert prepared.media_type in ("image/png", "image/jpeg")
    assert _colours(prepared.content) == pytest.approx((*RED, *BLUE), abs=8)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_becomes_its_first_picture_instead_of_a_batch(kind: str) -> None:
    prepared = prepare_picture(samples.animation(kind))

    with Image.open(BytesIO(prepared.content)) as image:
        assert getattr(image, "n_frames", 1) == 1
    assert _colours(prepared.content) == pytest.approx((*RED, *BLUE), abs=8)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_turned_photo_is_uploaded_upright(kind: str) -> None:
    prepared = prepare_picture(samples.encoded(samples.picture(), kind, exif=samples.exif(orientation=6)))

    assert (prepared.width, prepared.height) == (48, 64)
    with Image.open(BytesIO(prepared.content)) as image:
        assert image.size == (48, 64)
        assert not image.getexif()
        top, bottom = image.convert("RGB").getpixel((24, 10)), image.convert("RGB").getpixel((24, 54))
    assert (top, bottom) == (pytest.approx(RED, abs=10), pytest.approx(BLUE, abs=10))


def test_sixteen_bit_grey_does_not_turn_white() -> None:
    grey = Image.new("I;16", (8, 8), 32768)

    prepared = prepare_picture(samples.encoded(grey, "PNG"))

    with Image.open(BytesIO(prepared.content)) as image:
        assert image.convert("L").getpixel((0, 0)) == pytest.approx(128, abs=1)


def test_transparency_survives_a_conversion() -> None:
    transparent = samples.picture(mode="RGBA")
    transparent.putalpha(90)

    prepared = prepare_picture(samples.encoded(transparent, "TIFF"))

    with Image.open(BytesIO(prepared.content)) as image:
        assert image.getpixel((0, 0))[3] == 90  # type: ignore[index]


def test_the_suffix_follows_the_content() -> None:
    assert prepare_picture(samples.encoded(samples.picture(), "WEBP")).suffix == ".webp"
    assert prepare_picture(samples.encoded(samples.picture(), "BMP")).suffix == ".png"


def test_a_damaged_body_under_right_checksums_is_noticed() -> None:
    def chunk(kind: bytes, payload: bytes) -> bytes:
        return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))

    whole = samples.encoded(samples.picture(), "PNG")
    damaged = whole[:33] + chunk(b"IDAT", b"no deflate stream") + chunk(b"IEND", b"")

    with pytest.raises(BrokenMedium):
        prepare_picture(damaged)


def test_a_webp_whose_body_is_no_picture_is_noticed() -> None:
    whole = samples.encoded(samples.noise((64, 64)), "WEBP", lossless=True)

    with pytest.raises(BrokenMedium):
        prepare_picture(whole[:30] + b"\xff" * (len(whole) - 30))


def test_more_pixels_than_the_bound_are_refused_before_they_are_decoded() -> None:
    large = samples.encoded(Image.new("1", (8000, 8000)), "PNG")
    bomb = samples.encoded(Image.new("1", (20_000, 20_000)), "PNG")
    assert len(bomb) < 100_000

    with pytest.raises(MediumTooLarge, match="8000x8000"):
        prepare_picture(large)
    with pytest.raises(MediumTooLarge, match="too many pixels"):
        prepare_picture(bomb)


@pytest.mark.parametrize("content", [b"", b"hello", b"<svg></svg>", b"%!PS-Adobe-3.0 EPSF-3.0", b"\x00" * 100])
def test_what_is_no_picture_is_told_what_to_send(content: bytes) -> None:
    with pytest.raises(UnknownMedium, match="JPEG, PNG or WebP"):
        prepare_picture(content)


def test_heic_gets_an_advice_of_its_own() -> None:
    with pytest.raises(UnknownMedium, match="HEIC"):
        prepare_picture(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(40))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_a_picture_cut_short_is_broken(kind: str) -> None:
    whole = samples.encoded(samples.noise((64, 64)), kind)

    with pytest.raises(BrokenMedium):
        prepare_picture(whole[: len(whole) * 2 // 3])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_bytes_never_raise_anything_but_our_errors(kind: str, data: st.DataObject) -> None:
    content = bytearray(
        samples.encoded(samples.picture(), kind, **({"exif": samples.exif(6)} if kind != "BMP" else {}))
    )
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))

    with suppress(MediaError):
        prepare_picture(bytes(content))


def _colours(content: bytes) -> tuple[int, ...]:
    with Image.open(BytesIO(content)) as image:
        rgb = image.convert("RGB")
        left, right = rgb.getpixel((8, 24)), rgb.getpixel((56, 24))
    assert isinstance(left, tuple)
    assert isinstance(right, tuple)
    return (*left, *right)
