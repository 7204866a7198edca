"""The one status message of each job: which are in chats, what they are to say, and who may edit them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from psycopg import AsyncConnection
from psycopg.rows import class_row, scalar_row

from db.events import CHANNEL
from db.jobs import State

LEADER = 0x7665696C_0002  # any fixed number: one editor at a time
_EDIT = 0x766557 << 40  # plus the job's id: one edit of a status message at a time


@dataclass(frozen=True, slots=True)
class Shown:
    """A job whose status message is in a chat. position: place in the queue, 1 = next; None if it does not wait."""

    job_id: int
    chat_id: int
    state: State
    position: int | None


WATCHED = """
    with line as (select id, row_number() over (order by priority desc, run_at, id) as position
                  from jobs where state = 'queued')
    select jobs.id as job_id, chat_id, state, position from jobs left join line using (id)
    where status_message_id is not null and chat_id is not null
      and (state in ('queued', 'placed', 'running')
           or state in ('delivered', 'cancelled') and ended_at > now() - interval '47 hours')
"""


async def watched(connection: AsyncConnection) -> list[Shown]:
    """Every job whose status message is to be kept true, or taken away because the job is over.

    Telegram lets a bot delete what is at most 48 hours old.
    """
    async with connection.cursor(row_factory=class_row(Shown)) as cursor:
        await cursor.execute(WATCHED)
        return await cursor.fetchall()


async def positions(connection: AsyncConnection) -> Mapping[int, int]:
    """Job id -> place in the queue, 1 = next, of every waiting job with a status message."""
    cursor = await connection.execute(
        """select id, position
           from (select id, status_message_id, row_number() over (order by priority desc, run_at, id) as position
                 from jobs where state = 'queued') as line
           where status_message_id is not null"""
    )
    return {job_id: position async for job_id, position in cursor}


async def lock_edit(connection: AsyncConnection, job_id: int) -> None:
    """Let nobody else edit the job's status message until this transaction ends."""
    await connection.execute("select pg_advisory_xact_lock(%s)", (_EDIT + job_id,))


async def take_lead(connection: AsyncConnection) -> bool:
    """Become the one editor for as long as this connection lives; False if there is one."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute("select pg_try_advisory_lock(%s)", (LEADER,))
        return bool(await cursor.fetchone())


async def announce(connection: AsyncConnection, job_id: int) -> None:
    """Tell the editor that this job's status message is in the chat from now on."""
    payload = json.dumps({"job": job_id, "kind": "status"})
    await connection.execute("select pg_notify(%s, %s)", (CHANNEL, payload))
