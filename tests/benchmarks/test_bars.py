"""The verdicts follow from the numbers."""

from dataclasses import replace

from benchmarks.placement.bars import bars
from benchmarks.placement.score import Score, table

GOOD = Score(
    trace="bursty",
    policy="ours",
    bound=950.0,
    makespan=1000.0,
    waits=[10.0] * 100,
    modest_p95=10.0,
    modest_worst=20.0,
    swaps_per_100=5.0,
    busy_share=0.9,
    running_share=0.8,
    recalls=1,
    decision_seconds=0.001,
)


def failed(ours: Score, peer: Score) -> list[str]:
    found = bars({ours.trace: {"ours": ours, "swarmui": replace(peer, policy="swarmui")}})
    return [bar.what for bar in found if bar.is_met is False]


def test_a_policy_that_equals_its_peers_passes() -> None:
    assert failed(GOOD, GOOD) == []


def test_longer_waits_and_a_later_end_than_a_peers_fail() -> None:
    worse = replace(GOOD, waits=[10.2] * 100, makespan=1011.0)

    assert failed(worse, GOOD) == ["bursty: p95 wait", "bursty: throughput"]


def test_on_the_mixed_fleet_equal_is_not_enough() -> None:
    mixed = replace(GOOD, trace="mixed, near saturation")
    slow = replace(mixed, waits=[12.0] * 100, makespan=1190.0)

    assert failed(mixed, slow) == [f"{mixed.trace}: p95 wait 20% better", f"{mixed.trace}: throughput 20% better"]
    assert failed(mixed, replace(mixed, waits=[12.5] * 100, makespan=1210.0)) == []


def test_what_the_lower_bound_makes_impossible_is_told_and_not_asked() -> None:
    mixed = replace(GOOD, trace="mixed, near saturation", bound=950.0)
    found = bars({mixed.trace: {"ours": mixed, "swarmui": replace(mixed, policy="swarmui", waits=[20.0] * 100)}})

    (told,) = [bar for bar in found if bar.what.endswith("throughput 20% better")]
    assert told.is_met is None
    assert told.measured == "+0.0%, but nobody can have more than +5.3%"


def test_an_end_long_after_the_lower_bound_fails() -> None:
    assert failed(replace(GOOD, bound=900.0), GOOD) == ["bursty: makespan / lower bound"]


def test_a_greedy_user_may_cost_the_modest_half_as_much_again() -> None:
    without = replace(GOOD, trace="without the greedy user")

    def is_met(modest_p95: float) -> bool | None:
        with_him = replace(GOOD, trace="one greedy user", modest_p95=modest_p95)
        *_, last = bars({with_him.trace: {"ours": with_him}, without.trace: {"ours": without}})
        return last.is_met

    assert is_met(15.0) is True
    assert is_met(15.1) is False


def test_a_table_has_a_line_for_each_policy() -> None:
    heading, line = table([GOOD]).splitlines()

    assert heading.split()[0] == "policy"
    assert " ".join(line.split()) == "ours 360 10.0 10.0 10.0 20.0 5.0 90.0% 80.0% 1.053 1 1.0"
