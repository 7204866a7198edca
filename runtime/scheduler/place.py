"""Which waiting job gets which place on which GPU: values in, values out. No clock, no database, no log.

Jobs are taken in the order of their ranks, in which users take turns. Each goes where its run is expected to end first:
on a GPU that has a place now, or behind what a busy one still has to do, and then it waits for that one. Before a GPU
drops the weights it holds, the waiting jobs that need them go first; then the model set with the highest pressure is
loaded.

Nobody starves: a job is not passed over on a GPU that it could use for one that ranks more than OVERTAKING_SECONDS
after it, unless that GPU has loaded its weights less than STINT_SECONDS ago and goes on using them.
"""

import itertools
import math
from bisect import insort
from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from datetime import datetime

from runtime.scheduler.bounds import Bounds
from runtime.scheduler.costs import Costs
from runtime.scheduler.gpus import ROUND_TRIPS, Fleet, Gpu, Kind, suits
from runtime.scheduler.reasons import because, lament, praise
from runtime.scheduler.timings import Timings
from runtime.scheduler.view import Decision, Placement, QueuedJob, Slot

OVERTAKING_SECONDS = 600.0
"""How much later a job may rank and still go first on a GPU that both could use."""

PRESSURE_SECONDS = 10.0
"""When weights are to be swapped: each job that waits for a model set counts as if the first had waited so much longer.
The set with the highest sum is loaded."""

MOST_LOOKED_OVER, MOST_LOOKED_AT = 64, 4
"""Of the jobs whose weights a GPU holds, so many are gone through, and so many weighed, to find one to go first."""

RECALL_SECONDS = 5.0
"""A job that starts sooner than that, or than four round trips, is not taken back any more."""

MOST_RECALLS = 2
"""So often a job may be taken back from a look-ahead place."""

_NEVER = (math.inf, 0.0, "")


def place(
    queued: Sequence[QueuedJob],
    slots: Sequence[Slot],
    *,
    now: datetime,
    timings: Timings = Timings(),  # noqa: B008 - a frozen value
    running_per_user: int | None = None,
) -> Decision:
    """Give the free slots to the waiting jobs, and say of every other job why it waits.

    queued: a job that is not among them must rank after all of its command that are.
    timings: what runs and loads took. running_per_user: most jobs of one user on all backends, None = no bound.
    """
    return _Round(queued, slots, now, timings, running_per_user).decide()


