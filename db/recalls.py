"""Asking jobs back into the queue that wait on a backend behind others. Their workers do it, unless they have begun."""

from psycopg import AsyncConnection
from psycopg.rows import scalar_row

from db import events

# A job that somebody works on at this moment is left alone: it is claimed or ended, and nobody waits for anybody here.
ASK_BACK = """
    with asked as (
        update jobs set recall_requested = true
        where id in (
            select waiting.id from (
                select jobs.id, began_at, bucket,
                    row_number() over (order by began_at is null, placed_at, jobs.id) as turn
                from slots join jobs on jobs.id = slots.job_id and jobs.state in ('placed', 'running')
                where slots.backend = %(backend)s) as held
            join jobs as waiting on waiting.id = held.id
            where held.began_at is null and turn > 1 and not waiting.recall_requested
              and (%(tripped)s::text is null or held.bucket = %(tripped)s and exists (
                      select from breakers
                      where backend = %(backend)s and breakers.bucket = %(tripped)s and retry_at > now()))
            for update of waiting skip locked)
        returning id),
    recorded as (
        insert into events (job_id, kind, data)
        select id, 'recall_requested', jsonb_build_object('backend', %(backend)s::text) from asked)
    select id, pg_notify(%(channel)s, jsonb_build_object('job', id, 'kind', 'recall_requested')::text) from asked
"""


async def ask_back(connection: AsyncConnection, backend: str, *, tripped: str | None = None) -> list[int]:
    """Ask the jobs back that wait there behind another one. Their numbers.

    tripped: only those of this command, and only if its breaker there is open.
    """
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(ASK_BACK, {"backend": backend, "tripped": tripped, "channel": events.CHANNEL})
        return sorted(await cursor.fetchall())
