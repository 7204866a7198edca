"""Result webhooks that are owed: open until they were delivered or given up, each try in the log.

At least once: who takes one moves its `run_at` ahead first, and if the sender dies it comes up again by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from psycopg import AsyncConnection
from psycopg.rows import class_row, scalar_row


@dataclass(frozen=True, slots=True)
class Callback:
    """One that this process is to send. message_id: the same in every try; attempts: this one included.

    url: may hold a secret of its owner's, never log it.
    """

    id: int
    job_id: int
    message_id: str
    attempts: int
    url: str = field(repr=False)
    signing_secret: bytes = field(repr=False)


async def owe(connection: AsyncConnection, job_id: int, token_id: int, url: str, message_id: str) -> None:
    """Have `url` told when the job is over."""
    await connection.execute(
        "insert into callbacks (job_id, token_id, url, message_id) values (%s, %s, %s, %s)",
        (job_id, token_id, url, message_id),
    )


async def reopen(connection: AsyncConnection, job_id: int) -> None:
    """The job goes on after its end: its next end is told too, as a message of its own."""
    await connection.execute(
        """update callbacks set state = 'open', attempts = 0, run_at = now(), ended_at = null,
               message_id = 'msg_' || replace(gen_random_uuid()::text, '-', '')
           where job_id = %s""",
        (job_id,),
    )
    await connection.execute(
        "delete from callback_tries using callbacks where callbacks.id = callback_id and job_id = %s", (job_id,)
    )


CLAIM = """
    with taken as (
        update callbacks set attempts = attempts + 1, run_at = now() + make_interval(secs => %(seconds)s)
        where id in (select callbacks.id from callbacks join jobs on jobs.id = job_id
                     where callbacks.state = 'open' and callbacks.run_at <= now()
                       and jobs.state not in ('queued', 'placed', 'running')
                     order by callbacks.run_at limit %(limit)s for update of callbacks skip locked)
        returning id, job_id, token_id, message_id, attempts, url)
    select taken.id, job_id, message_id, attempts, url, signing_secret from taken join tokens on tokens.id = token_id
"""


async def claim(connection: AsyncConnection, seconds: float, limit: int) -> list[Callback]:
    """Take those that are to be sent now; each comes up again after so many seconds unless it is settled by then."""
    async with connection.cursor(row_factory=class_row(Callback)) as cursor:
        await cursor.execute(CLAIM, {"seconds": seconds, "limit": limit})
        return await cursor.fetchall()


async def next_in_seconds(connection: AsyncConnection) -> float | None:
    """Until the next try of a job that is over; None: there is none."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(
            """select extract(epoch from min(callbacks.run_at) - now())::float8
               from callbacks join jobs on jobs.id = job_id
               where callbacks.state = 'open' and jobs.state not in ('queued', 'placed', 'running')"""
        )
        found: float | None = await cursor.fetchone()
        return found


@dataclass(frozen=True, slots=True)
class Try:
    """What came of one: the status that was answered, or the class of what went wrong; how long it took."""

    status: int | None
    error: str | None
    seconds: float


async def settle(
    connection: AsyncConnection,
    callback: Callback,
    tried: Try,
    state: Literal["open", "delivered", "failed"],
    pause_seconds: float = 0.0,
) -> None:
    """Write down what came of a try. 'open': once more after the pause. One that was taken by another since, when this
    process was thought dead, is left to that one unless this try has delivered it."""
    await connection.execute(
        """insert into callback_tries (callback_id, number, status, error, seconds)
           select id, %s, %s, %s, %s from callbacks where id = %s and message_id = %s on conflict do nothing""",
        (callback.attempts, tried.status, tried.error, tried.seconds, callback.id, callback.message_id),
    )
    await connection.execute(
        """update callbacks set state = %(state)s, run_at = now() + make_interval(secs => %(pause)s),
               ended_at = case when %(state)s <> 'open' then now() end
           where id = %(id)s and message_id = %(message)s and state = 'open'
             and (attempts = %(attempts)s or %(state)s = 'delivered')""",
        {
            "state": state,
            "pause": pause_seconds,
            "id": callback.id,
            "message": callback.message_id,
            "attempts": callback.attempts,
        },
    )


async def drop(connection: AsyncConnection, token_id: int) -> None:
    """Send none of the token's any more."""
    await connection.execute(
        "update callbacks set state = 'failed', ended_at = now() where token_id = %s and state = 'open'", (token_id,)
    )


@dataclass(frozen=True, slots=True)
class Logged:
    """A line of the log: one try, or a webhook that was not tried yet (number 0). url: as for Callback."""

    job_id: int
    token: str
    state: str
    number: int
    at: datetime | None
    status: int | None
    error: str | None
    seconds: float | None
    next_at: datetime | None
    url: str = field(repr=False)


async def log(connection: AsyncConnection, *, state: str | None, limit: int) -> Sequence[Logged]:
    """The tries of all webhooks that are kept, newest first. state: open, delivered or failed; None = any."""
    async with connection.cursor(row_factory=class_row(Logged)) as cursor:
        await cursor.execute(
            """select job_id, tokens.name as token, callbacks.state, coalesce(number, 0) as number, at, status, error,
                   seconds, case when callbacks.state = 'open' then run_at end as next_at, url
               from callbacks join tokens on tokens.id = token_id left join callback_tries on callback_id = callbacks.id
               where %(state)s::text is null or callbacks.state = %(state)s
               order by coalesce(at, callbacks.created_at) desc, callbacks.id desc, number desc limit %(limit)s""",
            {"state": state, "limit": limit},
        )
        return await cursor.fetchall()