class _Round:
    """One decision in the making."""

    def __init__(
        self,
        queued: Sequence[QueuedJob],
        slots: Sequence[Slot],
        now: datetime,
        timings: Timings,
        running_per_user: int | None,
    ) -> None:
        self._slots = slots
        self._now = now
        self._fleet = Fleet(slots, timings, now)
        self._jobs = sorted(queued, key=lambda job: (job.rank_at, job.id))
        self._rank = {job.id: (job.rank_at - now).total_seconds() for job in self._jobs}
        self._open = {job.id for job in self._jobs}
        self._fresh = set(self._open)
        """Jobs of which nothing is decided yet, not even where they are to run."""
        self._by_set: dict[str, deque[QueuedJob]] = defaultdict(deque)
        for job in self._jobs:
            if job.model_set:
                self._by_set[job.model_set].append(job)
        self._fresh_of_set = Counter(job.model_set for job in self._jobs)
        gpus = self._fleet.gpus.values()
        self._costs = Costs(timings, self._jobs, (gpu.slot.device for gpu in gpus))
        held = [slot.held for slot in slots if slot.held]
        self._bounds = Bounds(self._jobs, held, len(gpus), running_per_user)
        self._suiting: dict[object, list[Kind]] = {}
        self._planned: list[tuple[float, int, QueuedJob, Gpu]] = []
        self._placements: list[Placement] = []
        self._waiting: dict[int, str] = {}
        self._expired: list[int] = []
        self._hopeless: dict[int, str] = {}
        self._starts: dict[int, float] = {}
        self._ends: dict[int, float] = {}

    def decide(self) -> Decision:
        self._expect_held()
        for job in self._jobs:
            self._settle(job)
        for _, _, job, gpu in self._planned:
            if job.id in self._open:
                self._leave(job, because(job, gpu.slot, is_warm=gpu.is_warm(job), is_idle=gpu.is_idle))
        return Decision(
            tuple(self._placements),
            self._waiting,
            tuple(self._expired),
            self._hopeless,
            recalls=self._recalls(),
            starts=self._starts,
            ends=self._ends,
            look_again_seconds=self._look_again(),
        )

    def _settle(self, job: QueuedJob) -> None:
        """Place the job, plan it for a GPU that is busy, or say why neither can be."""
        while job.id in self._open:
            if (bound := self._bounds.of(job)) is not None:
                return self._leave(job, bound)
            gpu = self._best(job)
            if gpu is None:
                return self._lament(job)
            if not gpu.is_available:
                return self._plan(job, gpu)
            if gpu.is_warm(job):
                self._give(job, gpu)
            elif not self._let_warm_one_pass(job, gpu):
                self._give(self._most_pressing(job, gpu), gpu)
        return None

    def _let_warm_one_pass(self, job: QueuedJob, gpu: Gpu) -> bool:
        """Place the first job whose weights the GPU holds, if it may overtake this one. Whether there was one."""
        waiting = self._fresh_jobs(gpu.warm or "")
        latest = math.inf if gpu.is_in_stint else self._latest_before(job)
        looked_at = 0
        for other in itertools.islice(waiting, MOST_LOOKED_OVER):
            if self._rank[other.id] > latest or looked_at == MOST_LOOKED_AT:
                return False
            if self._may_run(other, gpu):
                if self._best(other) is gpu:
                    self._give(other, gpu)
                    return True
                looked_at += 1
        return False

    def _latest_before(self, job: QueuedJob) -> float:
        """Up to which rank others may go before the job where both could: up to its own if it has waited long."""
        rank = self._rank[job.id]
        return rank if -rank > OVERTAKING_SECONDS else rank + OVERTAKING_SECONDS

    def _most_pressing(self, job: QueuedJob, gpu: Gpu) -> QueuedJob:
        """The job whose weights are to be loaded there: the first one of the model set with the highest pressure.

        Pressure is the seconds that its first job has waited, and PRESSURE_SECONDS for each that waits.
        """
        latest = self._latest_before(job)
        best, highest = job, -math.inf
        for model_set in self._by_set:
            waiting = self._fresh_jobs(model_set)
            first = waiting[0] if waiting else None
            if first is None or self._rank[first.id] > latest:
                continue
            pressure = PRESSURE_SECONDS * self._fresh_of_set[model_set] - self._rank[first.id]
            if pressure > highest and (first is job or (self._may_run(first, gpu) and self._best(first) is gpu)):
                best, highest = first, pressure
        return best

    def _fresh_jobs(self, model_set: str) -> deque[QueuedJob]:
        """Of those that need the model set; the first one is fresh, of the rest some may not be."""
        waiting = self._by_set.get(model_set) or deque()
        while waiting and waiting[0].id not in self._fresh:
            waiting.popleft()
        return waiting

    def _decided(self, job: QueuedJob) -> None:
        if job.id in self._fresh:
            self._fresh.discard(job.id)
            self._fresh_of_set[job.model_set] -= 1

    def _may_run(self, job: QueuedJob, gpu: Gpu) -> bool:
        """Whether nothing is decided of the job yet, and nothing speaks against it there."""
        is_fit = job.id in self._fresh and suits(gpu.slot, job) and gpu.has_room(job)
        return is_fit and self._bounds.of(job) is None

    def _best(self, job: QueuedJob) -> Gpu | None:
        """The GPU on which the job's run ends first, all things considered.

        For one that is busy it waits only if it is done sooner there, whatever its command prefers.
        """
        best = now = None
        lowest, lowest_now = _NEVER, _NEVER
        for gpu in self._fleet.candidates(job, self._kinds_for(job)):
            cost = self._costs.wished(job, gpu)
            if cost < lowest:
                best, lowest = gpu, cost
            if gpu.is_available and cost < lowest_now:
                now, lowest_now = gpu, cost
        if best is now or best is None or now is None:
            return best
        return now if self._costs.seconds(job, now) <= self._costs.seconds(job, best) else best

    def _kinds_for(self, job: QueuedJob) -> list[Kind]:
        demands = (job.key, job.model_set, job.vram_gb, job.labels)
        kinds = self._suiting.get(demands)
        if kinds is None:
            kinds = self._suiting[demands] = [kind for kind in self._fleet.kinds if suits(kind.slot, job)]
        return kinds

    def _plan(self, job: QueuedJob, gpu: Gpu) -> None:
        self._decided(job)
        ends = self._costs.end(job, gpu)
        self._starts[job.id], self._ends[job.id] = gpu.ready, ends
        gpu.plan(job, ends)
        self._fleet.moved(gpu)
        insort(self._planned, (self._rank[job.id], job.id, job, gpu), key=lambda entry: entry[:2])

    def _give(self, job: QueuedJob, gpu: Gpu) -> None:
        """Give the GPU's next slot to the job, or to one that it would overtake by too much."""
        earlier = self._passed_over(job, gpu)
        if earlier is not None:
            self._starts.pop(earlier.id, None)
            job = earlier
        is_cold, is_idle = not gpu.is_warm(job), gpu.is_idle
        ends = self._costs.end(job, gpu)
        reason = praise(job, gpu.slot, is_idle=is_idle, is_cold=is_cold)
        self._placements.append(Placement(job.id, gpu.name, gpu.take(job, ends), reason, is_cold))
        self._fleet.moved(gpu)
        self._ends[job.id] = ends
        self._bounds.count(job)
        self._decided(job)
        self._open.discard(job.id)

    def _passed_over(self, job: QueuedJob, gpu: Gpu) -> QueuedJob | None:
        """The first job that waits for another GPU, could use this one, and ranks too long before `job`."""
        if gpu.is_in_stint and job.model_set == gpu.warm:
            return None
        own = self._rank[job.id]
        for rank, number, earlier, _ in self._planned:
            if rank >= own:
                return None
            if number not in self._open or own <= self._latest_before(earlier):
                continue
            if suits(gpu.slot, earlier) and gpu.has_room(earlier) and not self._bounds.of(earlier):
                return earlier
        return None

    def _lament(self, job: QueuedJob) -> None:
        words, is_hopeless = lament(job, self._slots)
        if is_hopeless:
            self._decided(job)
            self._open.discard(job.id)
            self._hopeless[job.id] = words
        else:
            self._leave(job, words)

    def _leave(self, job: QueuedJob, reason: str) -> None:
        """The job waits on, unless it has waited too long."""
        self._decided(job)
        self._open.discard(job.id)
        waited = (self._now - job.queued_at).total_seconds()
        if job.queue_seconds is not None and waited > job.queue_seconds:
            self._expired.append(job.id)
            self._starts.pop(job.id, None)
            self._ends.pop(job.id, None)
        else:
            self._waiting[job.id] = reason

    def _expect_held(self) -> None:
        for gpu in self._fleet.gpus.values():
            for held, ends in gpu.expected:
                self._ends[held.job_id] = ends

    def _recalls(self) -> Mapping[int, str]:
        """Jobs that wait on a backend behind another one while somebody waits who ranks long before them."""
        recalls: dict[int, str] = {}
        behind = [
            (gpu, held, starts)
            for gpu in self._fleet.gpus.values()
            for (_, starts), (held, _) in itertools.pairwise(gpu.expected)
            if held.began_at is None and not held.is_leaving and held.recalls < MOST_RECALLS
            if starts > max(RECALL_SECONDS, ROUND_TRIPS * gpu.slot.round_trip_seconds)
        ]
        for rank, number, job, _ in self._planned if behind else ():
            if number not in self._waiting:
                continue
            for gpu, held, starts in behind:
                is_later = (held.rank_at - self._now).total_seconds() > rank + OVERTAKING_SECONDS
                is_sooner = starts + RECALL_SECONDS < self._starts[number]
                if held.job_id not in recalls and is_later and is_sooner and suits(gpu.slot, job):
                    recalls[held.job_id] = "somebody else's turn comes first"
                    break
        return recalls

    def _look_again(self) -> float | None:
        """When the first GPU on which somebody waits is due to get its next job ahead of time."""
        dues = [
            gpu.busy_seconds - gpu.early_seconds
            for _, number, _, gpu in self._planned
            if number in self._waiting and gpu.free and not gpu.is_available
        ]
        return max(min(dues), 0.0) if dues else None
