"""Circuit breakers, one for each command (with its variant: the bucket) on each backend.

A row counts failures in a row; a success deletes it. closed: no `opened_at`. open: `retry_at` is to come, no job of the
command is placed there. half open: `retry_at` has come, one job at a time is placed there to see. All of it is decided
in the transaction that ends a try, so that every machine sees the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import AsyncConnection
from psycopg.rows import class_row, scalar_row

from db import recalls

FAILURES = 3
"""So many in a row open it."""

FIRST_SECONDS, LONGEST_SECONDS = 30.0, 900.0
"""How long it stays open the first time, doubled each time that the probe fails, and at most."""

MEMORY_SECONDS = 3600.0
"""A failure so long ago is no longer in a row with the next."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A try that failed in a way for which its backend may be to blame.

    error: class name. is_certain: it cannot be the job's own fault. others: the other backends that fit the command.
    """

    backend: str
    bucket: str
    error: str
    is_certain: bool
    others: Sequence[str]


@dataclass(frozen=True, slots=True)
class Breaker:
    """One that is not closed. is_probing: half open."""

    backend: str
    bucket: str
    failures: int
    error: str
    opened_at: datetime
    retry_at: datetime
    is_probing: bool


COUNT = """
    insert into breakers as known (backend, bucket, failures, error) values (%(backend)s, %(bucket)s, 1, %(error)s)
    on conflict (backend, bucket) do update set error = excluded.error, failed_at = now(), failures = case
        when known.retry_at > now() then known.failures  -- placed before it opened
        when known.opened_at is null and known.failed_at < now() - make_interval(secs => %(memory)s) then 1
        else least(known.failures + 1, 1000) end
"""
# Where no other backend runs the command without failing, the command itself is at fault, or what it is asked for.
OPEN = """
    update breakers set
        opened_at = case when is_warranted then now() end,
        openings = case when is_warranted then least(openings + 1, 30) else 0 end,
        retry_at = case when is_warranted
            then now() + make_interval(secs => least(%(longest)s, %(first)s * power(2, openings))) end
    from (select %(is_certain)s or exists (
              select from backends where name = any(%(others)s) and health = 'ready' and drained_at is null
                and not missing ? %(bucket)s
                and not exists (select from breakers as theirs
                                where theirs.backend = name and theirs.bucket = %(bucket)s
                                  and (theirs.opened_at is not null
                                       or theirs.failed_at > now() - make_interval(secs => %(memory)s)))
          ) as is_warranted) as judged
    where backend = %(backend)s and bucket = %(bucket)s and failures >= %(failures)s
      and (retry_at is null or retry_at <= now())
"""


async def failed(connection: AsyncConnection, failure: Failure) -> None:
    """Count the failure. The third in a row opens the breaker, and so does every one while it is half open.

    A failure that may be the job's own fault opens it only while some other fitting backend takes the command and has
    not failed with it: otherwise users would wait for a backend where they should be told what is wrong. Jobs of the
    command that wait there behind another one are asked back.
    """
    values = {
        "backend": failure.backend,
        "bucket": failure.bucket,
        "error": failure.error,
        "is_certain": failure.is_certain,
        "others": list(failure.others),
        "failures": FAILURES,
        "first": FIRST_SECONDS,
        "longest": LONGEST_SECONDS,
        "memory": MEMORY_SECONDS,
    }
    await connection.execute(COUNT, values)
    await connection.execute(OPEN, values)
    await recalls.ask_back(connection, failure.backend, tripped=failure.bucket)


async def worked(connection: AsyncConnection, backend: str, bucket: str) -> None:
    """The command ran well there: its breaker is closed, and earlier failures are forgotten."""
    await connection.execute("delete from breakers where backend = %s and bucket = %s", (backend, bucket))


NOT_CLOSED = """
    select backend, bucket, failures, error, opened_at, retry_at, retry_at <= now() as is_probing
    from breakers where opened_at is not null order by backend, bucket
"""


async def not_closed(connection: AsyncConnection) -> list[Breaker]:
    """All breakers that are open or half open."""
    async with connection.cursor(row_factory=class_row(Breaker)) as cursor:
        await cursor.execute(NOT_CLOSED)
        return await cursor.fetchall()


async def probe_now(connection: AsyncConnection, backend: str) -> None:
    """Half open what is open there: the server has been away, and may have come back with what it lacked."""
    await connection.execute("update breakers set retry_at = now() where backend = %s and retry_at > now()", (backend,))


async def reset(connection: AsyncConnection, backend: str, bucket: str | None = None) -> list[str]:
    """Close the breaker of one command there, or all of them. Those that were not closed."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(
            """with gone as (delete from breakers where backend = %(backend)s
                               and bucket = coalesce(%(bucket)s, bucket) returning bucket, opened_at)
               select bucket from gone where opened_at is not null order by bucket""",
            {"backend": backend, "bucket": bucket},
        )
        return await cursor.fetchall()
