"""What is asked before a job is queued: how much waits, of its user and of all, and whether it is there already."""

from dataclasses import dataclass

from psycopg import AsyncConnection
from psycopg.rows import class_row, scalar_row

from db.jobs import COLUMNS, Job

OWNER_LOCK = 0x7573  # first key of the advisory locks under which a user's, or a token's, jobs are counted


@dataclass(frozen=True, slots=True)
class Standing:
    """A user's or a token's jobs: how many wait, those for later as well, how many of one command are unfinished, and
    how many in all."""

    waiting: int
    unfinished: int
    open: int


async def lock_owner(connection: AsyncConnection, owner: int) -> None:
    """Let nobody else count and queue jobs of this owner (see `jobs.owner`) until the transaction ends."""
    await connection.execute("select pg_advisory_xact_lock(%s, hashint8(%s::bigint))", (OWNER_LOCK, owner))


async def standing(connection: AsyncConnection, owner: int, command: str) -> Standing:
    """How much the owner has, exactly while `lock_owner` is held."""
    async with connection.cursor(row_factory=class_row(Standing)) as cursor:
        await cursor.execute(
            """select count(*) filter (where state = 'queued') as waiting,
                   count(*) filter (where command = %s) as unfinished, count(*) as open
               from jobs where owner = %s and state in ('queued', 'placed', 'running')""",
            (command, owner),
        )
        found = await cursor.fetchone()
        return found or Standing(0, 0, 0)


async def waiting(connection: AsyncConnection, at_most: int) -> int:
    """How many jobs wait, counted to `at_most` and no further."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(
            "select count(*) from (select from jobs where state = 'queued' limit %s) as waiting", (at_most,)
        )
        found: int | None = await cursor.fetchone()
        return found or 0


async def seconds_to_next_start(connection: AsyncConnection) -> float | None:
    """When the next waiting job is expected to start, since a run ends; None if nobody can say."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(
            """select extract(epoch from greatest(min(expected_at) - now(), interval '0'))::float8 from jobs
               where state in ('placed', 'running')"""
        )
        found: float | None = await cursor.fetchone()
        return found


async def open_twin(connection: AsyncConnection, unique_key: str) -> Job | None:
    """The unfinished job with this unique key, if there is one."""
    async with connection.cursor(row_factory=class_row(Job)) as cursor:
        await cursor.execute(
            f"""select {COLUMNS} from jobs
                where unique_key = %s and state in ('queued', 'placed', 'running')""",
            (unique_key,),
        )
        return await cursor.fetchone()
