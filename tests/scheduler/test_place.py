"""`place`: what it promises, over thousands of made-up fleets, and the words of its reasons."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from runtime.scheduler.place import place
from runtime.scheduler.view import Decision, QueuedJob, Slot

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
COMMANDS = ("flux", "qwen", "wan")
LABELS = ("fast", "quiet")


def job(number: int, **changes: object) -> QueuedJob:
    return replace(QueuedJob(id=number, command="flux", queued_at=NOON + timedelta(seconds=number)), **changes)


def slot(backend: str, position: int = 0, **changes: object) -> Slot:
    return replace(Slot(backend=backend, position=position, vram_gb=24.0), **changes)


def decide(jobs: list[QueuedJob], slots: list[Slot], **busy: int) -> Decision:
    return place(jobs, slots, busy_by_command=busy, now=NOON)


jobs_strategy = st.lists(
    st.builds(
        QueuedJob,
        id=st.integers(1, 10_000),
        command=st.sampled_from(COMMANDS),
        queued_at=st.integers(0, 50).map(lambda s: NOON - timedelta(seconds=s)),
        user_id=st.integers(1, 3),
        variant=st.sampled_from((None, "dev")),
        model_set=st.sampled_from(("", "one", "two")),
        vram_gb=st.sampled_from((8.0, 16.0, 24.0)),
        labels=st.frozensets(st.sampled_from(LABELS)),
        prefer=st.lists(st.sampled_from(("gpu-0", "gpu-1", "RTX 5090")), max_size=2).map(tuple),
        priority=st.integers(-1, 1),
        queue_seconds=st.sampled_from((None, 20.0)),
    ),
    max_size=25,
    unique_by=lambda made: made.id,
)


@st.composite
def fleets(draw: st.DrawFn) -> list[Slot]:
    slots = []
    for number in range(draw(st.integers(0, 4))):
        backend = Slot(
            backend=f"gpu-{number}",
            position=0,
            vram_gb=draw(st.sampled_from((8.0, 16.0, 24.0))),
            device=draw(st.sampled_from(("RTX 4090", "RTX 5090"))),
            labels=draw(st.frozensets(st.sampled_from(LABELS))),
            away=draw(st.sampled_from((None, None, "is away"))),
            warm_model_set=draw(st.sampled_from((None, "one", "two"))),
            missing=draw(st.dictionaries(st.sampled_from(("flux --dev", "wan")), st.just("no vae"), max_size=1)),
        )
        slots += [replace(backend, position=p, is_free=draw(st.booleans())) for p in range(draw(st.integers(1, 3)))]
    return draw(st.permutations(slots))


bounds = st.fixed_dictionaries({command: st.sampled_from((None, 1, 2)) for command in COMMANDS})
busy_counts = st.dictionaries(st.sampled_from(COMMANDS), st.integers(0, 3))


def suits(slot: Slot, job: QueuedJob) -> bool:
    return (
        slot.is_free
        and slot.away is None
        and slot.vram_gb >= job.vram_gb
        and slot.labels >= job.labels
        and job.key not in slot.missing
    )


@given(jobs_strategy, fleets(), bounds, busy_counts, st.randoms())
def test_every_decision_keeps_the_rules(jobs, slots, bounds, busy, shuffler):
    jobs = [replace(made, concurrency=bounds[made.command]) for made in jobs]
    by_id = {made.id: made for made in jobs}
    by_place = {(s.backend, s.position): s for s in slots}

    decision = place(jobs, slots, busy_by_command=busy, now=NOON)

    placed = [p.job_id for p in decision.placements]
    answers = [*placed, *decision.waiting, *decision.expired, *decision.hopeless]
    assert sorted(answers) == sorted(by_id), "every job gets one answer"
    taken = [(p.backend, p.position) for p in decision.placements]
    assert len(set(taken)) == len(taken), "no slot is given twice"
    for placement in decision.placements:
        assert suits(by_place[placement.backend, placement.position], by_id[placement.job_id])
        assert placement.reason
    running = Counter(busy) + Counter(by_id[number].command for number in placed)
    for command, bound in bounds.items():
        assert bound is None or running[command] <= max(bound, busy.get(command, 0))
    left = [s for place_, s in by_place.items() if place_ not in taken]
    for number in (*decision.waiting, *decision.expired):
        held = by_id[number]
        is_bounded = held.concurrency is not None and running[held.command] >= held.concurrency
        assert is_bounded or not any(suits(s, held) for s in left), "no job waits beside a free slot that suits it"
    assert all(reason for reason in decision.waiting.values())

    shuffled_jobs, shuffled_slots = list(jobs), list(slots)
    shuffler.shuffle(shuffled_jobs)
    shuffler.shuffle(shuffled_slots)
    assert place(shuffled_jobs, shuffled_slots, busy_by_command=busy, now=NOON) == decision, "order does not matter"


@given(jobs_strategy, fleets(), bounds)
def test_among_equals_the_first_to_come_is_the_first_served(jobs, slots, bounds):
    jobs = [replace(made, concurrency=bounds[made.command]) for made in jobs]

    decision = place(jobs, slots, busy_by_command={}, now=NOON)

    placed = {p.job_id for p in decision.placements}
    for early in jobs:
        for late in jobs:
            is_before = (-early.priority, early.queued_at, early.id) < (-late.priority, late.queued_at, late.id)
            demands = [(j.key, j.vram_gb, j.labels) for j in (early, late)]
            if is_before and demands[0] == demands[1] and late.id in placed:
                assert early.id in placed


def test_a_job_that_waits_does_not_hold_up_one_that_fits_elsewhere():
    large = job(1, command="wan", vram_gb=80.0)
    small = job(2, vram_gb=16.0)

    decision = decide([large, small], [slot("gpu-a")])

    assert [p.job_id for p in decision.placements] == [2]
    assert decision.hopeless == {1: "no backend has 80 GB"}


def test_an_idle_gpu_comes_before_a_place_behind_another_job():
    slots = [slot("gpu-a", 0, is_free=False), slot("gpu-a", 1), slot("gpu-b", 0), slot("gpu-b", 1)]

    decision = decide([job(1, prefer=("gpu-a",)), job(2, prefer=("gpu-a",))], slots)

    assert [(p.backend, p.position, p.reason) for p in decision.placements] == [
        ("gpu-b", 0, "gpu-b is free"),
        ("gpu-a", 1, "next on gpu-a"),
    ]


def test_the_place_in_front_is_no_idle_gpu_while_another_job_runs_behind_it():
    slots = [slot("gpu-a", 0), slot("gpu-a", 1, is_free=False), slot("gpu-b", 1), slot("gpu-b", 0)]

    (placement,) = decide([job(1)], slots).placements

    assert (placement.backend, placement.position) == ("gpu-b", 0)


def test_preference_by_name_or_device_comes_before_warmth():
    slots = [
        slot("gpu-a", warm_model_set="flux"),
        slot("gpu-b", device="RTX 5090"),
        slot("gpu-c", warm_model_set="flux"),
    ]

    decision = decide([job(n, model_set="flux", prefer=("RTX 5090", "gpu-c")) for n in (1, 2, 3)], slots)

    assert [(p.backend, p.reason) for p in decision.placements] == [
        ("gpu-b", "gpu-b is free"),
        ("gpu-c", "gpu-c is free, model already loaded"),
        ("gpu-a", "gpu-a is free, model already loaded"),
    ]


def test_higher_priority_goes_first():
    decision = decide([job(1), job(2, priority=5)], [slot("gpu-a")])

    assert [p.job_id for p in decision.placements] == [2]
    assert decision.waiting == {1: "waiting for gpu-a, which is busy"}


def test_reasons_name_what_is_waited_for():
    slots = [
        slot("gpu-a", is_free=False),
        slot("gpu-b", is_free=False),
        slot("gpu-c", vram_gb=48.0, away="is away"),
        slot("gpu-d", vram_gb=16.0, labels=frozenset({"fast"}), missing={"qwen": "vae/qwen_image_vae is missing"}),
    ]

    decision = decide(
        [
            job(1, vram_gb=20.0),
            job(2, vram_gb=32.0),
            job(3, vram_gb=22.0, labels=frozenset({"fast"})),
            job(4, command="qwen", labels=frozenset({"fast"})),
            job(5, command="wan", concurrency=2),
        ],
        slots,
        wan=2,
    )

    assert decision.waiting == {
        1: "waiting for gpu-a or gpu-b, which are busy",
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
    late = job(1, queued_at=NOON - timedelta(seconds=61), queue_seconds=60.0)
    later = job(2, queued_at=NOON - timedelta(seconds=61), queue_seconds=60.0)
    patient = job(3, queued_at=NOON - timedelta(seconds=59), queue_seconds=60.0)

    decision = decide([late, later, patient], [slot("gpu-a")])

    assert [p.job_id for p in decision.placements] == [1]
    assert decision.expired == (2,)
    assert list(decision.waiting) == [3]
