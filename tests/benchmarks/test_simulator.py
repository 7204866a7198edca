"""The simulated fleet keeps to the rules that its results rest on."""

import itertools

import pytest

from benchmarks.placement import TRACES, Result, least_makespan, make_trace, policies, simulate
from benchmarks.placement.policies import Choice, Choices
from benchmarks.placement.policies.fifo import Fifo
from benchmarks.placement.policies.ours import Ours
from benchmarks.placement.state import View
from db.jobs import TURN_SECONDS
from runtime.scheduler.place import place
from runtime.scheduler.schedule import WINDOW
from tests.benchmarks.made import FLUX, SD3, Scripted, order, runs, trace

SMALL = 0.05


@pytest.mark.parametrize("name", TRACES)
def test_a_trace_is_the_same_for_the_same_seed(name: str) -> None:
    assert make_trace(name, seed=3, scale=SMALL) == make_trace(name, seed=3, scale=SMALL)
    assert make_trace(name, seed=3, scale=SMALL).jobs != make_trace(name, seed=4, scale=SMALL).jobs


def test_the_crowd_is_the_same_with_and_without_the_greedy_user() -> None:
    with_him, without = (make_trace(name) for name in ("one greedy user", "without the greedy user"))

    assert [job for job in with_him.jobs if job.user_id not in with_him.greedy] == list(without.jobs)


@pytest.mark.parametrize("policy", policies())
@pytest.mark.parametrize("name", ["bursty", "one greedy user", "mixed, near saturation", "1 backend", "round trip 1 s"])
def test_every_job_runs_once_on_a_gpu_that_runs_one_at_a_time(policy: str, name: str) -> None:
    played = make_trace(name, scale=SMALL)
    result = simulate(played, policies()[policy]())

    assert sorted(one.id for one in result.tickets) == [job.id for job in played.jobs]
    for one in result.tickets:
        assert one.job.at + played.round_trip_seconds / 2 <= one.loads_at <= one.runs_at < one.ends_at
    for backend in result.backends:
        own = sorted((one for one in result.tickets if one.backend == backend.name), key=lambda one: one.loads_at)
        assert all(before.ends_at <= after.loads_at for before, after in itertools.pairwise(own))
        sets = [None, *(one.job.command.model_set for one in own)]
        assert [one.was_cold for one in own] == [before != after for before, after in itertools.pairwise(sets)]
        spent = sum(one.ends_at - one.loads_at for one in own)
        assert spent == pytest.approx(backend.load_seconds + backend.run_seconds)
    assert result.busy_share <= 1
    assert result.makespan >= least_makespan(played)


@pytest.mark.parametrize("policy", policies())
def test_a_simulation_gives_the_same_result_again(policy: str) -> None:
    played = make_trace("bursty", scale=SMALL)
    first, second = (simulate(played, policies()[policy]()) for _ in range(2))

    assert runs(first) == runs(second)


def test_a_job_waits_for_half_a_round_trip_and_its_load() -> None:
    result = simulate(trace((5.0, "flux"), rtt=1.0), Fifo())

    assert result.waits == [pytest.approx(0.5 + FLUX.load_seconds)]
    assert result.makespan == pytest.approx(5.5 + FLUX.load_seconds + FLUX.seconds["RTX 4090"])


def test_without_look_ahead_a_gpu_idles_a_round_trip_between_jobs() -> None:
    asked = trace((0.0, "flux"), (0.0, "flux"), (0.0, "flux"), rtt=1.0)

    alone = [after[1] - before[2] for before, after in itertools.pairwise(runs(simulate(asked, Fifo())))]
    ahead = [after[1] - before[2] for before, after in itertools.pairwise(runs(simulate(asked, Fifo(lookahead=1))))]

    assert alone == [pytest.approx(1.0)] * 2
    assert ahead == [pytest.approx(0.0)] * 2


def test_weights_are_loaded_only_when_they_change() -> None:
    result = simulate(trace((0, "flux"), (0, "flux"), (0, "sd3"), (0, "flux"), rtt=0.0), Fifo())

    assert [one.was_cold for one in result.tickets] == [True, False, True, True]
    assert result.swaps_per_100 == 75
    assert result.backends[0].load_seconds == pytest.approx(2 * FLUX.load_seconds + SD3.load_seconds)


def test_a_job_ranks_a_turn_later_for_each_one_that_its_user_has_open() -> None:
    asked = trace((0, "flux", 1), (1, "flux", 1), (2, "flux", 2), (500, "flux", 1))

    ranks = {one.id: one.rank_at for one in simulate(asked, Fifo()).tickets}

    assert ranks == {1: 0, 2: 1 + TURN_SECONDS, 3: 2, 4: 500}


def test_our_policy_decides_with_the_window_that_the_scheduler_reads() -> None:
    seen = []

    def watched(queued, slots, **more):  # type: ignore[no-untyped-def]
        seen.append(([job.id for job in queued], len(slots)))
        return place(queued, slots, **more)

    asked = trace(*((0.0, "flux") for _ in range(100)), *((0.0, "sd3") for _ in range(100)))
    simulate(asked, Ours(decider=watched))

    first, slots = seen[0]
    assert slots == 2
    assert first == [*range(1, WINDOW + 3), *range(101, 101 + WINDOW + 2)]


def test_a_policy_that_learns_is_told_what_was_seen_and_no_more() -> None:
    known = []

    def watched(queued, slots, **more):  # type: ignore[no-untyped-def]
        known.append(more["timings"])
        return place(queued, slots, **more)

    simulate(trace((0.0, "flux"), (100.0, "flux"), (200.0, "flux")), Ours(decider=watched, learns=True))

    assert known[0].runs == {}
    assert known[0].loads == {}
    assert known[-1].runs == {("flux", "RTX 4090", ""): pytest.approx(FLUX.seconds["RTX 4090"])}
    assert known[-1].loads == {("flux-schnell", "RTX 4090"): pytest.approx(FLUX.load_seconds)}


def recalling(after: float) -> Result:
    """Two jobs go to a GPU at once, and the second is wanted back then."""

    def decide(view: View) -> Choices:
        if view.now == 0:
            given = tuple(Choice(one.id, "gpu-00") for one in view.queue)
            return Choices(given, look_again_seconds=after)
        held = view.backends[0].held
        if view.now == after:
            return Choices(recalls=(2,))
        return Choices(tuple(Choice(one.id, "gpu-00") for one in view.queue) if not held else ())

    return simulate(trace((0.0, "flux"), (0.0, "flux"), rtt=1.0), Scripted(decide))


def test_a_job_that_waits_on_its_backend_can_be_taken_back() -> None:
    result = recalling(after=10.0)

    assert result.recalls == 1
    assert [one.recalls for one in result.tickets] == [0, 1]
    first, second = runs(result)
    assert second[1] - first[2] == pytest.approx(1.0)  # it was posted again only when the first was known to be over


def test_a_recall_comes_too_late_for_a_run_that_has_begun() -> None:
    begins = 0.5 + FLUX.load_seconds + FLUX.seconds["RTX 4090"]

    result = recalling(after=begins - 0.4)

    assert result.recalls == 0
    assert order(result) == [1, 2]
    assert runs(result)[1][1] == pytest.approx(begins)


def test_a_job_that_nobody_places_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="1 jobs wait"):
        simulate(trace((0.0, "flux")), Scripted(lambda view: Choices()))
