"""The scheduler's edge: read the queue and the fleet, let `place` decide, write what it decided.

Called after every commit that adds a job or frees a slot, in any process. One decision at a time in the whole
deployment (an advisory lock), and in one process at most one running and one waiting, however many callers there are.
"""

import asyncio
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import structlog
from psycopg import AsyncConnection

from db import placement, recalls, timings
from db.leases import Wakeup
from db.pool import Pool
from runtime.registry import Registry
from runtime.scheduler.breakers import probing, tripped
from runtime.scheduler.expectations import Awaited, Learned, moved
from runtime.scheduler.pins import pinned
from runtime.scheduler.place import place
from runtime.scheduler.view import Decision, Held, QueuedJob, Slot, command_key

log = structlog.get_logger("veilrun.scheduler")

WINDOW = 64
"""How many waiting jobs of one command variant are looked at, beside one for each free slot, up to twice that."""

EXPLAINED = 64
"""So many of the first waiting jobs have their reasons kept true: others would change theirs with every decision."""

AWAY = {
    "unknown": "has not been checked yet",
    "away": "is away",
    "drained": "takes no new jobs",
}


@dataclass(slots=True)
class _Turn:
    """Who decides now in this process, whether somebody waits to decide next, and what is known of run times."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    is_awaited: bool = False
    learned: Learned = field(default_factory=Learned)


_turns: WeakKeyDictionary[Pool, _Turn] = WeakKeyDictionary()


async def place_jobs(pool: Pool, registry: Registry) -> list[Wakeup]:
    """Place what can be placed; send the wake-ups that are returned.

    A caller that finds another one waiting already returns at once with nothing: that one sees all it has committed.

    Raises: psycopg.Error if the database fails; then nothing was placed.
    """
    turn = _turns.setdefault(pool, _Turn())
    if turn.is_awaited:
        return []
    turn.is_awaited = True
    try:
        await turn.lock.acquire()
    finally:
        turn.is_awaited = False
    try:
        wakeups: list[Wakeup] = []
        while True:
            async with pool.connection() as connection, connection.pipeline():
                more = await _decide(connection, registry, turn.learned)
            wakeups += more
            if len(more) < WINDOW:  # else some that were not looked at may have a place to go to
                return wakeups
    finally:
        turn.lock.release()


async def _decide(connection: AsyncConnection, registry: Registry, learned: Learned) -> list[Wakeup]:
    seen = await placement.snapshot(connection, WINDOW)
    if not seen.waiting:
        return []
    now, known = seen.waiting[0].seen_at, await learned.timings(connection, registry)
    queued = [_queued(row, registry) for row in seen.waiting]
    decision = place(
        queued,
        _slots(seen, registry),
        now=now,
        timings=known,
        running_per_user=registry.limits.running_per_user,
    )
    wakeups = await _write(connection, decision, {job.id: job for job in queued})
    await timings.expect(connection, moved(_awaited(seen), decision.ends, now, measured=known.measured_keys()))
    if decision.recalls:
        log.info("jobs asked back", jobs=list(decision.recalls))
        if await recalls.ask(connection, list(decision.recalls)):  # the places are free already
            wakeups += await _decide(connection, registry, learned)
    return wakeups


async def _write(connection: AsyncConnection, decision: Decision, jobs: Mapping[int, QueuedJob]) -> list[Wakeup]:
    wakeups = []
    for given in decision.placements:
        fence = await placement.place(
            connection, given.job_id, given.backend, given.position, given.reason, is_cold=given.is_cold
        )
        if fence is not None:
            wakeups.append(Wakeup(given.job_id, fence))
    for job_id in decision.expired:
        waited = jobs[job_id].queue_seconds or 0.0
        detail = f"No GPU became free within {_spoken(waited)}. Please try again later."
        if await placement.give_up(connection, job_id, "QueueTimeout", detail):
            log.info("job waited too long", job=job_id, queue_seconds=waited)
    for job_id, reason in decision.hopeless.items():
        if await placement.give_up(connection, job_id, "NoBackendFits", reason):
            log.warning("no backend can run the job", job=job_id, reason=reason)
    nearest = dict(itertools.islice(decision.waiting.items(), EXPLAINED))
    await placement.explain(connection, nearest)
    return wakeups


def _awaited(seen: placement.Snapshot) -> Iterator[Awaited]:
    """The jobs whose runs have not begun: those that wait, and those that hold a place."""
    for row in seen.waiting:
        yield Awaited(row.id, command_key(row.command, row.variant), row.expected_at)
    for held in seen.slots:
        if held.job_id is not None and held.command is not None and held.began_at is None:
            yield Awaited(held.job_id, command_key(held.command, held.variant), held.expected_at)


def _queued(row: placement.Waiting, registry: Registry) -> QueuedJob:
    """The job with its command's demands; a command that is gone meanwhile is placed anywhere, and fails there."""
    loaded = registry.commands.get(row.command)
    if loaded is None or row.variant not in (None, *(variant.name for variant in loaded.command.variants)):
        return QueuedJob(id=row.id, command=row.command, queued_at=row.queued_at, rank_at=row.rank_at)
    affinity, limits = loaded.command.affinity_of(row.variant), loaded.command.limits
    return QueuedJob(
        id=row.id,
        command=row.command,
        queued_at=row.queued_at,
        rank_at=row.rank_at,
        user_id=row.user_id,
        variant=row.variant,
        model_set=row.model_set,
        size_class=row.size_class,
        vram_gb=affinity.vram_gb,
        labels=affinity.labels,
        prefer=affinity.prefer,
        concurrency=limits.concurrency,
        queue_seconds=limits.queue_seconds,
        near=frozenset(row.near),
        recalls=row.recalls,
    )


