"""What ended tries took, what promises were worth and what became of messages, for the whole deployment.

Whoever is asked for metrics counts the tries that ended since somebody was asked last; calls and messages are added by
the processes that make and send them. The sums are in the database, so that they outlast every process and every
expired job, and are the same whichever process tells them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from psycopg import AsyncConnection
from psycopg.rows import class_row, scalar_row

from db.placement import DEVICE

Metric: TypeAlias = Literal["wait", "run", "load", "error", "lateness", "warm", "swap", "call", "delivery"]

AT_A_TIME = 1000
"""So many tries are counted in one transaction, the oldest first."""

# The wait ends when the run is seen to begin. A job that has been put back since it was tried waits anew.
TALLY = f"""
    with ended as (
        select job_id, number from attempts where ended_at is not null and not is_tallied
        order by ended_at limit %(at_most)s for update skip locked),
    marked as (
        update attempts set is_tallied = true from ended
        where attempts.job_id = ended.job_id and attempts.number = ended.number
        returning attempts.*),
    tried as (
        select marked.*, bucket, coalesce({DEVICE}, marked.backend) as device,
            outcome in ('collected', 'failed', 'cancelled', 'dead') as is_final,
            extract(epoch from coalesce(jobs.began_at, marked.started_at) - run_at)::float8 as waited,
            extract(epoch from marked.ended_at - promised_at)::float8 as late
        from marked join jobs on jobs.id = marked.job_id left join backends on backends.name = marked.backend),
    observed (metric, labels, seconds) as (
        select 'wait', array[bucket], waited from tried where is_final and waited >= 0
        union all
        select 'run', array[bucket, device], run_seconds from tried where run_seconds is not null and was_warm
        union all
        select 'load', array[bucket, device], load_seconds from tried where load_seconds is not null
        union all
        select 'error', array[bucket], abs(late) from tried where outcome = 'collected' and late is not null
        union all
        select 'lateness', array[bucket], late from tried where outcome = 'collected' and late is not null
        union all
        select case when was_warm then 'warm' else 'swap' end, array[backend], 0 from tried
        where was_warm is not null and outcome not in ('lost', 'handed back')),
    sorted as (
        select metric, labels, seconds, coalesce(
            (select min(bound) from unnest(%(metrics)s::text[], %(bounds)s::float8[]) as bounds (name, bound)
             where name = metric and bound >= seconds), 'infinity') as le
        from observed),
    added as (
        insert into tallies as known (metric, labels, le, count, total)
        select metric, labels, le, count(*), sum(seconds) from sorted group by 1, 2, 3 order by 1, 2, 3
        on conflict (metric, labels, le) do update set
            count = known.count + excluded.count, total = known.total + excluded.total)
    select count(*) from marked
"""


async def tally(
    connection: AsyncConnection, bounds: Mapping[Metric, Sequence[float]], *, at_most: int = AT_A_TIME
) -> int:
    """Count tries that have ended, each once, however many ask at the same time. How many were counted now.

    bounds: upper ends in seconds of the buckets of each histogram; a last one without end is always there.
    """
    pairs = [(metric, float(bound)) for metric, ends in bounds.items() for bound in ends]
    values = {"at_most": at_most, "metrics": [name for name, _ in pairs], "bounds": [bound for _, bound in pairs]}
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(TALLY, values)
        counted: int | None = await cursor.fetchone()
        return counted or 0


async def add(connection: AsyncConnection, metric: Metric, counts: Mapping[tuple[str, ...], int]) -> None:
    """Add what a process has counted, by labels; in their order, so that no two who add wait for each other."""
    async with connection.cursor() as cursor:
        await cursor.executemany(
            """insert into tallies as known (metric, labels, le, count, total) values (%s, %s, 'infinity', %s, 0)
               on conflict (metric, labels, le) do update set count = known.count + excluded.count""",
            [(metric, list(labels), count) for labels, count in sorted(counts.items())],
        )


@dataclass(frozen=True, slots=True)
class Tally:
    """So many were in this bucket: above the bound before, and up to `le` seconds. total: their sum, in seconds.

    labels: of 'run' and 'load' the command (with its variant) and the device, of 'warm' and 'swap' the backend, of
    'call' the method and the outcome, of 'delivery' the kind and the outcome, of the rest the command.
    """

    metric: Metric
    labels: Sequence[str]
    le: float
    count: int
    total: float


async def read(connection: AsyncConnection) -> list[Tally]:
    """Everything that was counted."""
    async with connection.cursor(row_factory=class_row(Tally)) as cursor:
        await cursor.execute("select metric, labels, le, count, total from tallies order by metric, labels, le")
        return await cursor.fetchall()
