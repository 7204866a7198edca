"""The fleet as it fills up during one decision: when each GPU will be free, and which weights it will hold by then."""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from runtime.scheduler.timings import Timings
from runtime.scheduler.view import Held, QueuedJob, Slot

LOOKAHEAD_SECONDS = 10.0
"""A job takes its place behind the one that runs so long before that one ends, and four round trips: enough to get its
pictures there, and late enough to know who is to be next. Where run times are not known yet it takes it at once."""

ROUND_TRIPS = 4.0

STINT_SECONDS = 600.0
"""A GPU works so long on the weights it has loaded while there are jobs for them, whoever waits for others."""


class Gpu:
    """One backend. ready: seconds from now until it is done with all it has or was given here. warm: the model set it
    holds then. sets: all those it will have held by then, since jobs of the same set are run together."""

    __slots__ = (
        "_is_guessed",
        "_timings",
        "busy_seconds",
        "command_counts",
        "expected",
        "free",
        "is_available",
        "keep",
        "key_counts",
        "kind",
        "loaded",
        "name",
        "ready",
        "sets",
        "slot",
        "warm",
    )

    def __init__(self, slots: Sequence[Slot], timings: Timings, now: datetime) -> None:
        self._timings = timings
        self._is_guessed = False
        self.slot = slots[0]
        self.name = self.slot.backend
        self.free = sorted((slot.position for slot in slots if slot.held is None), reverse=True)
        self.command_counts: Counter[str] = Counter()
        self.key_counts: Counter[str] = Counter()
        self.ready = 0.0
        self.warm = self.slot.warm_model_set
        self.loaded = -STINT_SECONDS
        """When it loaded, or will have loaded, the weights it holds then: seconds from now, below 0 = ago."""
        if self.slot.warm_since is not None:
            self.loaded = (self.slot.warm_since - now).total_seconds()
        self.sets = {self.warm}
        self.keep = 0.0
        self.kind: Kind | None = None
        self.expected: list[tuple[Held, float]] = []
        """The jobs that it has already, in the order in which they run, and when each is expected to end."""
        for held in sorted((slot.held for slot in slots if slot.held), key=_in_turn):
            self._warm_up(held.model_set)
            self.ready += remaining_seconds(held, self.slot.device, timings, now, is_first=not self.expected)
            self.expected.append((held, self.ready))
            self._count(held)
        self.busy_seconds = self.ready
        self.is_available = self._takes_more()

    @property
    def is_idle(self) -> bool:
        return not self.key_counts

    @property
    def early_seconds(self) -> float:
        """How long before it is free it takes its next job."""
        return LOOKAHEAD_SECONDS + ROUND_TRIPS * self.slot.round_trip_seconds

    def is_warm(self, job: QueuedJob) -> bool:
        """Whether no weights have to be loaded for the job, as far as jobs of one model set are run together."""
        return not job.model_set or job.model_set in self.sets

    def plan(self, job: QueuedJob, ends: float) -> None:
        """The job will run here, until then."""
        self._warm_up(job.model_set)
        self.ready = ends

    @property
    def is_in_stint(self) -> bool:
        """Whether it will hold its weights for less than a stint when it is ready."""
        return self.ready - self.loaded < STINT_SECONDS

    def take(self, job: QueuedJob, ends: float) -> int:
        """The job gets a slot. The slot's position."""
        self._count(job)
        self.plan(job, ends)
        self.busy_seconds = ends
        position = self.free.pop()
        self.is_available = self._takes_more()
        return position

    def has_room(self, job: QueuedJob) -> bool:
        """Whether the backend's own limits, and what is on probation there, let the job in."""
        if job.key in self.slot.probing and self.key_counts[job.key]:
            return False
        most = self.slot.limits.get(job.command)
        return most is None or self.command_counts[job.command] < most

    def _count(self, job: Held | QueuedJob) -> None:
        self.command_counts[job.command] += 1
        self.key_counts[job.key] += 1
        if not self._timings.is_known(job.key, self.slot.device, job.size_class):
            self._is_guessed = True

    def _takes_more(self) -> bool:
        return bool(self.free) and (self.is_idle or self._is_guessed or self.busy_seconds <= self.early_seconds)

    def _warm_up(self, model_set: str) -> None:
        if model_set:
            if model_set != self.warm:
                self.loaded = self.ready
            self.warm = model_set
            self.sets.add(model_set)


def _in_turn(held: Held) -> tuple[bool, datetime, int]:
    """What runs, then the rest in the order in which it came."""
    return held.began_at is None, held.placed_at, held.job_id


