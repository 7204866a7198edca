"""Which waiting job gets which place on which GPU: values in, values out. No clock, no database, no log.

First come, first served among jobs of the same priority; a job that has to wait never holds up one that fits elsewhere.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """A job that may start, with what its command demands of a backend.

    vram_gb in GiB. concurrency: jobs of this command on all backends together, None = no bound. queued_at: since when
    it may start. queue_seconds: longest wait from then, None = no bound.
    """

    id: int
    command: str
    queued_at: datetime
    user_id: int | None = None
    variant: str | None = None
    model_set: str = ""
    vram_gb: float = 0.0
    labels: frozenset[str] = frozenset()
    prefer: tuple[str, ...] = ()
    concurrency: int | None = None
    priority: int = 0
    queue_seconds: float | None = None

    @property
    def key(self) -> str:
        """How `Slot.missing` names the command: `flux`, or `flux --dev`."""
        return command_key(self.command, self.variant)


@dataclass(frozen=True, slots=True)
class Slot:
    """One place in a backend's pipeline: taken, or free for a job.

    away: why the backend takes no jobs now ("is away"), None if it does. missing: command -> what it lacks for it.
    """

    backend: str
    position: int
    vram_gb: float
    device: str = ""
    labels: frozenset[str] = frozenset()
    is_free: bool = True
    away: str | None = None
    warm_model_set: str | None = None
    missing: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Placement:
    """A job gets a slot; `reason` says why this one."""

    job_id: int
    backend: str
    position: int
    reason: str


@dataclass(frozen=True, slots=True)
class Decision:
    """placements: in the order of the queue. waiting: job -> why it waits. expired: jobs that waited too long.

    hopeless: job -> why no backend can ever run it as things are; waiting would not help.
    """

    placements: tuple[Placement, ...] = ()
    waiting: Mapping[int, str] = field(default_factory=dict)
    expired: tuple[int, ...] = ()
    hopeless: Mapping[int, str] = field(default_factory=dict)


def command_key(command: str, variant: str | None) -> str:
    """A command with its variant as the user writes it: `flux --dev`."""
    return f"{command} --{variant}" if variant else command


def place(
    queued: Sequence[QueuedJob], slots: Sequence[Slot], *, busy_by_command: Mapping[str, int], now: datetime
) -> Decision:
    """Give the free slots to the waiting jobs, and say of every other job why it waits.

    busy_by_command: command -> jobs that hold a slot already, for its limit of concurrency.
    """
    fleet = _Fleet(slots)
    busy = Counter(busy_by_command)
    placements: list[Placement] = []
    waiting: dict[int, str] = {}
    expired: list[int] = []
    hopeless: dict[int, str] = {}
    for job in sorted(queued, key=lambda job: (-job.priority, job.queued_at, job.id)):
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
