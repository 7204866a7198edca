"""What the operators' console reads beside `db.backends`, `db.breakers`, `db.views` and `db.reports`.

Nothing here selects what a user wrote: of arguments their names and kinds, never a value; of progress no title; of an
end the class of its error, never the line that its user got. However much waits, a bounded part of it is read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import AsyncConnection
from psycopg.rows import class_row, scalar_row

from db.jobs import State
from db.statuses import LINE

FIRST = 100
"""So many jobs of the queue are shown, from the first on."""

COUNTED = 1000
"""Dead letters, jobs for later, messages owed, and those that wait for one command are counted so far."""

LOOKED_THROUGH = 10_000
"""Among so many jobs those of one kind are looked for at a time, and the past hour's are counted."""

MOST_HELD = 500
STATEMENT_SECONDS = 3


async def begin(connection: AsyncConnection) -> datetime:
    """Begin a reading of which no statement may take long. The database's time."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(f"set local statement_timeout = '{STATEMENT_SECONDS}s'")
        await cursor.execute("select now()")
        at: datetime = await cursor.fetchone()  # type: ignore[assignment]  # one row, always
        return at


@dataclass(frozen=True, slots=True)
class AtWork:
    """A job on a backend. has_slot: its results are not being fetched yet. phase, fraction, step, steps: how far its
    run is, if it told (see `runtime.comfyui.Progress`)."""

    id: int
    state: State
    bucket: str
    backend: str
    has_slot: bool
    is_cold: bool
    attempt: int
    placement: str | None
    placed_at: datetime | None
    began_at: datetime | None
    expected_at: datetime | None
    phase: str | None
    fraction: float | None
    step: int | None
    steps: int | None


AT_WORK = f"""
    select jobs.id, state, bucket, jobs.backend, slots.job_id is not null as has_slot, is_cold, attempt, placement,
        placed_at, began_at, expected_at, progress ->> 'phase' as phase,
        (progress ->> 'fraction')::float8 as fraction, (progress ->> 'step')::int as step,
        (progress ->> 'steps')::int as steps
    from jobs left join slots on slots.job_id = jobs.id
    where state in ('placed', 'running') and jobs.backend is not null
    order by slots.job_id is null, began_at is null, placed_at, jobs.id
    limit {MOST_HELD}
"""


async def at_work(connection: AsyncConnection) -> list[AtWork]:
    """The jobs on backends, of each the one that runs first, then those behind it, then those that are fetched."""
    async with connection.cursor(row_factory=class_row(AtWork)) as cursor:
        await cursor.execute(AT_WORK)
        return await cursor.fetchall()


@dataclass(frozen=True, slots=True)
class Queued:
    """A job that waits. position: 1 = next, None: it is for later, not before run_at. error: why its last try ended."""

    id: int
    position: int | None
    bucket: str
    run_at: datetime
    attempt: int
    recalls: int
    placement: str | None
    expected_at: datetime | None
    error: str | None


_QUEUED = "bucket, run_at, attempt, recalls, placement, expected_at, error"
NEXT = f"{LINE} select id, position, {_QUEUED} from line join jobs using (id) order by position"
LATER = f"""
    select id, null::bigint as position, {_QUEUED} from jobs
    where state = 'queued' and not is_due order by run_at, id limit %(most)s
"""


async def waiting(connection: AsyncConnection, *, later: int) -> list[Queued]:
    """The first FIRST jobs of the queue in their order, then so many of those for later, soonest first."""
    async with connection.cursor(row_factory=class_row(Queued)) as cursor:
        await cursor.execute(NEXT, {"counted": FIRST})
        first = await cursor.fetchall()
        await cursor.execute(LATER, {"most": later})
        return first + await cursor.fetchall()


@dataclass(frozen=True, slots=True)
class Heaps:
    """Counted to COUNTED + 1, which stands for more: dead letters, jobs for later, messages owed to chats by now."""

    dead: int
    later: int
    owed: int


HEAPS = """
    select
        (select count(*) from (select from jobs where state = 'dead' order by id limit %(most)s)
            as counted)::int as dead,
        (select count(*) from (select from jobs where state = 'queued' and not is_due order by run_at limit %(most)s)
            as counted)::int as later,
        (select count(*) from (select from deliveries where state = 'pending' and run_at < now() order by run_at
            limit %(most)s) as counted)::int as owed