def remaining_seconds(held: Held, device: str, timings: Timings, now: datetime, *, is_first: bool) -> float:
    """Until the held job has run, once those before it have. What is overdue is expected to take half as long again."""
    seconds = timings.run_seconds(held.key, device, held.size_class)
    if held.is_cold:
        seconds += timings.load_seconds(held.model_set, device)
    if not is_first:
        return seconds
    elapsed = max((now - (held.began_at or held.placed_at)).total_seconds(), 0.0)
    return max(seconds - elapsed, (elapsed - seconds) / 2, 0.05 * seconds)


@dataclass(slots=True)
class Kind:
    """GPUs that are the same to every job: what they are, not what they do."""

    slot: Slot
    available: "Pool"
    busy: "Pool"


class Pool:
    """GPUs of one kind, the one that is done first on top: of all, and of those that hold certain weights.

    Entries are left where they are when a GPU changes, and thrown away when they come up.
    """

    def __init__(self, *, is_available: bool) -> None:
        self._is_available = is_available
        self._heaps: dict[str | None, list[tuple[float, float, str, Gpu]]] = {}

    def add(self, gpu: Gpu) -> None:
        entry = (gpu.ready, gpu.keep, gpu.name, gpu)
        heapq.heappush(self._heaps.setdefault(None, []), entry)
        for model_set in gpu.sets:
            if model_set:
                heapq.heappush(self._heaps.setdefault(model_set, []), entry)

    def first(self, model_set: str | None) -> Gpu | None:
        """The first to be done of those that hold these weights, None = any."""
        heap = self._heaps.get(model_set)
        while heap:
            ready, _, _, gpu = heap[0]
            if gpu.ready == ready and gpu.is_available is self._is_available:
                return gpu
            heapq.heappop(heap)
        return None


class Fleet:
    """All GPUs that take jobs."""

    def __init__(self, slots: Sequence[Slot], timings: Timings, now: datetime) -> None:
        by_backend: dict[str, list[Slot]] = {}
        for slot in slots:
            by_backend.setdefault(slot.backend, []).append(slot)
        self.gpus = {name: Gpu(of_one, timings, now) for name, of_one in sorted(by_backend.items())}
        self.kinds: list[Kind] = []
        self.single: list[Gpu] = []
        """GPUs with rules of their own for single commands."""
        self._value_weights(timings)
        self._sort_by_kind()

    def _value_weights(self, timings: Timings) -> None:
        """What it costs to lose what a GPU holds: little if others hold it too, nothing if it holds nothing."""
        holders = Counter(gpu.warm for gpu in self.gpus.values())
        for gpu in self.gpus.values():
            if gpu.warm:
                gpu.keep = timings.load_seconds(gpu.warm, gpu.slot.device) / holders[gpu.warm]

    def _sort_by_kind(self) -> None:
        kinds: dict[object, Kind] = {}
        for gpu in self.gpus.values():
            slot = gpu.slot
            if slot.away is not None:
                continue
            if slot.limits or slot.probing:
                self.single.append(gpu)
                continue
            alike = (
                slot.device,
                slot.vram_gb,
                slot.labels,
                slot.pinned,
                frozenset(slot.missing),
                frozenset(slot.tripped),
            )
            kind = kinds.get(alike)
            if kind is None:
                kind = kinds[alike] = Kind(slot, Pool(is_available=True), Pool(is_available=False))
            gpu.kind = kind
            self.moved(gpu)
        self.kinds = list(kinds.values())

    def moved(self, gpu: Gpu) -> None:
        """The GPU has been given something."""
        if gpu.kind is not None:
            (gpu.kind.available if gpu.is_available else gpu.kind.busy).add(gpu)

    def candidates(self, job: QueuedJob, kinds: Iterable[Kind]) -> Iterator[Gpu]:
        """Of each kind the first to be done, with the job's weights and with any; those that the job or its command
        names; and all with rules of their own. `kinds`: those that suit the job."""
        for kind in kinds:
            for pool in (kind.available, kind.busy):
                for model_set in (job.model_set or None, None) if job.model_set else (None,):
                    gpu = pool.first(model_set)
                    if gpu is not None:
                        yield gpu
        for name in (*job.near, *job.prefer):
            gpu = self.gpus.get(name)
            if gpu is not None and suits(gpu.slot, job) and gpu.has_room(job):
                yield gpu
        for gpu in self.single:
            if suits(gpu.slot, job) and gpu.has_room(job):
                yield gpu


def fits(slot: Slot, job: QueuedJob) -> bool:
    """Whether the backend is one for the job at all."""
    return (
        slot.vram_gb >= job.vram_gb and job.labels <= slot.labels and (not slot.pinned or job.model_set in slot.pinned)
    )


def suits(slot: Slot, job: QueuedJob) -> bool:
    """Whether the backend takes the job now, if it has a slot."""
    return slot.away is None and fits(slot, job) and job.key not in slot.missing and job.key not in slot.tripped
