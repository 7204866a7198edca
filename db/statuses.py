"""The one status message of each job: which are in chats, what they are to say, and who may edit them."""

import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import class_row

from db.events import CHANNEL
from db.jobs import BUCKETS, COUNTED, State
from db.pool import notice_loss

LEADER = 0x7665696C_0002  # any fixed number: one editor at a time
_EDIT = 0x766557 << 40  # plus the job's id: one edit of a status message at a time


@dataclass(frozen=True, slots=True)
class Shown:
    """A job whose status message is in a chat. position: as `db.jobs.position`, None if it does not wait."""

    job_id: int
    chat_id: int
    state: State
    position: int | None


LINE = f"""{BUCKETS},
    line as (
        select first.id, row_number() over (order by rank_at, first.id) as position
        from buckets cross join lateral (
            select id, rank_at from jobs where state = 'queued' and is_due and jobs.bucket = buckets.bucket
            order by rank_at, id limit %(counted)s) as first
        order by position limit %(counted)s)
"""
WATCHED = f"""{LINE}
    select jobs.id as job_id, chat_id, state,
        case when state = 'queued' and is_due then coalesce(position, %(counted)s + 1) end as position
    from jobs left join line using (id)
    where status_message_id is not null and chat_id is not null
      and (state in ('queued', 'placed', 'running')
           or state in ('delivered', 'cancelled') and ended_at > now() - interval '47 hours')
"""


async def watched(connection: AsyncConnection) -> list[Shown]:
    """Every job whose status message is to be kept true, or taken away because the job is over.

    Telegram lets a bot delete what is at most 48 hours old.
    """
    async with connection.cursor(row_factory=class_row(Shown)) as cursor:
        await cursor.execute(WATCHED, {"counted": COUNTED})
        return await cursor.fetchall()


async def positions(connection: AsyncConnection) -> Mapping[int, int]:
    """Job id -> place in the queue, 1 = next, of the jobs with a status message among the first COUNTED."""
    cursor = await connection.execute(
        f"{LINE} select id, position from line join jobs using (id) where status_message_id is not null",
        {"counted": COUNTED},
    )
    return {job_id: position async for job_id, position in cursor}


async def promise(connection: AsyncConnection, job_id: int, expected_at: datetime) -> None:
    """A chat was told when the job will be done. Only the first figure that it was told is kept."""
    await connection.execute(
        "update jobs set promised_at = %s where id = %s and promised_at is null", (expected_at, job_id)
    )


async def lock_edit(connection: AsyncConnection, job_id: int) -> None:
    """Let nobody else edit the job's status message until this transaction ends."""
    await connection.execute("select pg_advisory_xact_lock(%s)", (_EDIT + job_id,))


async def lead(dsn: str) -> AsyncGenerator[dict[str, Any] | None, None]:
    """Wait until this process is the one editor; then yield None, and from then on what happens to jobs.

    The lead is held by a connection: it passes on at once when this process ends, however it ends. The server notices
    within half a minute when the whole machine is gone.

    Raises: psycopg.OperationalError when the lead is lost.
    """
    async with await AsyncConnection.connect(dsn, autocommit=True, application_name="veilrun-status") as connection:
        await notice_loss(connection)
        await connection.execute(f"listen {CHANNEL}")
        await connection.execute("select pg_advisory_lock(%s)", (LEADER,))
        yield None
        async for notification in connection.notifies():
            yield json.loads(notification.payload)
    raise psycopg.OperationalError("the connection that holds the lead is closed")


async def announce(
    connection: AsyncConnection, job_id: int, chat_id: int, said: str, changes_in: float | None = None
) -> None:
    """Tell the editor that this job's status message is in the chat from now on, what it says, and for how many seconds
    that is true; None = until something happens."""
    payload = json.dumps({"job": job_id, "kind": "status", "chat": chat_id, "said": said, "changes_in": changes_in})
    await connection.execute("select pg_notify(%s, %s)", (CHANNEL, payload))
