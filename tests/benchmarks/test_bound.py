"""The lower bound is one, and no lower than it has to be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.placement import COMMANDS, least_makespan
from benchmarks.placement.capacity import least_seconds
from benchmarks.placement.workload import RTX_4090, RTX_5090
from tests.benchmarks.made import FLUX, SD3, WAN, trace

amounts = st.lists(st.floats(0, 500), min_size=len(COMMANDS), max_size=len(COMMANDS))
divisions = st.lists(st.floats(0, 1), min_size=len(COMMANDS), max_size=len(COMMANDS))


@given(amounts, divisions, st.integers(1, 8), st.integers(1, 8), st.floats(0, 300))
def test_no_division_of_the_work_between_two_kinds_of_cards_is_faster(
    runs: list[float], shares: list[float], old: int, new: int, load_seconds: float
) -> None:
    work = dict(zip(COMMANDS, runs, strict=True))
    least = least_seconds(work, {RTX_4090: old, RTX_5090: new}, load_seconds=load_seconds)
    divided = [(command, work[command], share) for command, share in zip(COMMANDS, shares, strict=True)]
    on_old = sum(share * amount * command.seconds[RTX_4090] for command, amount, share in divided)
    on_new = sum((1 - share) * amount * command.seconds[RTX_5090] for command, amount, share in divided)

    for share in (0.0, 0.5, 1.0):
        ends = max((on_old + share * load_seconds) / old, (on_new + (1 - share) * load_seconds) / new)
        assert least <= ends + 1e-6


def test_each_kind_of_card_gets_what_it_is_comparatively_best_at() -> None:
    """A 5090 is 2.7 times as fast as a 4090 at flux, and 1.5 times at sd3."""
    work = {FLUX: 100.0, SD3: 100.0}
    old, new = SD3.seconds[RTX_4090], FLUX.seconds[RTX_5090]
    share = (100 * new + 100 * SD3.seconds[RTX_5090]) / (100 * (old + SD3.seconds[RTX_5090]))

    least = least_seconds(work, {RTX_4090: 1, RTX_5090: 1})

    assert least == pytest.approx(share * 100 * old)
    assert least < min(100 * FLUX.seconds[RTX_4090], least_seconds(work, {RTX_5090: 1}))


def test_one_kind_of_card_shares_everything() -> None:
    assert least_seconds({FLUX: 10.0}, {RTX_4090: 4, RTX_5090: 0}, load_seconds=40.0) == pytest.approx(
        10 * 4.92 / 4 + 10
    )


def test_the_bound_counts_a_load_for_each_model_set() -> None:
    asked = trace((0, "flux"), (0, "sd3"), (0, "flux"), rtt=1.0)
    needed = 2 * FLUX.seconds[RTX_4090] + SD3.seconds[RTX_4090] + FLUX.load_seconds + SD3.load_seconds

    assert least_makespan(asked) == pytest.approx(0.5 + needed)


@pytest.mark.parametrize("gpus", [2, 20])
def test_every_card_that_is_used_has_to_load_something(gpus: int) -> None:
    asked = trace((0, "flux"), (0, "flux"), gpus=gpus, rtt=0.0)

    assert least_makespan(asked) == pytest.approx(FLUX.load_seconds + FLUX.seconds[RTX_4090])


def test_the_bound_knows_that_late_work_cannot_be_done_early() -> None:
    asked = trace((0, "flux"), (1000, "flux"), (1000, "flux"), rtt=0.0)

    assert least_makespan(asked) == pytest.approx(1000 + 2 * FLUX.seconds[RTX_4090])


def test_of_more_model_sets_than_cards_not_all_can_be_loaded_already() -> None:
    asked = trace((0, "flux"), (0, "sd3"), (1000, "flux"), (1000, "sd3"), rtt=0.0)
    again = min(FLUX.load_seconds, SD3.load_seconds)

    assert least_makespan(asked) == pytest.approx(1000 + again + FLUX.seconds[RTX_4090] + SD3.seconds[RTX_4090])


def test_the_bound_waits_for_a_long_job_on_the_fastest_card() -> None:
    asked = trace((0, "wan"), gpus=4, new=4, rtt=0.0)

    assert least_makespan(asked) == pytest.approx(WAN.load_seconds + WAN.seconds[RTX_5090])
