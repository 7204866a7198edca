"""After a job's end: what happened in its tries, another go for one that failed, and who has not heard of it yet."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from psycopg import AsyncConnection
from psycopg.rows import class_row, scalar_row

from db import admission, callbacks, deliveries, events
from db.jobs import COLUMNS, PRIORITY_SECONDS, TURN_SECONDS, Job

Replayed: TypeAlias = Literal["queued", "not there", "not failed", "command gone", "inputs gone"]
Unworked: TypeAlias = Literal["failed", "cancelled", "dead"]
"""How a job can end without a worker."""


@dataclass(frozen=True, slots=True)
class Try:
    """One try of a job. was_warm, load_seconds, run_seconds: as measured, None if it did not come so far."""

    number: int
    backend: str
    worker: str
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None
    error: str | None
    was_warm: bool | None
    load_seconds: float | None
    run_seconds: float | None


async def tries(connection: AsyncConnection, job_id: int) -> Sequence[Try]:
    """Every try of the job since it was queued (again), oldest first."""
    async with connection.cursor(row_factory=class_row(Try)) as cursor:
        await cursor.execute(
            """select number, backend, worker, started_at, ended_at, outcome, error, was_warm, load_seconds, run_seconds
               from attempts where job_id = %s order by number""",
            (job_id,),
        )
        return await cursor.fetchall()


MAY_REPLAY = """
    select case
        when state not in ('failed', 'dead') then 'not failed'
        when not exists (select from commands where name = command and enabled
                           and workflow ? coalesce(jobs.variant, '')) then 'command gone'
        when (select count(*) from job_inputs join artifacts on artifacts.id = artifact_id
              where job_inputs.job_id = jobs.id
                and (telegram_file_id is not null or exists (select from blobs where blobs.artifact_id = artifacts.id))
             ) < input_count then 'inputs gone'
        else 'queued' end
    from jobs where id = %s for update
"""

REPLAY = """
    update jobs set state = 'queued', attempt = 0, run_at = now(), is_due = true, fence = fence + 1, woken_at = null,
        rank_at = now() - make_interval(secs => priority * %(priority_seconds)s)
            + %(turn_seconds)s * interval '1 second'
            * (select count(*) from jobs as open where open.owner = jobs.owner and open.is_due
                 and open.state in ('queued', 'placed', 'running')),
        cancel_requested = false, recall_requested = false, recalls = 0, prompt_id = null, backend = null,
        placement = null, progress = null, error = null, error_detail = null, started_at = null, ended_at = null,
        began_at = null, expected_at = null, promised_at = null, status_message_id = null, unique_key = null,
        is_hook_owed = false
    where id = %(job_id)s returning chat_id
"""


async def dead(connection: AsyncConnection, command: str | None, *, limit: int) -> list[int]:
    """The dead letters of one command, or of all, oldest first."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(
            """select id from jobs where state = 'dead' and (%(command)s::text is null or command = %(command)s)
               order by id limit %(limit)s""",
            {"command": command, "limit": limit},
        )
        return await cursor.fetchall()


async def replay(connection: AsyncConnection, job_id: int) -> Replayed:
    """Put a failed or dead job back into the queue, behind what its user has waiting, with fresh tries.

    'queued', or why it was left alone. Its command must be offered still, and its pictures must not have expired. The
    chat gets a status message again.
    """
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute("select owner from jobs where id = %s", (job_id,))
        owner: int | None = await cursor.fetchone()
        if owner is not None:
            await admission.lock_owner(connection, owner)
        await cursor.execute(MAY_REPLAY, (job_id,))
        verdict: Replayed | None = await cursor.fetchone()
    if verdict != "queued":
        return verdict or "not there"
    values = {"job_id": job_id, "turn_seconds": TURN_SECONDS, "priority_seconds": PRIORITY_SECONDS}
    (chat_id,) = await (await connection.execute(REPLAY, values)).fetchone()  # type: ignore[misc]  # the row is locked
    for statement in (
        "delete from deliveries where job_id = %s and kind in ('status', 'failure', 'result')",
        "delete from attempts where job_id = %s",
        "update artifacts set job_id = null where job_id = %s",  # of a result that its chat did not take
    ):
        await connection.execute(statement, (job_id,))
    await callbacks.reopen(connection, job_id)
    await events.record(connection, job_id, "queued", {"replayed": True})
    if chat_id is not None:
        await deliveries.owe(connection, chat_id, "status", {}, job_id, is_woken=False)
    return "queued"


async def take_untold(connection: AsyncConnection, limit: int = 100) -> Sequence[Job]:
    """Jobs that ended with no worker at hand, of whose end their plugins have not been told; they count as told now."""
    async with connection.cursor(row_factory=class_row(Job)) as cursor:
        await cursor.execute(
            f"""update jobs set is_hook_owed = false
                where id in (select id from jobs where is_hook_owed order by id limit %s for update skip locked)
                returning {COLUMNS}""",
            (limit,),
        )
        return await cursor.fetchall()
