"""The fleet while it is simulated: what is so, and what a scheduler at the other end of the path knows of it."""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks.placement.workload import Job
from runtime.scheduler.timings import Timings


@dataclass(slots=True)
class Ticket:
    """A job on its way. Times in seconds from the start of the trace, None = not yet.

    rank_at: its place in the queue, as `db.jobs.insert` gives it. loads_at: when the GPU took it up. runs_at: when its
    weights were there and the run itself began.
    """

    job: Job
    rank_at: float
    backend: str | None = None
    position: int = 0
    placed_at: float = 0.0
    expected_cold: bool = False
    is_leaving: bool = False
    recalls: int = 0
    loads_at: float | None = None
    runs_at: float | None = None
    ends_at: float | None = None
    was_cold: bool = False

    @property
    def id(self) -> int:
        return self.job.id


@dataclass(slots=True)
class Backend:
    """One ComfyUI on one GPU. places: 1 running + look-ahead, None = as many prompts as one likes.

    What the scheduler knows: `held`, in the order in which they were placed; `loaded_known`, and since
    when.
    What is so: `prompts` in ComfyUI's queue, the one that is `running`, the model set `loaded`.
    """

    name: str
    device: str
    places: int | None
    held: dict[int, Ticket] = field(default_factory=dict)
    loaded_known: str | None = None
    loaded_known_since: float | None = None
    freed_at: float = 0.0
    prompts: deque[Ticket] = field(default_factory=deque)
    running: Ticket | None = None
    loaded: str | None = None
    load_seconds: float = 0.0
    run_seconds: float = 0.0

    @property
    def has_room(self) -> bool:
        return self.places is None or len(self.held) < self.places

    @property
    def is_idle(self) -> bool:
        """As far as is known."""
        return not self.held

    @property
    def warm(self) -> str | None:
        """The model set that it will hold when all it has is done."""
        last = next(reversed(self.held.values()), None)
        return last.job.command.model_set if last else self.loaded_known

    def free_position(self) -> int:
        taken = {ticket.position for ticket in self.held.values()}
        return next(position for position in range(len(taken) + 1) if position not in taken)


class Queue:
    """The jobs that wait: in the order of their coming, and by command in the order of their ranks."""

    def __init__(self) -> None:
        self._waiting: dict[int, Ticket] = {}
        self._ranked: dict[str, list[tuple[float, int, Ticket]]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Ticket]:
        return iter(self._waiting.values())

    def __contains__(self, job_id: int) -> bool:
        return job_id in self._waiting

    def __getitem__(self, job_id: int) -> Ticket:
        return self._waiting[job_id]

    def add(self, ticket: Ticket) -> None:
        self._waiting[ticket.id] = ticket
        insort(self._ranked.setdefault(ticket.job.command.key, []), (ticket.rank_at, ticket.id, ticket))

    def pop(self, job_id: int) -> Ticket:
        ticket = self._waiting.pop(job_id)
        ranked = self._ranked[ticket.job.command.key]
        del ranked[bisect_left(ranked, (ticket.rank_at, ticket.id))]
        return ticket

    def window(self, of_each: int) -> list[Ticket]:
        """The first so many of each command, all in the order of the queue: as `db.placement.snapshot` reads it."""
        first = [entry for ranked in self._ranked.values() for entry in ranked[:of_each]]
        return [ticket for _, _, ticket in sorted(first)]


@dataclass(slots=True)
class View:
    """What a policy decides on. now: seconds. round_trip_seconds: of the path to every backend."""

    now: float
    queue: Queue
    backends: list[Backend]
    round_trip_seconds: float
    timings: Timings
