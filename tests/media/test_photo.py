from io import BytesIO

import pytest
from PIL import Image

from runtime.media import BrokenMedium, fit_photo
from runtime.media.photo import PHOTO_BYTES
from tests.media import samples


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_what_fits_is_sent_as_it_is_but_for_metadata(kind: str) -> None:
    original = samples.encoded(samples.picture(), kind, exif=samples.exif())

    photo = fit_photo(original)

    assert photo is not None
    assert samples.pixels(photo.content) == samples.pixels(original)
    assert samples.SECRET.encode() not in photo.content


def test_too_many_bytes_become_a_jpeg_that_fits() -> None:
    original = samples.encoded(samples.noise((2400, 2000)), "PNG")
    assert len(original) > PHOTO_BYTES

    photo = fit_photo(original)

    assert photo is not None
    assert photo.media_type == "image/jpeg"
    assert len(photo.content) <= PHOTO_BYTES


def test_too_long_sides_are_scaled_down_in_proportion() -> None:
    photo = fit_photo(samples.encoded(Image.new("RGB", (9000, 3000), "red"), "PNG"))

    assert photo is not None
    assert photo.width + photo.height <= 10_000
    assert photo.width / photo.height == pytest.approx(3, abs=0.01)
    with Image.open(BytesIO(photo.content)) as image:
        assert image.size == (photo.width, photo.height)


def test_other_formats_become_jpeg_with_white_for_nothing() -> None:
    transparent = Image.new("RGBA", (32, 32), (255, 0, 0, 0))

    photo = fit_photo(samples.encoded(transparent, "WEBP", lossless=True))

    assert photo is not None
    assert photo.media_type == "image/jpeg"
    with Image.open(BytesIO(photo.content)) as image:
        assert image.convert("L").getpixel((16, 16)) == 255


@pytest.mark.parametrize("size", [(2100, 100), (100, 2001)])
def test_a_strip_can_only_be_a_document(size: tuple[int, int]) -> None:
    assert fit_photo(samples.encoded(Image.new("RGB", size), "PNG")) is None


def test_an_animation_and_a_video_are_no_photos() -> None:
    assert fit_photo(samples.animation("GIF")) is None
    assert fit_photo(samples.mp4()) is None


def test_a_broken_picture_is_told() -> None:
    with pytest.raises(BrokenMedium):
        fit_photo(samples.encoded(samples.noise((64, 64)), "WEBP")[:300])
