"""A discrete-event fleet: jobs arrive, a policy places them, GPUs load and run. No clock, no sleeping.

The path has a round trip: half of it lies between a decision and the prompt being in the backend's queue, half between
the end of a run and the scheduler knowing of it. A policy that sends a job only when a GPU is free leaves it idle for a
round trip. A recall takes one too, and comes too late if the prompt has begun by then.
"""

import functools
import heapq
import itertools
import time
from collections import Counter
from collections.abc import Callable

from benchmarks.placement.learning import Learner
from benchmarks.placement.outcome import Result
from benchmarks.placement.policies import Choice, Policy
from benchmarks.placement.state import Backend, Queue, Ticket, View
from benchmarks.placement.traces import Trace
from benchmarks.placement.workload import MEANS, Job
from db.jobs import TURN_SECONDS
from runtime.scheduler.timings import Timings

SOONEST_SECONDS = 0.05
"""A policy that wants to look again is asked no sooner than that."""


def simulate(trace: Trace, policy: Policy, *, timings: Timings = MEANS) -> Result:
    """Play the whole trace until its last job is done. The same trace and policy give the same result.
    timings: what the policy knows, unless it learns.

    Raises: RuntimeError if jobs wait with nothing left to happen.
    """
    return _Simulation(trace, policy, timings).run()


class _Simulation:
    def __init__(self, trace: Trace, policy: Policy, timings: Timings) -> None:
        self._trace = trace
        self._policy = policy
        places = None if policy.lookahead is None else policy.lookahead + 1
        self._backends = {one.name: Backend(one.name, one.device, places) for one in trace.backends}
        self._half = trace.round_trip_seconds / 2
        self._learner = Learner() if policy.learns else None
        if self._learner:
            timings = self._learner.timings()
        self._view = View(0.0, Queue(), list(self._backends.values()), trace.round_trip_seconds, timings)
        self._events: list[tuple[float, int, Callable[[], bool]]] = []
        self._numbers = itertools.count()
        self._open: Counter[int] = Counter()
        self._tickets: list[Ticket] = []
        self._wake_at: float | None = None
        self._decisions = 0
        self._decided_seconds = 0.0
        self._recalls = 0

    def run(self) -> Result:
        for job in self._trace.jobs:
            self._at(job.at, functools.partial(self._arrive, job))
        while self._events:
            now = self._view.now = self._events[0][0]
            has_news = False
            while self._events and self._events[0][0] == now:
                has_news |= heapq.heappop(self._events)[2]()
            if has_news:
                self._decide()
        if len(self._view.queue):
            raise RuntimeError(f"{len(self._view.queue)} jobs wait, and nothing will happen any more")
        return Result(
            self._trace,
            tuple(self._tickets),
            tuple(self._backends.values()),
            decisions=self._decisions,
            decided_seconds=self._decided_seconds,
            recalls=self._recalls,
        )

    def _at(self, seconds: float, event: Callable[[], bool]) -> None:
        """event: what happens then; tells whether it is news to the scheduler."""
        heapq.heappush(self._events, (seconds, next(self._numbers), event))

    def _arrive(self, job: Job) -> bool:
        """As `db.jobs.insert` ranks it."""
        ticket = Ticket(job, job.at + TURN_SECONDS * self._open[job.user_id])
        self._open[job.user_id] += 1
        self._tickets.append(ticket)
        self._view.queue.add(ticket)
        return True

    def _decide(self) -> None:
        started = time.perf_counter()
        choices = self._policy.decide(self._view)
        self._decided_seconds += time.perf_counter() - started
        self._decisions += 1
        for choice in choices.given:
            self._send(choice)
        for job_id in choices.recalls:
            self._recall(job_id)
        if choices.look_again_seconds is None:
            self._wake_at = None
            return
        wake_at = self._view.now + max(choices.look_again_seconds, SOONEST_SECONDS)
        if self._wake_at != wake_at:
            self._wake_at = wake_at
            self._at(wake_at, lambda: self._wake(wake_at))

    def _wake(self, wake_at: float) -> bool:
        return self._wake_at == wake_at

    def _send(self, choice: Choice) -> None:
        backend, now = self._backends[choice.backend], self._view.now
        if not backend.has_room:
            raise RuntimeError(f"{backend.name} has no place for job {choice.job_id}")
        ticket = self._view.queue.pop(choice.job_id)
        ticket.backend, ticket.placed_at, ticket.expected_cold = backend.name, now, choice.expected_cold
        ticket.position = backend.free_position() if choice.position is None else choice.position
        ticket.is_leaving = False
        backend.held[ticket.id] = ticket
        self._at(now + self._half, lambda: self._post(backend, ticket))

    def _post(self, backend: Backend, ticket: Ticket) -> bool:
        backend.prompts.append(ticket)
        self._begin_next(backend)
        return False

    def _begin_next(self, backend: Backend) -> None:
        if backend.running is not None or not backend.prompts:
            return
        now, ticket = self._view.now, backend.prompts.popleft()
        model_set = ticket.job.command.model_set
        backend.running, ticket.loads_at = ticket, now
        ticket.was_cold = backend.loaded != model_set
        load = ticket.job.command.load_seconds if ticket.was_cold else 0.0
        backend.loaded = model_set
        ticket.runs_at = now + load
        run = ticket.job.run_seconds(backend.device)
        backend.load_seconds += load
        backend.run_seconds += run
        self._at(ticket.runs_at + run, lambda: self._end(backend, ticket))
        self._at(now + self._half, lambda: self._know_begin(backend, model_set, now))
        if self._policy.watches_loads and load:
            self._at(ticket.runs_at + self._half, lambda: True)

    def _know_begin(self, backend: Backend, model_set: str, since: float) -> bool:
        if backend.loaded_known != model_set:
            backend.loaded_known, backend.loaded_known_since = model_set, since
        return False

    def _end(self, backend: Backend, ticket: Ticket) -> bool:
        backend.running, ticket.ends_at = None, self._view.now
        self._at(self._view.now + self._half, lambda: self._know_end(backend, ticket))
        self._begin_next(backend)
        return False

    def _know_end(self, backend: Backend, ticket: Ticket) -> bool:
        del backend.held[ticket.id]
        backend.freed_at = self._view.now
        self._open[ticket.job.user_id] -= 1
        if self._learner:
            self._learner.see(ticket, backend.device)
            self._view.timings = self._learner.timings()
        return True

    def _recall(self, job_id: int) -> None:
        backend = next(one for one in self._backends.values() if job_id in one.held)
        ticket = backend.held[job_id]
        if ticket.is_leaving:
            return
        ticket.is_leaving = True
        self._at(self._view.now + self._half, lambda: self._take_off(backend, ticket))

    def _take_off(self, backend: Backend, ticket: Ticket) -> bool:
        if ticket in backend.prompts:
            backend.prompts.remove(ticket)
            self._at(self._view.now + self._half, lambda: self._know_recalled(backend, ticket))
        return False

    def _know_recalled(self, backend: Backend, ticket: Ticket) -> bool:
        del backend.held[ticket.id]
        ticket.backend, ticket.recalls, ticket.is_leaving = None, ticket.recalls + 1, False
        self._recalls += 1
        self._view.queue.add(ticket)
        return True
