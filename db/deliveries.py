"""Messages owed to chats: pending -> sending -> sent, or `unknown` when a crash hid the outcome.

Telegram takes no idempotency key, so a send whose outcome is unknown is flagged and never repeated blindly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

from psycopg import AsyncConnection
from psycopg.rows import class_row, scalar_row
from psycopg.types.json import Jsonb

Kind: TypeAlias = Literal["notice", "status", "result", "failure", "original"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """A row of `deliveries` that this process is to send. `payload` may hold words of the user: never log it.

    message_ids: what an earlier try has put into the chat already (part of an album too large for one message).
    """

    id: int
    chat_id: int
    job_id: int | None
    kind: Kind
    attempts: int
    created_at: datetime
    message_ids: Sequence[int]
    payload: Mapping[str, Any] = field(repr=False)


async def owe(
    connection: AsyncConnection,
    chat_id: int,
    kind: Kind,
    payload: Mapping[str, Any],
    job_id: int | None = None,
    *,
    is_woken: bool = True,
) -> int | None:
    """Owe the chat a message. Its id, or None if this job owes one of this kind already.

    is_woken: the caller tells a sender as soon as it has committed; else the next sweep does.
    """
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(
            """insert into deliveries (chat_id, job_id, kind, payload, woken_at)
               values (%s, %s, %s, %s, case when %s then now() end) on conflict do nothing returning id""",
            (chat_id, job_id, kind, Jsonb(dict(payload)), is_woken),
        )
        delivery_id: int | None = await cursor.fetchone()
        return delivery_id


COLUMNS = "id, chat_id, job_id, kind, attempts, created_at, message_ids, payload"

CLAIM = f"""
    update deliveries set state = 'sending', attempts = attempts + 1,
        lease_until = now() + make_interval(secs => %(seconds)s)
    where id = (select deliveries.id from deliveries left join chats using (chat_id)
                where deliveries.id = %(id)s and state = 'pending' and run_at <= now()
                  and (quiet_until is null or quiet_until <= now())
                for update of deliveries skip locked)
    returning {COLUMNS}
"""


async def claim(connection: AsyncConnection, delivery_id: int, seconds: float) -> Delivery | None:
    """Take the message to send it; None if somebody else has it, it is over, or its chat is to be left in peace."""
    async with connection.cursor(row_factory=class_row(Delivery)) as cursor:
        await cursor.execute(CLAIM, {"id": delivery_id, "seconds": seconds})
        return await cursor.fetchone()


async def defer(connection: AsyncConnection, delivery_id: int) -> None:
    """If the chat is to be left in peace for now, have the message come up again as soon as that is over."""
    await connection.execute(
        """update deliveries set run_at = quiet_until, woken_at = null from chats
           where deliveries.id = %s and state = 'pending' and chats.chat_id = deliveries.chat_id
             and quiet_until > now()""",
        (delivery_id,),
    )


async def hold(connection: AsyncConnection, delivery_id: int, seconds: float) -> None:
    """Extend the time this process has for sending (a large upload)."""
    await connection.execute(
        """update deliveries set lease_until = now() + make_interval(secs => %s) where id = %s and state = 'sending'""",
        (seconds, delivery_id),
    )


async def sent(connection: AsyncConnection, delivery_id: int, message_ids: Sequence[int]) -> None:
    """It is in the chat, as these messages. Also settles one that was flagged `unknown` meanwhile."""
    await connection.execute(
        """update deliveries set state = 'sent', message_ids = %s, error = null, ended_at = now(), lease_until = null,
               payload = '{}' where id = %s and state in ('sending', 'unknown')""",
        (list(message_ids), delivery_id),
    )


async def note(connection: AsyncConnection, delivery_id: int, message_ids: Sequence[int]) -> None:
    """A part of it is in the chat, as these messages; the rest is still to be sent."""
    await connection.execute(
        "update deliveries set message_ids = %s where id = %s and state = 'sending'", (list(message_ids), delivery_id)
    )


async def reopen(connection: AsyncConnection, delivery_id: int, chat_id: int) -> bool:
    """Send it again, as somebody in its chat asked for. False unless its outcome is unknown."""
    cursor = await connection.execute(
        """update deliveries set state = 'pending', run_at = now(), woken_at = now(), error = null, ended_at = null
           where id = %s and chat_id = %s and state = 'unknown' returning id""",
        (delivery_id, chat_id),
    )
    return await cursor.fetchone() is not None  # in pipeline mode there is no rowcount yet


async def postpone(connection: AsyncConnection, delivery_id: int, delay_seconds: float, error: str) -> None:
    """It was surely not sent: try again later."""
    await connection.execute(
        """update deliveries set state = 'pending', run_at = now() + make_interval(secs => %s), error = %s,
               lease_until = null, woken_at = null where id = %s and state = 'sending'""",
        (delay_seconds, error, delivery_id),
    )


async def settle(
    connection: AsyncConnection, delivery_id: int, state: Literal["unknown", "failed", "dropped"], error: str
) -> None:
    """It will not be tried again: outcome unknown, refused for good, or not wanted any more."""
    await connection.execute(
        "update deliveries set state = %s, error = %s, ended_at = now(), lease_until = null where id = %s",
        (state, error, delivery_id),
    )


async def flag_lost(connection: AsyncConnection, limit: int = 100) -> list[Delivery]:
    """Flag as `unknown` what a crashed process was sending; these are returned so that the chat can be asked."""
    async with connection.cursor(row_factory=class_row(Delivery)) as cursor:
        await cursor.execute(
            f"""update deliveries set state = 'unknown', error = 'SenderLost', ended_at = now(), lease_until = null
               where id in (select id from deliveries where state = 'sending' and lease_until < now()
                            limit %s for update skip locked)
               returning {COLUMNS}""",
            (limit,),
        )
        return await cursor.fetchall()


async def due(connection: AsyncConnection, stale_seconds: float, limit: int = 100) -> list[tuple[int, Kind]]:
    """(id, kind) of pending messages that nobody was told of, or so long ago that it seems lost; marked as told now."""
    cursor = await connection.execute(
        """update deliveries set woken_at = now()
           where id in (select deliveries.id from deliveries left join chats using (chat_id)
                        where state = 'pending' and run_at <= now() and (quiet_until is null or quiet_until <= now())
                          and (woken_at is null or woken_at < now() - make_interval(secs => %s))
                        order by run_at limit %s for update of deliveries skip locked)
           returning id, kind""",
        (stale_seconds, limit),
    )
    return [(delivery_id, kind) async for delivery_id, kind in cursor]


async def not_woken(connection: AsyncConnection, delivery_ids: Sequence[int]) -> None:
    """Nobody could be told of these messages: let the next sweep that can try at once."""
    await connection.execute(
        "update deliveries set woken_at = null where id = any(%s) and state = 'pending'", (list(delivery_ids),)
    )


async def of_job(connection: AsyncConnection, job_id: int, kind: Kind) -> tuple[str, Sequence[int]] | None:
    """(state, message ids) of the job's newest message of this kind, or None."""
    cursor = await connection.execute(
        "select state, message_ids from deliveries where job_id = %s and kind = %s order by id desc limit 1",
        (job_id, kind),
    )
    return await cursor.fetchone()
