"""Whatever value a parameter holds, it can be written in a chat and is read back as the same value."""

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from runtime.api import BadArgument, Choice, Duration, Float, Integer, Parameter, Prompt, Seed, Size, Text, Value

TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=50).filter(str.strip)


@st.composite
def sizes(draw: st.DrawFn) -> Size:
    """Any Size that may be declared: bounds, grain, default and number of pixels of its own."""
    grain = draw(st.sampled_from((1, 8, 16, 64)))
    low, high = sorted(draw(st.tuples(*[st.integers(1, 2048 // grain)] * 2)))
    width, height = draw(st.tuples(*[st.integers(low, high)] * 2))
    most = draw(st.integers(width * height * grain**2, 2048 * 2048))
    return Size(
        default=(width * grain, height * grain),
        low=low * grain,
        high=high * grain,
        multiple_of=grain,
        max_pixels=most,
    )


@st.composite
def held(draw: st.DrawFn) -> tuple[Parameter, Value]:
    """A parameter of any kind, with a value that it takes."""
    low, number, high = sorted(draw(st.tuples(*[st.integers(-(10**9), 10**9)] * 3)))
    small, value, large = sorted(draw(st.tuples(*[st.floats(-1e9, 1e9)] * 3)))
    seconds = draw(st.floats(0.5, 60))
    text = draw(TEXTS).strip()
    size = draw(sizes())
    return draw(
        st.sampled_from(
            [
                (Prompt(), text),
                (Text("negative"), text),
                (Integer("steps", low=low, high=high), number),
                (Float("cfg", low=small, high=large), value),
                (Choice("style", choices=("Oil", "Ink")), draw(st.sampled_from(("Oil", "Ink")))),
                (size, list(size.default)),
                (Seed(), draw(st.integers(0, 2**64 - 1))),
                (Duration(low=0.5, high=60.0), seconds),
            ]
        )
    )


def read(parameter: Parameter, text: str, option: str) -> tuple[Value | None, str]:
    """The value of `text`, or why it is none."""
    try:
        return parameter.parse(text, option), ""
    except BadArgument as refused:
        return None, str(refused)


@given(held())
def test_what_is_written_is_read_back_as_the_same_value(case: tuple[Parameter, Value]) -> None:
    parameter, value = case

    assert parameter.parse(parameter.written(value), parameter.name) == value
    assert parameter.check(value) == value


@given(held())
def test_a_value_survives_being_stored_as_json(case: tuple[Parameter, Value]) -> None:
    parameter, value = case

    assert parameter.check(json.loads(json.dumps(value))) == value


@given(st.text(max_size=40), st.sampled_from((Integer("n"), Float("n"), Size(), Seed(), Duration())))
def test_any_text_is_a_value_or_is_refused_in_words(text: str, parameter: Parameter) -> None:
    for option in parameter.options:
        value, reason = read(parameter, text, option)
        assert reason.startswith("--") if value is None else parameter.check(value) == value


@given(sizes(), st.integers(1, 9999), st.integers(1, 9999))
def test_a_ratio_gives_a_size_within_all_bounds_or_is_called_too_narrow(size: Size, across: int, down: int) -> None:
    sides, reason = read(size, f"{across}:{down}", "ar")

    if isinstance(sides, list):
        assert all(size.low <= side <= size.high and side % size.multiple_of == 0 for side in sides)
        assert sides[0] * sides[1] <= size.max_pixels
    else:
        assert "is too narrow" in reason


@given(st.integers(1, 30), st.integers(1, 30))
def test_a_ratio_keeps_the_default_s_number_of_pixels_to_a_twentieth(across: int, down: int) -> None:
    assume(1 / 3 < across / down < 3)

    width, height = Size().parse(f"{across}:{down}", "ar")  # type: ignore[misc]

    assert abs(width * height / 1024**2 - 1) < 0.05
    assert abs(width / height / (across / down) - 1) < 0.05


@pytest.mark.parametrize("ratio", ["16:9", "9:16", "4:3", "11:9", "1:1", "21:9"])
def test_a_ratio_works_even_where_the_default_is_the_largest_size_allowed(ratio: str) -> None:
    width, height = Size(max_pixels=1024 * 1024).parse(ratio, "ar")  # type: ignore[misc]

    assert 0.93 * 1024 * 1024 < width * height <= 1024 * 1024


@given(
    st.floats(0.1, 60.0),
    st.sampled_from((8.0, 12.5, 16.0, 24.0, 30.0)),
    st.sampled_from((1, 4, 8)),
)
def test_frames_are_a_multiple_of_the_step_and_one(seconds: float, fps: float, step: int) -> None:
    (frames,) = Duration(low=0.1, high=60.0, fps=fps, frame_step=step).components(seconds)

    assert isinstance(frames, int)
    assert (frames - 1) % step == 0
    assert abs((frames - 1) / fps - seconds) <= step / fps