"""


async def heaps(connection: AsyncConnection) -> Heaps:
    """How much lies about."""
    async with connection.cursor(row_factory=class_row(Heaps)) as cursor:
        await cursor.execute(HEAPS, {"most": COUNTED + 1})
        found = await cursor.fetchone()
        assert found is not None
        return found


@dataclass(frozen=True, slots=True)
class PastHour:
    """How the jobs of the past hour ended, of the newest LOOKED_THROUGH jobs. wait_seconds, run_seconds: medians from
    due to begun and from begun to over, None if nothing ended well."""

    done: int
    failed: int
    cancelled: int
    wait_seconds: float | None
    run_seconds: float | None


PAST_HOUR = """
    select count(*) filter (where is_well)::int as done,
        count(*) filter (where state in ('failed', 'dead'))::int as failed,
        count(*) filter (where state = 'cancelled')::int as cancelled,
        percentile_cont(0.5) within group (order by greatest(extract(epoch from began_at - run_at), 0))
            filter (where is_well) as wait_seconds,
        percentile_cont(0.5) within group (order by extract(epoch from ended_at - began_at))
            filter (where is_well) as run_seconds
    from (select state, state in ('collected', 'delivered') as is_well, run_at, began_at, ended_at
          from jobs order by id desc limit %(most)s) as newest
    where ended_at > now() - interval '1 hour'
"""


async def past_hour(connection: AsyncConnection) -> PastHour:
    """What has been done lately."""
    async with connection.cursor(row_factory=class_row(PastHour)) as cursor:
        await cursor.execute(PAST_HOUR, {"most": LOOKED_THROUGH})
        found = await cursor.fetchone()
        assert found is not None
        return found


@dataclass(frozen=True, slots=True)
class Row:
    """A job in a list. error: class name."""

    id: int
    state: State
    bucket: str
    backend: str | None
    attempt: int
    max_attempts: int
    created_at: datetime
    began_at: datetime | None
    ended_at: datetime | None
    run_at: datetime
    is_due: bool
    error: str | None


@dataclass(frozen=True, slots=True)
class Listing:
    """Jobs, newest first. older: show those before this number next, None if there are none. is_cut: there may be
    some, but it was not looked further than this number."""

    rows: Sequence[Row]
    older: int | None = None
    is_cut: bool = False


_ROW = """id, state, bucket, backend, attempt, max_attempts, created_at, began_at, ended_at, run_at, is_due, error"""
JOBS = f"""
    select {_ROW}
    from (select {_ROW}, command from jobs where id < %(before)s order by id desc limit %(looked)s) as newest
    where (%(states)s::text[] is null or state = any(%(states)s))
      and (%(command)s::text is null or command = %(command)s)
    order by id desc limit %(most)s
"""
DEAD = f"""
    select {_ROW} from jobs
    where state = 'dead' and id < %(before)s and (%(command)s::text is null or command = %(command)s)
    order by id desc limit %(most)s
"""
REACHED = """
    select min(id) from (select id from jobs where id < %(before)s order by id desc limit %(looked)s) as newest
    having count(*) = %(looked)s
"""
NO_END = 2**63 - 1


async def jobs(
    connection: AsyncConnection,
    *,
    states: Sequence[State] | None = None,
    command: str | None = None,
    before: int | None = None,
    most: int = 50,
) -> Listing:
    """A page of jobs in these states, of this command, with numbers below `before`."""
    is_dead_only = states == ["dead"]
    wanted = {
        "states": list(states) if states else None,
        "command": command,
        "before": before or NO_END,
        "most": most + 1,
        "looked": LOOKED_THROUGH,
    }
    async with connection.cursor(row_factory=class_row(Row)) as cursor:
        await cursor.execute(DEAD if is_dead_only else JOBS, wanted)
        rows = await cursor.fetchall()
    if len(rows) > most:
        return Listing(rows[:most], rows[most - 1].id)
    if is_dead_only or not (states or command):
        return Listing(rows)
    reached = await (await connection.execute(REACHED, wanted)).fetchone()
    return Listing(rows, reached[0], is_cut=True) if reached else Listing(rows)
