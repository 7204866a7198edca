"""What each parameter takes, refuses, and hands to the graph."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.api import (
    BadArgument,
    Choice,
    DeclarationError,
    Duration,
    Float,
    ImageInput,
    Integer,
    Parameter,
    Prompt,
    Seed,
    Size,
    Text,
    Value,
)

STYLE = Choice("style", choices=("Oil", "Ink"), default="Oil")


@pytest.mark.parametrize(
    ("parameter", "text", "value"),
    [
        (Prompt(), "  a cat ", "a cat"),
        (Text("negative"), "people", "people"),
        (Integer("steps", low=1, high=20), "+7", 7),
        (Integer("shift", low=-5, high=5), "-5", -5),
        (Float("cfg", low=0, high=15), "4.01", 4.01),
        (Float("cfg", low=0, high=15), ".5", 0.5),
        (Float("cfg", low=0, high=15), "7", 7.0),
        (STYLE, "iNK", "Ink"),
        (Size(), "512x768", [512, 768]),
        (Size(), "512 X 768", [512, 768]),
        (Seed(), "0", 0),
        (Duration(), "2.5", 2.5),
        (Duration(), "2.5 s", 2.5),
        (Duration(), "3seconds", 3.0),
    ],
)
def test_what_is_written_becomes_a_value(parameter: Parameter, text: str, value: Value) -> None:
    parsed = parameter.parse(text, parameter.name)

    assert parsed == value
    assert type(parsed) is type(value)
    assert parameter.check(parsed) == parsed


@pytest.mark.parametrize(
    ("parameter", "value", "reason"),
    [
        (Prompt(), " ", "prompt is empty"),
        (Prompt(), None, "prompt must be text, not None"),
        (Text("negative"), 5, "negative must be text, not 5"),
        (Text("note", max_length=3), "four", "note is 4 characters long, 3 are allowed"),
        (Integer("steps", low=1, high=20), 21, "--steps must be from 1 to 20, not 21"),
        (Integer("steps", low=1, high=20), 4.5, "--steps takes a whole number from 1 to 20, not '4.5'"),
        (Integer("steps", low=1, high=20), True, "--steps takes a whole number"),
        (Integer("steps", low=1, high=20), [4], "--steps takes a whole number"),
        (Float("cfg", low=0, high=15), float("nan"), "--cfg takes a number from 0 to 15, not 'nan'"),
        (Float("cfg", low=0, high=15), float("inf"), "--cfg takes a number from 0 to 15, not 'inf'"),
        (Float("cfg", low=0, high=15), -0.1, "--cfg must be from 0 to 15, not -0.1"),
        (STYLE, "chalk", "--style must be one of Oil, Ink, not 'chalk'"),
        (Size(), [512, 100], "--size: each side must be from 256 to 2048, not 100"),
        (Size(), [512, 520], "--size: each side must be a multiple of 16; the nearest is 512x512"),
        (Size(max_pixels=1024 * 1024), [2048, 1024], "--size: 2048x1024 is more than 1048576 pixels"),
        (Size(), 512, "--size takes width x height like 1024x768, not '512'"),
        (Size(), [512, 512, 512], "--size takes width x height"),
        (Seed(), -1, "--seed takes a whole number from 0 to 2^64-1, not '-1'"),
        (Seed(), 2**64, "--seed takes a whole number from 0 to 2^64-1"),
        (Duration(), 6, "--seconds must be from 1 to 5, not 6"),
        (ImageInput(), "cat.png", "pictures are sent or replied to, not written"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_in_words(parameter: Parameter, value: Value, reason: str) -> None:
    with pytest.raises(BadArgument) as refused:
        parameter.check(value)

    assert str(refused.value).startswith(reason)


@given(st.floats(0, 1000))
def test_any_number_in_range_survives_being_written(value: float) -> None:
    assert Float("cfg", high=1000.0).check(value) == value


@given(st.floats(0.5, 5.0))
def test_a_duration_is_4k_plus_1_frames_within_two_of_what_was_asked(seconds: float) -> None:
    (frames,) = Duration(low=0.5).components(seconds)

    assert isinstance(frames, int)
    assert frames % 4 == 1
    assert abs(frames - 1 - seconds * 16) <= 2


def test_a_size_fills_two_places_and_other_values_one() -> None:
    assert Size().components([512, 768]) == (512, 768)
    assert Integer("steps").components(4) == (4,)
    assert Prompt().components("a cat") == ("a cat",)


def test_initial_values() -> None:
    assert [p.initial() for p in (Prompt(), Integer("n", default=1), STYLE, ImageInput())] == [None, 1, "Oil", None]
    assert Size().initial() == [1024, 1024]
    assert len({Seed().initial() for _ in range(8)}) > 1


@pytest.mark.parametrize(
    ("parameter", "usage"),
    [
        (Prompt(), "<prompt>"),
        (Text("negative"), "--negative <text>"),
        (Integer("steps", low=1, high=20), "--steps 1..20"),
        (Float("cfg", low=0, high=1.5), "--cfg 0..1.5"),
        (STYLE, "--style Oil|Ink"),
        (Size(), "--size 1024x1024 or --ar 16:9"),
        (Seed(), "--seed <number>"),
        (Duration(), "--seconds 1..5"),
        (ImageInput(), "a picture"),
        (ImageInput(high=3), "1 to 3 pictures"),
    ],
)
def test_every_parameter_says_how_it_is_written(parameter: Parameter, usage: str) -> None:
    assert parameter.usage == usage


@pytest.mark.parametrize(
    "declare",
    [
        lambda: Integer("Steps"),
        lambda: Integer("-steps"),
        lambda: Integer("steps", low=5, high=4),
        lambda: Integer("steps", default=0, low=1),
        lambda: Float("cfg", default=2.0),
        lambda: Choice("style"),
        lambda: Choice("style", choices=("a",), default="b"),
        lambda: Size(default=(1000, 1000)),
        lambda: Size(multiple_of=0),
        lambda: Size(low=250),
        lambda: Duration(default=9),
        lambda: Integer("steps", default=4.5),  # type: ignore[arg-type]
        lambda: Float("cfg", low=float("nan")),
        lambda: Choice("style", choices="ab"),  # type: ignore[arg-type]
        lambda: Size(default=(1024,)),  # type: ignore[arg-type]
        lambda: Duration(fps=0),
        lambda: Duration(frame_step=0),
        lambda: Text("note", default=""),
        lambda: Text("note", default="four", max_length=3),
        lambda: ImageInput(low=2, high=1),
        lambda: ImageInput(low=0, high=0),
    ],
)
def test_a_wrong_declaration_is_refused_where_it_stands(declare: object) -> None:
    with pytest.raises(DeclarationError):
        declare()  # type: ignore[operator]
