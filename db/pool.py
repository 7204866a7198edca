"""Connections: a pool for each event loop, and a connection of its own for notifications."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import psycopg
import structlog
from psycopg import AsyncConnection, sql
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from db.errors import DatabaseAway

log = structlog.get_logger("veilrun.db")

Pool: TypeAlias = AsyncConnectionPool[AsyncConnection]
AWAY = (psycopg.OperationalError, PoolTimeout)
"""What a database that does not answer raises."""

LIMIT_EXCEEDED = "54"
"""Class of SQLSTATE: the statement is too large or too complex. To psycopg that is an operational error as well."""

LISTEN_RETRY_SECONDS = 1.0


@contextlib.asynccontextmanager
async def open_pool(dsn: str, name: str, *, most: int = 16) -> AsyncIterator[Pool]:
    """A pool of at most `most` connections for the running event loop; `name` shows in pg_stat_activity.

    A connection is a transaction: it commits when its `async with` ends well, and rolls back when it does not.
    """
    pool: Pool = AsyncConnectionPool(
        dsn,
        min_size=1,
        max_size=most,
        open=False,
        timeout=10.0,
        kwargs={"application_name": f"veilrun-{name}", "connect_timeout": 5},
        reconnect_timeout=5.0,
    )
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close()


def is_away(error: BaseException) -> bool:
    """Whether the server does not serve now, rather than that it will not run this statement."""
    if not isinstance(error, AWAY) or isinstance(error, psycopg.errors.PipelineAborted):
        return False
    state = error.sqlstate if isinstance(error, psycopg.Error) else None
    return state is None or not state.startswith(LIMIT_EXCEEDED)


@contextlib.asynccontextmanager
async def reaching_database() -> AsyncIterator[None]:
    """Turn what psycopg raises when the server is away into DatabaseAway."""
    try:
        yield
    except AWAY as error:
        raise DatabaseAway(f"the database does not answer ({type(error).__name__})") from error


async def listen(dsn: str, channel: str) -> AsyncIterator[dict[str, Any] | None]:
    """JSON notifications of `channel`, on a connection of their own that comes back when it breaks.

    Yields None after every (re)connection: notifications may have been missed, so read what matters from the tables.
    """
    while True:
        try:
            async with await AsyncConnection.connect(
                dsn, autocommit=True, application_name="veilrun-listen"
            ) as connection:
                await connection.execute(sql.SQL("listen {}").format(sql.Identifier(channel)))
                yield None
                async for notification in connection.notifies():
                    yield json.loads(notification.payload)
        except psycopg.OperationalError as error:
            log.warning("notifications lost, connecting again", channel=channel, error=type(error).__name__)
            await asyncio.sleep(LISTEN_RETRY_SECONDS)
