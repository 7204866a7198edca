"""Which waiting job gets which place on which GPU: values in, values out. No clock, no database, no log.

First come, first served among jobs of the same priority; a job that has to wait never holds up one that fits elsewhere.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from runtime.scheduler.timings import Timings
from runtime.scheduler.view import Decision, Placement, QueuedJob, Slot


def place(
    queued: Sequence[QueuedJob],
    slots: Sequence[Slot],
    *,
    now: datetime,
    timings: Timings = Timings(),  # noqa: B008 - a frozen value
    running_per_user: int | None = None,
) -> Decision:
    """Give the free slots to the waiting jobs, and say of every other job why it waits.

    timings: what runs and loads took. running_per_user: most jobs of one user on all backends, None = no bound.
    """
    fleet = _Fleet(slots)
    busy = Counter(slot.held.command for slot in slots if slot.held)
    placements: list[Placement] = []
    waiting: dict[int, str] = {}
    expired: list[int] = []
    hopeless: dict[int, str] = {}
    for job in sorted(queued, key=lambda job: (job.rank_at, job.id)):
        slot = None
        if job.concurrency is None or busy[job.command] < job.concurrency:
            slot = fleet.best_slot(job)
        if slot is not None:
            placements.append(Placement(job.id, slot.backend, slot.position, fleet.praise(slot, job)))
            fleet.take(slot, job)
            busy[job.command] += 1
        elif fleet.is_hopeless(job):
            hopeless[job.id] = fleet.lament(job)
        elif job.queue_seconds is not None and now - job.queued_at > timedelta(seconds=job.queue_seconds):
            expired.append(job.id)
        elif job.concurrency is not None and busy[job.command] >= job.concurrency:
            waiting[job.id] = f"waiting for another {job.command} job to end ({job.concurrency} at a time)"
        else:
            waiting[job.id] = fleet.lament(job)
    return Decision(tuple(placements), waiting, tuple(expired), hopeless)


class _Fleet:
    """The slots, as they fill up during one decision."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._slots = slots
        self._free = {(slot.backend, slot.position): slot for slot in slots if slot.is_free}
        self._load = Counter(slot.backend for slot in slots if not slot.is_free)
        self._warm = {slot.backend: slot.warm_model_set for slot in slots}

    def best_slot(self, job: QueuedJob) -> Slot | None:
        """An idle GPU before a place behind another job, then as the command prefers, then where its model is warm."""
        fitting = [slot for slot in self._free.values() if _fits(slot, job) and _can_run(slot, job)]
        return min(fitting, key=lambda slot: self._rank(slot, job), default=None)

    def _rank(self, slot: Slot, job: QueuedJob) -> tuple[int, int, bool, str, int]:
        return (
            self._load[slot.backend],
            _preference(slot, job),
            not self._is_warm(slot, job),
            slot.backend,
            slot.position,
        )

    def _is_warm(self, slot: Slot, job: QueuedJob) -> bool:
        return bool(job.model_set) and self._warm[slot.backend] == job.model_set

    def take(self, slot: Slot, job: QueuedJob) -> None:
        del self._free[slot.backend, slot.position]
        self._load[slot.backend] += 1
        self._warm[slot.backend] = job.model_set

    def praise(self, slot: Slot, job: QueuedJob) -> str:
        where = f"next on {slot.backend}" if self._load[slot.backend] else f"{slot.backend} is free"
        return f"{where}, model already loaded" if self._is_warm(slot, job) else where

    def is_hopeless(self, job: QueuedJob) -> bool:
        """No backend is large enough, or every one that is was looked at and lacks something."""
        fitting = [slot for slot in self._slots if _fits(slot, job)]
        return bool(self._slots) and all(slot.away is None and job.key in slot.missing for slot in fitting)

    def lament(self, job: QueuedJob) -> str:
        fitting = [slot for slot in self._slots if _fits(slot, job)]
        if not fitting:
            return _demand(job)
        able = [slot for slot in fitting if job.key not in slot.missing]
        if not able:
            return "; ".join(f"{name} cannot run it: {why}" for name, why in _lacking(fitting, job).items())
        present = _names(slot for slot in able if slot.away is None)
        if present:
            return f"waiting for {_either(present)}, which {'is' if len(present) == 1 else 'are'} busy"
        states = {slot.backend: slot.away for slot in able}
        return "waiting for " + "; ".join(f"{name}, which {away}" for name, away in sorted(states.items()))


def _fits(slot: Slot, job: QueuedJob) -> bool:
    return slot.vram_gb >= job.vram_gb and job.labels <= slot.labels


def _can_run(slot: Slot, job: QueuedJob) -> bool:
    return slot.away is None and job.key not in slot.missing


def _preference(slot: Slot, job: QueuedJob) -> int:
    ranks = [rank for rank, wanted in enumerate(job.prefer) if wanted in (slot.backend, slot.device)]
    return min(ranks, default=len(job.prefer))


def _demand(job: QueuedJob) -> str:
    demands = [f"{job.vram_gb:g} GB"]
    if job.labels:
        demands.append(f"label{'s' if len(job.labels) > 1 else ''} {', '.join(sorted(job.labels))}")
    return f"no backend has {' and '.join(demands)}"


def _lacking(slots: Sequence[Slot], job: QueuedJob) -> Mapping[str, str]:
    return {slot.backend: slot.missing[job.key] for slot in sorted(slots, key=lambda slot: slot.backend)}


def _names(slots: Iterable[Slot]) -> list[str]:
    return sorted({slot.backend for slot in slots})


def _either(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
