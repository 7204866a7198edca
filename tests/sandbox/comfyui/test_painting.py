"""The pictures: deterministic, different for different wishes, drawable at any size and in any script."""

import itertools

import pytest
from PIL import Image, ImageChops

from runtime.sandbox.comfyui.painting.artist import Artist
from runtime.sandbox.comfyui.painting.landscapes import LANDSCAPES
from runtime.sandbox.comfyui.painting.lettering import drawable, length, wrapped
from runtime.sandbox.comfyui.painting.painter import BlankPainter
from runtime.sandbox.comfyui.painting.scene import LANDSCAPE_WORDS, SUBJECT_WORDS, scene_of
from runtime.sandbox.comfyui.painting.subjects import SUBJECTS
from runtime.sandbox.comfyui.values import Artwork, Images


def paint(
    prompt: str = "a castle", seed: int = 7, size: tuple[int, int] = (256, 192), variation: int = 0, count: int = 1
) -> Image.Image:
    return Artist().paint(Artwork("flux", prompt, seed), *size, variation, count)


def test_the_same_wish_gives_the_same_picture() -> None:
    assert paint().tobytes() == paint().tobytes()


def test_another_prompt_seed_or_variation_gives_another_picture() -> None:
    pictures = [paint(), paint("a cat"), paint(seed=8), paint(variation=1, count=2)]

    assert all(one.tobytes() != other.tobytes() for one, other in itertools.combinations(pictures, 2))


@pytest.mark.parametrize(
    "size", [(1, 1), (8, 8), (16, 300), (64, 64), (100, 20), (150, 110), (640, 64), (64, 640), (1024, 1024)]
)
def test_any_size_is_met_exactly(size: tuple[int, int]) -> None:
    picture = paint("an astronaut in space", size=size)

    assert (picture.size, picture.mode) == (size, "RGB")


@pytest.mark.parametrize("landscape", sorted(LANDSCAPES))
@pytest.mark.parametrize("subject", ["", *sorted(SUBJECTS)])
def test_every_landscape_and_subject_is_painted(landscape: str, subject: str) -> None:
    words = [LANDSCAPE_WORDS[landscape].split()[-1], SUBJECT_WORDS[subject].split()[0] if subject else ""]
    artwork = Artwork("flux", " ".join(words), 1)

    assert scene_of(artwork, 0).landscape in LANDSCAPES
    assert len(Artist().paint(artwork, 96, 64, 0, 1).getcolors(96 * 64)) > 20


@pytest.mark.parametrize(
    "prompt", ["", "Привет, мир", "日本の海", "🎉🎊", "\x00\u202e\n\t", "é" * 5000, "x" * 5000, "a " * 5000]
)
def test_any_prompt_is_captioned(prompt: str) -> None:
    paint(prompt, size=(320, 200))


def test_letters_without_a_glyph_are_told_instead_of_drawn_as_boxes() -> None:
    assert drawable("Café — naïve") == "Cafe - naive"
    assert drawable("Привет мир") == "[9 Cyrillic letters]"
    assert drawable("a 日本 cat") == "a [2 CJK letters] cat"
    assert drawable("party 🎉") == "party [1 symbols]"


def test_lines_fit_their_width() -> None:
    lines = wrapped("one two three " * 20 + "z" * 200, 16, 120, 3)

    assert len(lines) == 3
    assert all(length(line, 16) <= 120 for line in lines)
    assert lines[-1].endswith("…")


def test_an_edit_shows_the_picture_it_started_from() -> None:
    source = Image.new("RGB", (256, 256), (200, 40, 40))
    artwork = Artwork("qwen", "make it nicer", 3, (Images.of([source]),))

    picture = Artist().paint(artwork, 256, 256, 0, 1)

    assert picture.getpixel((30, 60)) == (200, 40, 40)
    assert picture.tobytes() != source.tobytes()


def test_clothes_are_put_on_the_chest_and_other_edits_in_the_corner() -> None:
    source = Images.of([Image.new("RGB", (256, 256), (128, 128, 128))])

    def change(prompt: str) -> Image.Image:
        picture = Artist().paint(Artwork("qwen", prompt, 3, (source,)), 256, 256, 0, 1)
        return ImageChops.difference(picture, source.paint(0))

    chest, corner = (128, 150), (210, 46)
    shirt, sticker = change("put a red t-shirt on him"), change("replace the cat with a dalmatian")
    assert shirt.getpixel(chest) != (0, 0, 0)
    assert shirt.getpixel(corner) == (0, 0, 0)
    assert sticker.getpixel(chest) == (0, 0, 0)
    assert sticker.getpixel(corner) != (0, 0, 0)


@pytest.mark.parametrize("size", [(300, 200), (200, 300)])
def test_several_inputs_are_shown_side_by_side(size: tuple[int, int]) -> None:
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    inputs = tuple(Images.of([Image.new("RGB", (64, 64), colour)]) for colour in colours)

    picture = Artist().paint(Artwork("qwen", "merge them", 1, inputs), *size, 0, 1)
    shown = {colour for _, colour in picture.getcolors(60_000)}

    assert shown >= set(colours)


def test_a_film_moves() -> None:
    artwork = Artwork("wan", "an astronaut dances", 1, (), is_film=True)
    frames = [Artist().paint(artwork, 96, 96, index, 8).tobytes() for index in range(8)]

    assert len(set(frames)) == 8


def test_the_blank_painter_encodes_a_size_once() -> None:
    painter = BlankPainter()
    pictures = [painter.paint(Artwork("flux", "x", seed), 64, 32, 0, 1) for seed in range(2)]

    assert pictures[0].size == (64, 32)
    assert painter.encode(pictures[0]) is painter.encode(pictures[1])
