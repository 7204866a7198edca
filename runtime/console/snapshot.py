"""Everything that all pages of the console share, read at one moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from psycopg import AsyncConnection

from db import backends, breakers, console, reports, views
from db.backends import Listed
from db.breakers import Breaker
from db.console import AtWork, Heaps, PastHour, Queued
from db.reports import Line
from db.views import View

LATER = 20
"""So many jobs for later are shown."""

GONE = "not in the registry"


@dataclass(frozen=True, slots=True)
class Backend:
    """A backend with all that is known of it. running: at most one job at a time computes; next: behind it;
    fetching: done there, results on their way. unseen: views of machines that do not reach it while others do."""

    listed: Listed
    running: AtWork | None = None
    next: Sequence[AtWork] = ()
    fetching: Sequence[AtWork] = ()
    circuits: Sequence[Breaker] = ()
    unseen: Sequence[View] = ()

    @property
    def name(self) -> str:
        return self.listed.name

    @property
    def is_drained(self) -> bool:
        """By an operator."""
        return self.listed.drained_at is not None

    @property
    def is_gone(self) -> bool:
        """It has left the registry."""
        return self.listed.health_reason == GONE

    @property
    def takes_jobs(self) -> bool:
        return self.listed.health == "ready" and not self.is_drained

    @property
    def state(self) -> str:
        """In one word, for people."""
        if self.is_gone:
            return "gone"
        return "drained" if self.is_drained else self.listed.health


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The deployment at `at`, by the database's clock. queue: the first jobs that wait, in order; later: the soonest of
    those that may not start yet; lines: what waits, by command."""

    at: datetime
    backends: Sequence[Backend]
    queue: Sequence[Queued]
    later: Sequence[Queued]
    lines: Sequence[Line]
    heaps: Heaps
    past_hour: PastHour
    running: int = 0
    waiting: int = 0
    oldest_seconds: float = 0.0
    waiting_more: bool = False
    """Whether more wait than were counted."""
    by_name: Mapping[str, Backend] = field(default_factory=dict)


async def read(connection: AsyncConnection, past_hour: PastHour) -> Snapshot:
    """As it is now; `past_hour` is read less often, see `read_past_hour`. Raises: psycopg.OperationalError."""
    at = await console.begin(connection)
    work = await console.at_work(connection)
    circuits = await breakers.not_closed(connection)
    seen = await views.views(connection)
    shown = [_backend(one, work, circuits, seen) for one in await backends.listed(connection)]
    shown = [one for one in shown if not one.is_gone or one.running or one.next or one.fetching]
    jobs = await console.waiting(connection, later=LATER)
    lines = sorted(
        await reports.lines(connection, counted=console.COUNTED), key=lambda line: (-line.depth, line.command)
    )
    return Snapshot(
        at=at,
        backends=shown,
        queue=[job for job in jobs if job.position is not None],
        later=[job for job in jobs if job.position is None],
        lines=sorted(lines, key=lambda line: (-line.depth, line.command)),
        heaps=await console.heaps(connection),
        past_hour=past_hour,
        running=sum(one.running is not None for one in shown),
        waiting=sum(line.depth for line in lines),
        waiting_more=any(line.depth >= console.COUNTED for line in lines),
        oldest_seconds=max((line.oldest_seconds for line in lines), default=0.0),
        by_name={one.name: one for one in shown},
    )


async def read_past_hour(connection: AsyncConnection) -> PastHour:
    """What has been done lately. Raises: psycopg.OperationalError."""
    await console.begin(connection)
    return await console.past_hour(connection)


def _backend(listed: Listed, work: Sequence[AtWork], circuits: Sequence[Breaker], seen: Sequence[View]) -> Backend:
    held = [job for job in work if job.backend == listed.name and job.has_slot]
    running = held[0] if held and held[0].began_at is not None else None
    return Backend(
        listed,
        running=running,
        next=held[1:] if running else held,
        fetching=[job for job in work if job.backend == listed.name and not job.has_slot],
        circuits=[one for one in circuits if one.backend == listed.name],
        unseen=[
            one for one in seen if one.backend == listed.name and one.health == "away" and listed.health == "ready"
        ],
    )
