"""What a chat is told of the time left: round, honest, never negative and never frozen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.chat.eta import eta

WHOLE = 60.0


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (2, "⏱ done in a few seconds"),
        (10, "⏱ done in about 10 s"),
        (31, "⏱ done in about 40 s"),
        (50, "⏱ done in about 50 s"),
        (58, "⏱ done in about a minute"),
        (95, "⏱ done in 1 to 2 minutes"),
        (150, "⏱ done in 2 to 3 minutes"),
        (599, "⏱ done in 9 to 10 minutes"),
        (700, "⏱ done in 10 to 15 minutes"),
        (3599, "⏱ done in 55 to 60 minutes"),
        (3600, "⏱ done in 1 to 2 hours"),
        (-4, "⏱ done in a few seconds"),
        (-13, "⏱ taking longer than usual"),
    ],
)
def test_the_time_left_in_words(seconds: float, expected: str) -> None:
    assert eta(seconds, whole_seconds=WHOLE).words("en") == expected


def test_it_is_said_in_the_language_of_the_chat() -> None:
    assert eta(150, whole_seconds=WHOLE).words("de") == "⏱ in 2 bis 3 Minuten fertig"


def test_a_long_run_is_late_later_than_a_short_one() -> None:
    assert not eta(-100, whole_seconds=600).is_late
    assert eta(-121, whole_seconds=600).is_late
    assert eta(-6, whole_seconds=10).is_late


@given(st.floats(-100, 100_000), st.floats(0, 3600))
def test_the_words_hold_until_they_are_said_to_change_and_not_for_long_after(left: float, whole: float) -> None:
    now = eta(left, whole_seconds=whole)
    if now.changes_in is None:
        assert now.is_late
        return
    assert now.changes_in >= 0
    assert eta(left - 0.99 * now.changes_in, whole_seconds=whole).words("en") == now.words("en")
    assert eta(left - now.changes_in - 0.01, whole_seconds=whole).words("en") != now.words("en")


@given(st.floats(10, 100_000))
def test_what_is_said_is_never_less_than_what_is_expected(left: float) -> None:
    said = eta(left, whole_seconds=WHOLE)
    unit = {"eta.seconds": 1, "eta.minute": 60, "eta.minutes": 60, "eta.hours": 3600}[said.key]
    assert (said.high or 1.5) * unit >= left
