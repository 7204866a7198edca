"""Updates as Telegram sent them: stored before they are acknowledged, then taken one by one in their chat's order."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from psycopg import AsyncConnection, sql
from psycopg.rows import class_row, scalar_row

ORDER_LOCK = 0x7665  # first key of the advisory locks that keep a chat's order

Lane: TypeAlias = tuple[int, int | None]
"""(bot id, order key): updates of one lane take effect one after the other."""


class LaneBusy(Exception):
    """Another process runs an update of this lane right now: look again in a moment."""


@dataclass(frozen=True, slots=True)
class StoredUpdate:
    """One raw update. order_key: chat id of a message, user id of a callback; None if it names neither."""

    bot_id: int
    update_id: int
    order_key: int | None
    body: bytes = field(repr=False)

    @property
    def lane(self) -> Lane:
        """In whose order it takes effect."""
        return self.bot_id, self.order_key


STORE = sql.SQL("""
    insert into updates (bot_id, update_id, order_key, body)
    select * from unnest(%b::bigint[], %b::bigint[], %b::bigint[], %b::bytea[])
    on conflict do nothing returning bot_id, update_id
""")


async def store(connection: AsyncConnection, updates: Sequence[StoredUpdate]) -> set[tuple[int, int]]:
    """Insert a batch in one statement. (bot id, update id) of those that were not known yet."""
    columns = (
        [update.bot_id for update in updates],
        [update.update_id for update in updates],
        [update.order_key for update in updates],
        [update.body for update in updates],
    )
    cursor = await connection.execute(STORE, columns)
    return {(bot_id, update_id) async for bot_id, update_id in cursor}


async def take(connection: AsyncConnection, lane: Lane) -> StoredUpdate | None:
    """The oldest pending update of the lane, which is held until the transaction ends; None if nothing is pending.

    In pipeline mode this takes one round trip: the second statement sees all that was committed before the lock.

    Raises: LaneBusy.
    """
    bot_id, order_key = lane
    async with (
        connection.cursor(row_factory=scalar_row) as lock,
        connection.cursor(row_factory=class_row(StoredUpdate), binary=True) as updates,
    ):
        await lock.execute(
            "select pg_try_advisory_xact_lock(%s, hashint8(coalesce(%s::bigint, 0)))", (ORDER_LOCK, order_key)
        )
        await updates.execute(
            """select bot_id, update_id, order_key, body from updates
               where bot_id = %s and order_key is not distinct from %s and state = 'pending'
               order by update_id limit 1""",
            (bot_id, order_key),
        )
        if not await lock.fetchone():
            raise LaneBusy
        return await updates.fetchone()


async def mark_done(connection: AsyncConnection, update: StoredUpdate) -> None:
    """It took effect: its number is kept for deduplication, its content is not."""
    await connection.execute(
        "update updates set state = 'done', body = '', ended_at = now() where bot_id = %s and update_id = %s",
        (update.bot_id, update.update_id),
    )


async def count_failure(connection: AsyncConnection, update: StoredUpdate, error: str, *, most: int) -> bool:
    """Note that it failed. True if it is set aside now, after `most` tries; its lane goes on without it."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(
            """update updates set attempts = attempts + 1, error = %(error)s,
                   state = case when attempts + 1 >= %(most)s then 'failed' else state end,
                   ended_at = case when attempts + 1 >= %(most)s then now() else ended_at end
               where bot_id = %(bot_id)s and update_id = %(update_id)s and state = 'pending' returning state""",
            {"error": error, "most": most, "bot_id": update.bot_id, "update_id": update.update_id},
        )
        state: str | None = await cursor.fetchone()
        return state == "failed"


async def pending_lanes(connection: AsyncConnection, older_than_seconds: float, limit: int = 1000) -> list[Lane]:
    """Lanes with an update that waits longer than it should: what a crash or a lost handover left behind."""
    cursor = await connection.execute(
        """select bot_id, order_key from updates
           where state = 'pending' and received_at < now() - make_interval(secs => %s)
           group by bot_id, order_key order by min(received_at) limit %s""",
        (older_than_seconds, limit),
    )
    return [(bot_id, order_key) async for bot_id, order_key in cursor]
