"""Asking jobs back into the queue that wait on a backend behind others. Who has none is put back at once; of the rest
their workers do it, unless they have begun."""

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import AsyncConnection

from db import events

BEHIND_ANOTHER = """
    select waiting.id, waiting.state = 'placed' and waiting.prompt_id is null as is_unclaimed from (
        select jobs.id, began_at, bucket,
            row_number() over (order by began_at is null, placed_at, jobs.id) as turn
        from slots join jobs on jobs.id = slots.job_id and jobs.state in ('placed', 'running')
        where slots.backend = %(backend)s) as held
    join jobs as waiting on waiting.id = held.id
    where held.began_at is null and turn > 1 and not waiting.recall_requested
      and (%(tripped)s::text is null or held.bucket = %(tripped)s and exists (
              select from breakers
              where backend = %(backend)s and breakers.bucket = %(tripped)s and retry_at > now()))
    for update of waiting skip locked
"""
NAMED = """
    select jobs.id, state = 'placed' and prompt_id is null as is_unclaimed
    from slots join jobs on jobs.id = slots.job_id
    where jobs.id = any(%(jobs)s) and state in ('placed', 'running') and began_at is null
      and not (cancel_requested or recall_requested)
    for update of jobs skip locked
"""

# A job that somebody works on at this moment is left alone: it is claimed or ended, and nobody waits for anybody here.
# One that no worker has claimed is on no backend: nobody has to be asked.
RECALL = """
    with chosen as materialized ({chosen}),
    released as (
        update jobs set state = 'queued', is_due = true, backend = null, fence = fence + 1, woken_at = null,
            recalls = recalls + 1
        from chosen where jobs.id = chosen.id and is_unclaimed
        returning jobs.id),
    freed as (update slots set job_id = null from released where slots.job_id = released.id),
    asked as (
        update jobs set recall_requested = true from chosen where jobs.id = chosen.id and not is_unclaimed
        returning jobs.id, jobs.backend),
    told as (
        select id, 'queued' as kind, jsonb_build_object('recalled', true) as data from released
        union all
        select id, 'recall_requested', jsonb_build_object('backend', backend) from asked),
    recorded as (insert into events (job_id, kind, data) select id, kind, data from told)
    select id, kind, pg_notify(%(channel)s, (data || jsonb_build_object('job', id, 'kind', kind))::text) from told
"""


async def ask_back(connection: AsyncConnection, backend: str, *, tripped: str | None = None) -> list[int]:
    """Ask the jobs back that wait there behind another one. Their numbers.

    tripped: only those of this command, and only if its breaker there is open.
    """
    return sorted(await _recall(connection, BEHIND_ANOTHER, {"backend": backend, "tripped": tripped}))


async def ask(connection: AsyncConnection, jobs: Sequence[int]) -> list[int]:
    """Ask these jobs back, those that hold a place and have not begun. Which of them are in the queue again already."""
    told = await _recall(connection, NAMED, {"jobs": list(jobs)}) if jobs else {}
    return sorted(number for number, kind in told.items() if kind == "queued")


async def _recall(connection: AsyncConnection, chosen: str, values: Mapping[str, Any]) -> dict[int, str]:
    async with connection.cursor() as cursor:
        await cursor.execute(RECALL.format(chosen=chosen), {**values, "channel": events.CHANNEL})
        return {number: kind for number, kind, _ in await cursor.fetchall()}
