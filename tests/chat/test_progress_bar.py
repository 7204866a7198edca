import json

from hypothesis import given
from hypothesis import strategies as st

from runtime.chat.captions import TEXT_UNITS, utf16_units
from runtime.chat.progress_bar import CELLS, Progress, bar, percent

fractions = st.floats(allow_nan=True, allow_infinity=True)


@given(fractions)
def test_the_bar_always_has_the_same_length(fraction):
    drawn = bar(fraction)
    assert len(drawn) == CELLS
    assert drawn == "▰" * drawn.count("▰") + "▱" * drawn.count("▱")


@given(st.floats(0, 1), st.floats(0, 1))
def test_more_progress_never_shows_less(one, other):
    low, high = sorted((one, other))
    assert bar(low).count("▰") <= bar(high).count("▰")
    assert percent(low) <= percent(high)


def test_a_full_bar_means_done():
    assert (bar(0.999), percent(0.999)) == ("▰▰▰▰▰▰▰▰▰▱", 99)
    assert (bar(1), percent(1)) == ("▰" * 10, 100)


def test_the_line_tells_percent_node_and_step():
    line = Progress.read({"fraction": 0.52, "node": "31", "title": "sampler", "step": 11, "steps": 20}).line("en")
    assert line == "🎨 ▰▰▰▰▰▱▱▱▱▱ 52 % · sampler · step 11/20"


def test_a_node_of_one_step_shows_no_steps():
    assert Progress(0.9, "decode", 1, 1).line("de") == "🎨 ▰▰▰▰▰▰▰▰▰▱ 90 % · decode"


junk = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers())


@given(st.dictionaries(st.sampled_from(["fraction", "phase", "node", "title", "step", "steps", "other"]), junk))
def test_whatever_a_server_reports_gives_a_line_that_can_be_sent(state):
    line = Progress.read(state).line("en")
    assert utf16_units(line) <= TEXT_UNITS
    assert "\n" not in line
    json.dumps(line).encode()
