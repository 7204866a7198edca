"""Chats and the sessions in them."""

from datetime import datetime

from psycopg import AsyncConnection
from psycopg.rows import scalar_row


async def see(connection: AsyncConnection, chat_id: int, kind: str, language: str | None) -> None:
    """The chat wrote to us: it exists, and it does not block us (any more)."""
    await connection.execute(
        """insert into chats (chat_id, kind, language) values (%s, %s, %s)
           on conflict (chat_id) do update set kind = excluded.kind, seen_at = now(), blocked_at = null,
               language = coalesce(excluded.language, chats.language)""",
        (chat_id, kind, language),
    )


async def block(connection: AsyncConnection, chat_id: int) -> None:
    """The user blocked the bot, or it was removed from the group: nothing more is owed to this chat."""
    await connection.execute("update chats set blocked_at = now() where chat_id = %s", (chat_id,))
    await connection.execute(
        """update deliveries set state = 'dropped', error = 'blocked', ended_at = now()
           where chat_id = %s and state = 'pending'""",
        (chat_id,),
    )


async def open_jobs(connection: AsyncConnection, chat_id: int) -> list[int]:
    """Ids of the chat's jobs that are not over."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(
            "select id from jobs where chat_id = %s and state in ('queued', 'placed', 'running') order by id",
            (chat_id,),
        )
        return await cursor.fetchall()


async def hush(connection: AsyncConnection, chat_id: int, seconds: float) -> None:
    """Telegram answered 429: send nothing to this chat for so long."""
    await connection.execute(
        """update chats set quiet_until = greatest(quiet_until, now() + make_interval(secs => %s))
           where chat_id = %s""",
        (seconds, chat_id),
    )


async def quiet_seconds(connection: AsyncConnection, chat_id: int) -> float:
    """How long nothing may be sent to this chat; 0 = send."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(
            """select extract(epoch from quiet_until - now())::float8 from chats
               where chat_id = %s and quiet_until > now()""",
            (chat_id,),
        )
        seconds: float | None = await cursor.fetchone()
        return seconds or 0.0


async def refuse(connection: AsyncConnection, chat_id: int) -> bool:
    """True if this chat is to be told that it has no access: at most once an hour."""
    cursor = await connection.execute(
        """update chats set refused_at = now()
           where chat_id = %s and (refused_at is null or refused_at < now() - interval '1 hour') returning chat_id""",
        (chat_id,),
    )
    return await cursor.fetchone() is not None  # in pipeline mode there is no rowcount yet


async def migrate(connection: AsyncConnection, old: int, new: int) -> None:
    """A group became a supergroup: what is owed to it, and what it remembers, moves to the new id.

    Message ids do not: the supergroup counts its own, so nothing may be answered or edited by the old ones.
    """
    await connection.execute(
        """insert into chats (chat_id, kind, language, settings)
           select %s, 'supergroup', language, settings from chats where chat_id = %s on conflict do nothing""",
        (new, old),
    )
    moved = {"new": new, "old": old}
    for statement in (
        "update deliveries set chat_id = %(new)s, payload = payload - 'reply_to' where chat_id = %(old)s",
        """update jobs set chat_id = %(new)s, message_id = null, status_message_id = null
           where chat_id = %(old)s""",
        "update artifacts set chat_id = %(new)s, message_id = null where chat_id = %(old)s",
    ):
        await connection.execute(statement, moved)
    await connection.execute(
        """update sessions set chat_id = %(new)s where chat_id = %(old)s and not exists
               (select from sessions as newer where newer.chat_id = %(new)s and newer.user_id = sessions.user_id)""",
        moved,
    )


async def last_artifact(connection: AsyncConnection, chat_id: int, user_id: int) -> int | None:
    """The user's last result in this chat, if it has not expired."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(
            "select last_artifact_id from sessions where chat_id = %s and user_id = %s", (chat_id, user_id)
        )
        found: int | None = await cursor.fetchone()
        return found


async def remember(connection: AsyncConnection, chat_id: int, user_id: int, artifact_id: int) -> None:
    """The user's last result in this chat is this one."""
    await connection.execute(
        """insert into sessions (chat_id, user_id, last_artifact_id) values (%s, %s, %s)
           on conflict (chat_id, user_id) do update
               set last_artifact_id = excluded.last_artifact_id, updated_at = now()""",
        (chat_id, user_id, artifact_id),
    )


async def is_blocked(connection: AsyncConnection, chat_id: int) -> datetime | None:
    """When the chat blocked the bot, or None if it did not."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute("select blocked_at from chats where chat_id = %s", (chat_id,))
        found: datetime | None = await cursor.fetchone()
        return found
