from io import BytesIO

import pytest
from PIL import Image

from runtime.media import BrokenMedium, UnknownMedium, probe, thumbnail
from tests.media import samples


def test_a_video_is_measured() -> None:
    medium = probe(samples.mp4((64, 48), frames=8, rate=16))

    assert (medium.kind, medium.media_type, medium.suffix) == ("video", "video/mp4", ".mp4")
    assert (medium.width, medium.height) == (64, 48)
    assert medium.duration_seconds == pytest.approx(0.5, abs=0.01)


def test_a_thumbnail_is_small_whatever_the_video() -> None:
    small = thumbnail(samples.mp4((1280, 640), frames=2))

    with Image.open(BytesIO(small)) as image:
        assert (image.format, image.size) == ("JPEG", (320, 160))
    assert len(small) < 200_000


def test_a_small_video_is_not_blown_up() -> None:
    with Image.open(BytesIO(thumbnail(samples.mp4((64, 48))))) as image:
        assert image.size == (64, 48)


def test_sound_alone_is_no_video() -> None:
    with pytest.raises(UnknownMedium, match="no video stream"):
        probe(samples.audio_only())


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_a_video_cut_short_is_broken(share: float) -> None:
    whole = samples.mp4()

    with pytest.raises(BrokenMedium):
        thumbnail(whole[: int(len(whole) * share)])


def test_the_content_decides_and_not_a_name() -> None:
    with pytest.raises(UnknownMedium):
        thumbnail(samples.encoded(samples.picture(), "PNG"))
    with pytest.raises(UnknownMedium):
        probe(b"GET / HTTP/1.1\r\n\r\n")