def _held(row: placement.SlotRow) -> Held | None:
    if row.job_id is None or row.command is None or row.placed_at is None or row.rank_at is None:
        return None
    return Held(
        job_id=row.job_id,
        key=command_key(row.command, row.variant),
        command=row.command,
        placed_at=row.placed_at,
        rank_at=row.rank_at,
        user_id=row.user_id,
        model_set=row.model_set or "",
        size_class=row.size_class or "",
        began_at=row.began_at,
        is_cold=bool(row.is_cold),
        recalls=row.recalls or 0,
        is_leaving=bool(row.is_leaving),
    )


def _slots(seen: placement.Snapshot, registry: Registry) -> list[Slot]:
    state_of = {state.name: state for state in seen.backends}
    config_of = {config.name: config for config in registry.backends}
    kept_for = pinned(registry)
    is_tripped, is_probing = tripped(seen.breakers), probing(seen.breakers)
    slots = []
    for row in seen.slots:
        config, state = config_of.get(row.backend), state_of[row.backend]
        if config is None:  # another process runs a newer registry, or this slot waits for its last job to leave
            continue
        held = _held(row)
        if held is None and row.position > config.lookahead:  # its last job has left: the look-ahead was shortened
            continue
        slots.append(
            Slot(
                backend=row.backend,
                position=row.position,
                vram_gb=config.vram_gb,
                device=state.device,
                labels=config.labels,
                held=held,
                away=_away(state),
                warm_model_set=state.warm_model_set,
                warm_since=state.warm_since,
                missing=state.missing,
                tripped=is_tripped.get(row.backend, {}),
                probing=is_probing.get(row.backend, frozenset()),
                pinned=kept_for.get(row.backend, frozenset()),
                limits=config.limits,
                round_trip_seconds=state.round_trip_seconds or 0.0,
            )
        )
    return slots


def _away(state: placement.BackendState) -> str | None:
    """Why the backend takes no jobs, None if it does; of a drained one with the reason that its operator gave."""
    words = AWAY.get(state.health)
    return f"{words}: {state.health_reason}" if words and state.health == "drained" and state.health_reason else words


def _spoken(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.0f} hours"
