"""`place`: what it promises, over thousands of made-up fleets, and the words of its reasons."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.scheduler.gpus import LOOKAHEAD_SECONDS, STINT_SECONDS
from runtime.scheduler.place import OVERTAKING_SECONDS, place
from runtime.scheduler.timings import Timings
from runtime.scheduler.view import Decision, Held, QueuedJob, Slot

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
COMMANDS = ("flux", "qwen", "wan")
LABELS = ("fast", "quiet")
DEVICES = ("RTX 4090", "RTX 5090")
MODEL_SETS = ("one", "two", "three")


def ago(seconds: float) -> datetime:
    return NOON - timedelta(seconds=seconds)


def job(number: int, **changes: object) -> QueuedJob:
    queued_at = ago(1000 - number)
    return replace(QueuedJob(id=number, command="flux", queued_at=queued_at, rank_at=queued_at), **changes)


def held(number: int = 900, *, since: float = 1.0, **changes: object) -> Held:
    return replace(Held(number, "flux", "flux", ago(since), ago(since), began_at=ago(since)), **changes)


def slot(backend: str, position: int = 0, **changes: object) -> Slot:
    return replace(Slot(backend=backend, position=position, vram_gb=24.0), **changes)


def timings(**seconds: float) -> Timings:
    """What each command takes, on every device; a load takes 20 s."""
    devices = ("", *DEVICES)
    runs = {(key, device, ""): run for key, run in seconds.items() for device in devices}
    return Timings(runs, {(model_set, device): 20.0 for model_set in (*MODEL_SETS, *seconds) for device in devices})


def decide(jobs: list[QueuedJob], slots: list[Slot], known: Timings | None = None, **more: object) -> Decision:
    return place(jobs, slots, now=NOON, timings=known or Timings(), **more)


def placed(decision: Decision) -> list[tuple[int, str]]:
    return [(one.job_id, one.backend) for one in decision.placements]


jobs_strategy = st.lists(
    st.builds(
        QueuedJob,
        id=st.integers(1, 10_000),
        command=st.sampled_from(COMMANDS),
        queued_at=st.integers(0, 50).map(ago),
        rank_at=st.integers(-1200, 1200).map(ago),
        user_id=st.integers(1, 3),
        variant=st.sampled_from((None, "dev")),
        model_set=st.sampled_from(("", *MODEL_SETS)),
        size_class=st.sampled_from(("", "2x")),
        vram_gb=st.sampled_from((8.0, 16.0, 24.0)),
        labels=st.frozensets(st.sampled_from(LABELS)),
        prefer=st.lists(st.sampled_from(("gpu-0", "gpu-1", "RTX 5090")), max_size=2).map(tuple),
        near=st.frozensets(st.sampled_from(("gpu-0", "gpu-1")), max_size=1),
        queue_seconds=st.sampled_from((None, 20.0)),
    ),
    max_size=25,
    unique_by=lambda made: made.id,
)

holders = st.builds(
    held,
    st.integers(10_001, 10**9),
    since=st.floats(0, 200),
    command=st.sampled_from(COMMANDS),
    key=st.sampled_from((*COMMANDS, "flux --dev")),
    user_id=st.integers(1, 3),
    model_set=st.sampled_from(("", *MODEL_SETS)),
    began_at=st.none() | st.floats(0, 100).map(ago),
    is_cold=st.booleans(),
)


@st.composite
def fleets(draw: st.DrawFn) -> list[Slot]:
    slots = []
    for number in range(draw(st.integers(0, 4))):
        backend = Slot(
            backend=f"gpu-{number}",
            position=0,
            vram_gb=draw(st.sampled_from((8.0, 16.0, 24.0))),
            device=draw(st.sampled_from(DEVICES)),
            labels=draw(st.frozensets(st.sampled_from(LABELS))),
            away=draw(st.sampled_from((None, None, None, "is away"))),
            warm_model_set=draw(st.sampled_from((None, *MODEL_SETS))),
            warm_since=draw(st.none() | st.integers(0, 1200).map(ago)),
            missing=draw(st.dictionaries(st.sampled_from(("flux --dev", "wan")), st.just("no vae"), max_size=1)),
            tripped=draw(st.dictionaries(st.sampled_from(("qwen", "wan")), st.just("it failed"), max_size=1)),
            probing=draw(st.frozensets(st.sampled_from(("flux", "qwen")), max_size=1)),
            pinned=draw(st.sampled_from((frozenset(), frozenset(), frozenset({"one", "two"})))),
            limits=draw(st.dictionaries(st.sampled_from(COMMANDS), st.integers(1, 2), max_size=1)),
        )
        slots += [replace(backend, position=p, held=draw(st.none() | holders)) for p in range(draw(st.integers(1, 3)))]
    return draw(st.permutations(slots))


bounds = st.fixed_dictionaries({command: st.sampled_from((None, 1, 2)) for command in COMMANDS})
measured = st.dictionaries(
    st.tuples(st.sampled_from((*COMMANDS, "flux --dev")), st.sampled_from(DEVICES), st.sampled_from(("", "2x"))),
    st.floats(0.5, 100),
).map(lambda runs: Timings(runs, {}))


def suits(slot: Slot, job: QueuedJob) -> bool:
    return (
        slot.away is None
        and slot.vram_gb >= job.vram_gb
        and slot.labels >= job.labels
        and job.key not in slot.missing
        and job.key not in slot.tripped
        and (not slot.pinned or job.model_set in slot.pinned)
    )


class Books:
    """What is held, by command, user and backend, before and after a decision."""

    def __init__(self, jobs: list[QueuedJob], slots: list[Slot], decision: Decision) -> None:
        self.jobs = {made.id: made for made in jobs}
        holding = [(one.backend, one.held.command, one.held.key, one.held.user_id) for one in slots if one.held]
        self.before = self._counted(holding)
        for given_place in decision.placements:
            made = self.jobs[given_place.job_id]
            holding.append((given_place.backend, made.command, made.key, made.user_id))
        self.after = self._counted(holding)

    @staticmethod
    def _counted(holding: list[tuple[str, str, str, int | None]]) -> Counter[object]:
        counts: Counter[object] = Counter()
        for backend, command, key, user in holding:
            counts.update({command: 1, ("user", user): 1, (backend, command): 1, (backend, "key", key): 1})
        return counts

    def is_bounded(
        self, made: QueuedJob, running_per_user: int | None, *, counts: Counter[object] | None = None
    ) -> bool:
        counts = self.after if counts is None else counts
        return (made.concurrency is not None and counts[made.command] >= made.concurrency) or (
            running_per_user is not None and counts["user", made.user_id] >= running_per_user
        )

    def has_room(self, one: Slot, made: QueuedJob, counts: Counter[object]) -> bool:
        if made.key in one.probing and counts[one.backend, "key", made.key]:
            return False
        return made.command not in one.limits or counts[one.backend, made.command] < one.limits[made.command]


@settings(max_examples=200)
@given(jobs_strategy, fleets(), bounds, measured, st.sampled_from((None, 1, 2)), st.randoms())
def test_every_decision_keeps_the_rules(jobs, slots, bounds, known, per_user, shuffler):
    jobs = [replace(made, concurrency=bounds[made.command]) for made in jobs]
    by_place = {(s.backend, s.position): s for s in slots}

    decision = decide(jobs, slots, known, running_per_user=per_user)

    books = Books(jobs, slots, decision)
    answered = [one.job_id for one in decision.placements]
    answers = [*answered, *decision.waiting, *decision.expired, *decision.hopeless]
    assert sorted(answers) == sorted(books.jobs), "every job gets one answer"
    taken = [(p.backend, p.position) for p in decision.placements]
    assert len(set(taken)) == len(taken), "no slot is given twice"
    for given_place in decision.placements:
        one = by_place[given_place.backend, given_place.position]
        assert one.held is None
        assert suits(one, books.jobs[given_place.job_id])
        assert given_place.reason
    for command, bound in bounds.items():
        assert bound is None or books.after[command] <= max(bound, books.before[command])
    for made in jobs:
        user = ("user", made.user_id)
        assert per_user is None or books.after[user] <= max(per_user, books.before[user])
    for one in slots:
        for command, most in one.limits.items():
            assert books.after[one.backend, command] <= max(most, books.before[one.backend, command])
        for key in one.probing:
            spot = (one.backend, "key", key)
            assert books.after[spot] <= max(1, books.before[spot])
    assert all(reason for reason in decision.waiting.values())
    assert set(decision.starts) <= set(decision.waiting)
    assert all(decision.ends[number] >= start >= 0 for number, start in decision.starts.items())

    shuffled_jobs, shuffled_slots = list(jobs), list(slots)
    shuffler.shuffle(shuffled_jobs)
    shuffler.shuffle(shuffled_slots)
    again = decide(shuffled_jobs, shuffled_slots, known, running_per_user=per_user)
    assert again == decision, "order does not matter"


@settings(max_examples=200)
@given(jobs_strategy, fleets(), measured)
def test_no_job_is_passed_over_for_one_that_ranks_more_than_ten_minutes_after_it(jobs, slots, known):
    assert (OVERTAKING_SECONDS, STINT_SECONDS) == (600, 600)
    jobs = [replace(made, user_id=None) for made in jobs]  # a share that is used up is another reason to wait
    decision = decide(jobs, slots, known)
    books = Books(jobs, slots, decision)
    by_place = {(s.backend, s.position): s for s in slots}
    fresh = swapped_lately(slots) | {one.backend for one in decision.placements if one.is_cold}
    for given_place in decision.placements:
        late = books.jobs[given_place.job_id]
        one = by_place[given_place.backend, given_place.position]
        if given_place.backend in fresh and not given_place.is_cold:
            continue
        for number in decision.waiting:
            early = books.jobs[number]
            if suits(one, early) and books.has_room(one, early, books.after):
                assert (late.rank_at - early.rank_at).total_seconds() <= OVERTAKING_SECONDS


def swapped_lately(slots: list[Slot]) -> set[str]:
    """Backends that hold their weights for less than ten minutes, or are about to load others."""
    return {s.backend for s in slots if (s.warm_since and s.warm_since > ago(STINT_SECONDS)) or s.held}


@settings(max_examples=200)
@given(jobs_strategy, fleets(), measured)
def test_a_job_that_waits_beside_an_idle_gpu_that_suits_it_is_sooner_done_elsewhere(jobs, slots, known):
    jobs = [replace(made, user_id=None) for made in jobs]
    slots = [replace(one, device="RTX 4090") for one in slots]
    decision = decide(jobs, slots, known)
    books = Books(jobs, slots, decision)
    working = {s.backend for s in slots if s.held} | {p.backend for p in decision.placements}
    for number in decision.waiting:
        made = books.jobs[number]
        for one in slots:
            if one.backend not in working and suits(one, made):
                here = known.run_seconds(made.key, one.device, made.size_class)
                if made.model_set and made.model_set != one.warm_model_set:
                    here += 2 * known.load_seconds(made.model_set, one.device)
                assert decision.ends[number] <= here + 1


@given(jobs_strategy, fleets())
def test_among_equals_the_first_to_come_is_the_first_served(jobs, slots):
    jobs = [replace(made, model_set="", prefer=(), near=frozenset(), user_id=None) for made in jobs]

    decision = decide(jobs, slots)

    chosen = {one.job_id for one in decision.placements}
    for early in jobs:
        for late in jobs:
            demands = [(made.key, made.vram_gb, made.labels, made.size_class) for made in (early, late)]
            if (early.rank_at, early.id) < (late.rank_at, late.id) and demands[0] == demands[1] and late.id in chosen:
                assert early.id in chosen


def test_a_job_that_waits_does_not_hold_up_one_that_fits_elsewhere():
    large = job(1, command="wan", vram_gb=80.0)
    small = job(2, vram_gb=16.0)

    decision = decide([large, small], [slot("gpu-a")])

    assert placed(decision) == [(2, "gpu-a")]
    assert decision.hopeless == {1: "no backend has 80 GB"}


def test_an_idle_gpu_comes_before_a_place_behind_another_job():
    slots = [slot("gpu-a", 0, held=held()), slot("gpu-a", 1), slot("gpu-b", 0), slot("gpu-b", 1)]

    decision = decide([job(1), job(2)], slots)

    assert [(p.backend, p.position, p.reason) for p in decision.placements] == [
        ("gpu-b", 0, "gpu-b is free"),
        ("gpu-a", 1, "next on gpu-a"),
    ]


def test_the_place_in_front_is_no_idle_gpu_while_another_job_runs_behind_it():
    slots = [slot("gpu-a", 0), slot("gpu-a", 1, held=held()), slot("gpu-b", 1), slot("gpu-b", 0)]

    (placement,) = decide([job(1)], slots).placements

    assert (placement.backend, placement.position) == ("gpu-b", 0)


def test_preference_by_name_or_device_outweighs_a_load():
    slots = [
        slot("gpu-a", warm_model_set="flux"),
        slot("gpu-b", device="RTX 5090"),
        slot("gpu-c", warm_model_set="flux"),
    ]

    decision = decide(
        [job(n, model_set="flux", prefer=("RTX 5090", "gpu-c")) for n in (1, 2, 3)], slots, timings(flux=15)
    )

    assert [(p.backend, p.reason) for p in decision.placements] == [
        ("gpu-b", "gpu-b is free"),
        ("gpu-c", "gpu-c is free, model already loaded"),
        ("gpu-a", "gpu-a is free, model already loaded"),
    ]


def test_who_ranks_first_goes_first():
    decision = decide([job(1, rank_at=NOON), job(2, rank_at=ago(60))], [slot("gpu-a")])

    assert placed(decision) == [(2, "gpu-a")]
    assert decision.waiting == {1: "waiting for gpu-a, which is busy"}


def test_a_warm_job_goes_before_the_weights_are_swapped_within_ten_minutes_of_rank():
    cold = job(1, command="qwen", model_set="two", rank_at=ago(0))
    warm = [job(number, model_set="one", rank_at=ago(-seconds)) for number, seconds in ((2, 100), (3, 599), (4, 601))]
    known = timings(flux=5, qwen=5)
    long_warm = slot("gpu-a", warm_model_set="one", warm_since=ago(STINT_SECONDS))

    first = decide([cold, *warm], [long_warm], known)
    later = decide([cold, warm[2]], [long_warm], known)
    in_stint = decide([cold, warm[2]], [replace(long_warm, warm_since=ago(STINT_SECONDS - 1))], known)

    assert placed(first) == [(2, "gpu-a")]
    assert placed(later) == [(1, "gpu-a")]
    assert later.placements[0].is_cold
    assert placed(in_stint) == [(4, "gpu-a")], "weights that were just loaded are used"


def test_the_model_set_is_loaded_for_which_most_wait():
    one = job(1, command="qwen", model_set="two", rank_at=ago(20))
    many = [job(number, command="wan", model_set="three", rank_at=ago(10)) for number in range(2, 6)]
    known = timings(qwen=5, wan=5)

    assert placed(decide([one, *many], [slot("gpu-a", warm_model_set="one")], known)) == [(2, "gpu-a")]
    assert placed(decide([one, many[0]], [slot("gpu-a", warm_model_set="one")], known)) == [(1, "gpu-a")]


def test_each_command_goes_to_the_device_that_suits_it_better_than_others():
    """Both are faster on the 5090, which cannot have both: it gets the one that gains more."""
    runs = {("flux", "RTX 4090"): 5.0, ("flux", "RTX 5090"): 1.8, ("wan", "RTX 4090"): 9.0, ("wan", "RTX 5090"): 6.0}
    known = Timings({(key, device, ""): seconds for (key, device), seconds in runs.items()}, {})
    slots = [slot("gpu-a", device="RTX 4090"), slot("gpu-b", device="RTX 5090")]

    decision = decide([job(1, command="wan"), job(2)], slots, known)

    assert sorted(placed(decision)) == [(1, "gpu-a"), (2, "gpu-b")]


def test_a_job_waits_for_the_gpu_that_has_its_model_if_a_load_elsewhere_takes_longer():
    slots = [slot("gpu-a", held=held(since=1.0), warm_model_set="one"), slot("gpu-b", warm_model_set="two")]
    hurried = job(1, model_set="one")

    decision = decide([hurried], slots, timings(flux=8))

    assert decision.waiting == {1: "waiting for gpu-a, which is busy and has its model loaded"}
    assert decision.starts == {1: 7.0}
    assert decision.ends[1] == 15.0


def test_a_job_does_not_wait_for_a_gpu_that_is_overdue():
    overdue = slot("gpu-a", held=held(since=300.0), warm_model_set="one")

    decision = decide([job(1, model_set="one")], [overdue, slot("gpu-b", warm_model_set="two")], timings(flux=8))

    assert placed(decision) == [(1, "gpu-b")]


def test_many_that_wait_for_one_gpu_have_their_model_loaded_on_another():
    slots = [slot("gpu-a", held=held(), warm_model_set="one"), slot("gpu-b", warm_model_set="two")]

    decision = decide([job(number, model_set="one") for number in range(1, 11)], slots, timings(flux=8))

    assert [backend for _, backend in placed(decision)] == ["gpu-b"]


def test_the_weights_that_others_hold_too_are_swapped_first():
    slots = [
        slot("gpu-a", warm_model_set="one"),
        slot("gpu-b", warm_model_set="two"),
        slot("gpu-c", warm_model_set="two"),
    ]

    decision = decide([job(1, model_set="three")], slots, timings(flux=8))

    assert placed(decision) == [(1, "gpu-b")]


def test_the_faster_card_is_taken_of_two_that_are_idle():
    known = Timings({("flux", "RTX 4090", ""): 5.0, ("flux", "RTX 5090", ""): 2.0}, {})
    slots = [slot("gpu-a", device="RTX 4090"), slot("gpu-b", device="RTX 5090")]

    assert placed(decide([job(1)], slots, known)) == [(1, "gpu-b")]


def test_a_backend_that_holds_the_picture_breaks_the_tie():
    slots = [slot("gpu-a"), slot("gpu-b"), slot("gpu-c")]

    decision = decide([job(1, near=frozenset({"gpu-b"}))], slots)

    assert placed(decision) == [(1, "gpu-b")]
    assert decision.placements[0].reason == "gpu-b is free, has the picture already"


def test_the_place_behind_a_long_run_is_given_when_that_is_about_to_end():
    def behind(since: float) -> Decision:
        running = held(key="wan", command="wan", since=since)
        return decide([job(1)], [slot("gpu-a", 0, held=running), slot("gpu-a", 1)], timings(wan=60, flux=5))

    assert behind(0.0).placements == ()
    assert behind(0.0).look_again_seconds == pytest.approx(60 - LOOKAHEAD_SECONDS)
    assert placed(behind(60 - LOOKAHEAD_SECONDS)) == [(1, "gpu-a")]


def test_the_place_behind_a_run_of_unknown_length_is_given_at_once():
    slots = [slot("gpu-a", 0, held=held()), slot("gpu-a", 1)]

    assert placed(decide([job(1)], slots)) == [(1, "gpu-a")]


def recalled(**changes: object) -> Decision:
    running, ahead = held(901, since=2.0), replace(held(902, since=1.0, began_at=None, rank_at=ago(-900)), **changes)
    slots = [slot("gpu-a", 0, held=running), slot("gpu-a", 1, held=ahead)]
    return decide([job(1, rank_at=ago(0), user_id=7)], slots, timings(flux=60))


def test_a_job_behind_another_is_taken_back_for_one_that_ranks_ten_minutes_before_it():
    assert recalled().recalls == {902: "somebody else's turn comes first"}
    assert recalled(rank_at=ago(-599)).recalls == {}
    assert recalled(began_at=ago(1)).recalls == {}
    assert recalled(recalls=2).recalls == {}
    assert recalled(is_leaving=True).recalls == {}


def test_a_job_that_starts_in_a_moment_is_not_taken_back():
    running, ahead = held(901, since=56.0), held(902, since=1.0, began_at=None, rank_at=ago(-900))
    slots = [slot("gpu-a", 0, held=running), slot("gpu-a", 1, held=ahead)]

    assert decide([job(1, rank_at=ago(0))], slots, timings(flux=60)).recalls == {}


def test_a_pinned_gpu_keeps_its_weights():
    pinned = slot("gpu-a", pinned=frozenset({"one"}), warm_model_set="one")

    decision = decide([job(1, model_set="two"), job(2, model_set="one")], [pinned])

    assert placed(decision) == [(2, "gpu-a")]
    assert decision.hopeless == {1: "every backend that could run it is kept for other commands"}


def test_a_command_that_failed_there_is_kept_away_and_waits():
    slots = [slot("gpu-a", tripped={"flux": "it failed 3 times in a row, next try in 30 s"})]

    decision = decide([job(1)], slots)

    assert decision.waiting == {1: "gpu-a: it failed 3 times in a row, next try in 30 s"}


def test_a_command_on_probation_gets_one_job():
    slots = [slot("gpu-a", 0, probing=frozenset({"flux"})), slot("gpu-a", 1, probing=frozenset({"flux"}))]

    assert placed(decide([job(1), job(2), job(3, command="qwen")], slots)) == [(1, "gpu-a"), (3, "gpu-a")]


def test_a_user_has_no_more_jobs_running_than_allowed():
    decision = decide(
        [job(1, user_id=5), job(2, user_id=5), job(3, user_id=6)],
        [slot("gpu-a", held=held(user_id=5)), slot("gpu-b"), slot("gpu-c"), slot("gpu-d")],
        running_per_user=2,
    )

    assert [number for number, _ in placed(decision)] == [1, 3]
    assert decision.waiting == {2: "waiting for another job of the same user to end (2 at a time)"}


def greedy(*others: QueuedJob, gpus: int = 8) -> list[tuple[int, str]]:
    """What one user with twenty jobs gets of eight GPUs, beside the jobs of others."""
    mine = [job(number, user_id=5) for number in range(1, 21)]
    return placed(decide([*mine, *others], [slot(f"gpu-{number}") for number in range(gpus)], timings(flux=5)))


def test_alone_a_user_has_the_whole_fleet():
    assert len(greedy()) == 8


def test_beside_others_one_user_leaves_a_quarter_of_the_gpus_free():
    other = job(21, user_id=6)

    assert len(greedy(other)) == 1 + (8 - 1 - 2)


def test_two_users_with_many_jobs_have_half_the_fleet_each():
    others = [job(number, user_id=6) for number in range(21, 41)]

    given_to = Counter(number <= 20 for number, _ in greedy(*others))

    assert given_to == {True: 4, False: 4}


def test_a_user_always_has_a_place_for_a_job_that_runs_and_one_behind_it():
    others = [job(number, user_id=number) for number in range(21, 41)]

    assert Counter(number <= 20 for number, _ in greedy(*others))[True] == 2


def test_reasons_name_what_is_waited_for():
    slots = [
        slot("gpu-a", held=held(901, command="wan", key="wan")),
        slot("gpu-b", held=held(902, command="wan", key="wan")),
        slot("gpu-c", vram_gb=48.0, away="is away"),
        slot("gpu-d", vram_gb=16.0, labels=frozenset({"fast"}), missing={"qwen": "vae/qwen_image_vae is missing"}),
    ]

    decision = decide(
        [
            job(2, vram_gb=32.0),
            job(3, vram_gb=22.0, labels=frozenset({"fast"})),
            job(4, command="qwen", labels=frozenset({"fast"})),
            job(5, command="wan", concurrency=2),
        ],
        slots,
    )

    assert decision.waiting == {
        2: "waiting for gpu-c, which is away",
        5: "waiting for another wan job to end (2 at a time)",
    }
    assert decision.hopeless == {
        3: "no backend has 22 GB and label fast",
        4: "gpu-d cannot run it: vae/qwen_image_vae is missing",
    }


def test_a_job_waits_for_a_backend_that_was_not_looked_at_yet_though_another_cannot_run_it():
    slots = [slot("gpu-a", missing={"flux": "a model is missing"}), slot("gpu-b", away="has not been checked yet")]

    decision = decide([job(1)], slots)

    assert decision.waiting == {1: "waiting for gpu-b, which has not been checked yet"}
    assert decision.hopeless == {}


def test_a_job_that_waited_too_long_is_given_up_but_not_while_a_slot_suits_it():
    late = job(1, queued_at=ago(61), queue_seconds=60.0)
    later = job(2, queued_at=ago(61), queue_seconds=60.0)
    patient = job(3, queued_at=ago(59), queue_seconds=60.0)

    decision = decide([late, later, patient], [slot("gpu-a")])

    assert placed(decision) == [(1, "gpu-a")]
    assert decision.expired == (2,)
    assert list(decision.waiting) == [3]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(1, 60), min_size=2, max_size=4),
    st.floats(1, 40),
    st.integers(1, 30),
    st.floats(1, 590),
)
def test_nobody_starves_while_others_never_stop_asking_for_the_weights_that_are_loaded(runs, load, crowd, since):
    """One GPU, and for every other model set a crowd that is there again at once whenever one of its jobs has begun.

    The bound: the jobs that rank up to ten minutes later go first, and every other model set has one stint.
    """
    sets = [f"set-{number}" for number in range(len(runs))]
    known = Timings(
        {(name, "", ""): run for name, run in zip(sets, runs, strict=True)}, {(name, ""): load for name in sets}
    )
    longest = max(runs) + load
    bound = OVERTAKING_SECONDS + (len(sets) - 1) * (STINT_SECONDS + 2 * longest) + 2 * longest
    mine = QueuedJob(1, sets[0], ago(0.001), ago(0.001), model_set=sets[0])
    warm, warm_since, clock, number = sets[-1], ago(since), 0.0, 1
    others: list[QueuedJob] = []
    while clock <= bound:
        now = NOON + timedelta(seconds=clock)
        for name in sets[1:]:
            for _ in range(crowd - sum(other.command == name for other in others)):
                number += 1
                others.append(QueuedJob(number, name, now, now, model_set=name))
        gpu = slot("gpu-a", warm_model_set=warm, warm_since=warm_since)
        (given_place,) = place([mine, *others], [gpu], now=now, timings=known).placements
        if given_place.job_id == mine.id:
            return
        (begun,) = (other for other in others if other.id == given_place.job_id)
        others.remove(begun)
        clock += known.run_seconds(begun.key, "")
        if warm != begun.model_set:
            warm, warm_since, clock = begun.model_set, now, clock + load
    raise AssertionError(f"it waits for more than {bound:.0f} s")
