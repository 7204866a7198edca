"""Counts over the tables, for metrics and for whoever asks how busy everything is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias, get_args

from psycopg import AsyncConnection
from psycopg.rows import class_row

from db.jobs import BUCKETS

COUNTED = 10_000
"""Jobs that wait are counted so far, of each command."""

FIRST = 64
"""Among so many of each command that are next, the oldest is looked for."""

Health: TypeAlias = Literal["ready", "away", "unknown", "drained"]
"""Of a backend as metrics tell it: drained whatever its server says."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """How many jobs there are by (command, state), and how many backends of the registry by health, each kind told.

    'later' is the state of those that wait and may not start yet.
    round_trips: seconds that a small request took at the last check, for each backend that answers.
    """

    jobs: Mapping[tuple[str, str], int]
    backends: Mapping[Health, int]
    round_trips: Mapping[str, float]


async def fleet(connection: AsyncConnection) -> Fleet:
    """The state of everything, as counts."""
    jobs = await connection.execute(
        "select command, case when state = 'queued' and not is_due then 'later' else state end as state, count(*)"
        " from jobs group by 1, 2"
    )
    counted = {(command, state): count async for command, state, count in jobs}
    backends = await connection.execute(
        "select case when drained_at is null then health else 'drained' end, count(*) from backends"
        " where health_reason is distinct from 'not in the registry' group by 1"
    )
    healths = dict.fromkeys(get_args(Health), 0) | {health: count async for health, count in backends}
    measured = await connection.execute(
        "select name, round_trip_seconds from backends where health = 'ready' and round_trip_seconds is not null"
    )
    round_trips = {name: seconds async for name, seconds in measured}
    return Fleet(counted, healths, round_trips)


@dataclass(frozen=True, slots=True)
class Line:
    """The jobs of one command (with variant) that wait, counted to COUNTED; oldest_seconds: how long the one of the
    first of them that came first has waited."""

    command: str
    depth: int
    oldest_seconds: float


LINES = f"""{BUCKETS}
    select bucket as command, depth.count::int as depth, greatest(first.seconds, 0)::float8 as oldest_seconds
    from buckets cross join lateral (
        select count(*) from (
            select from jobs where state = 'queued' and is_due and jobs.bucket = buckets.bucket
            order by rank_at, id limit %(counted)s) as counted) as depth
    cross join lateral (
        select extract(epoch from now() - min(run_at)) as seconds from (
            select run_at from jobs where state = 'queued' and is_due and jobs.bucket = buckets.bucket
            order by rank_at, id limit %(first)s) as next) as first
    where bucket is not null
"""


async def lines(connection: AsyncConnection, *, counted: int = COUNTED) -> Sequence[Line]:
    """What waits, by command, counted so far: whatever its length, a bounded part of the queue is read, along its
    index."""
    async with connection.cursor(row_factory=class_row(Line)) as cursor:
        await cursor.execute(LINES, {"counted": counted, "first": FIRST})
        return await cursor.fetchall()


@dataclass(frozen=True, slots=True)
class Busy:
    """How busy everything is: backends that take jobs, all backends, jobs that wait (counted to COUNTED, of each
    command), jobs on backends."""

    ready: int
    backends: int
    waiting: int
    running: int


async def busy(connection: AsyncConnection) -> Busy:
    """The same for everybody who asks in a chat."""
    cursor = await connection.execute(
        """select count(*) filter (where health = 'ready' and drained_at is null), count(*),
               (select count(*) from jobs where state in ('placed', 'running'))
           from backends where health_reason is distinct from 'not in the registry'"""
    )
    ((ready, known, running),) = await cursor.fetchall()
    return Busy(ready, known, sum(line.depth for line in await lines(connection)), running)


@dataclass(frozen=True, slots=True)
class CommandVersion:
    """One version of a command that was ever enabled. enabled: it is the one that the registry means now.

    jobs: how many of those that are still in the table ran it.
    """

    command: str
    plugin: str
    plugin_version: str
    workflow_digest: str
    enabled: bool
    first_seen_at: datetime
    jobs: int


async def command_versions(connection: AsyncConnection, command: str | None = None) -> list[CommandVersion]:
    """Every known version, of one command or of all, the newest of each first."""
    async with connection.cursor(row_factory=class_row(CommandVersion)) as cursor:
        await cursor.execute(
            """select name as command, plugin, plugin_version, workflow_digest, enabled, first_seen_at,
                      (select count(*) from jobs where command_id = commands.id) as jobs
               from commands where %(command)s::text is null or name = %(command)s order by name, id desc""",
            {"command": command},
        )
        return await cursor.fetchall()
