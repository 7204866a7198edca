"""Connections: a pool for each event loop, and a connection of its own for notifications."""

import asyncio
import contextlib
import json
import select
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import psycopg
import structlog
from psycopg import AsyncConnection, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from db.errors import DatabaseAway

log = structlog.get_logger("veilrun.db")

Pool: TypeAlias = AsyncConnectionPool[AsyncConnection]
AWAY = (psycopg.OperationalError, psycopg.errors.ReadOnlySqlTransaction, PoolTimeout)
"""What a database that does not serve raises: it does not answer, or is a standby until another one takes over."""

LIMIT_EXCEEDED = "54"
"""Class of SQLSTATE: the statement is too large or too complex. To psycopg that is an operational error as well."""

LISTEN_RETRY_SECONDS = 1.0

PATIENCE = {
    "connect_timeout": "5",  # seconds
    # A server that vanished without a word is noticed after about 20 s; by default it takes two hours.
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "2",
    "tcp_user_timeout": "20000",  # milliseconds
}


LOSS = """
    select set_config('tcp_keepalives_idle', '10', false), set_config('tcp_keepalives_interval', '5', false),
        set_config('tcp_keepalives_count', '4', false), set_config('tcp_user_timeout', '30000', false)
"""


def named(dsn: str, name: str) -> str:
    """The address with `name` for pg_stat_activity, and with timeouts where it says nothing about them itself."""
    return make_conninfo("", **{**PATIENCE, **conninfo_to_dict(dsn), "application_name": f"veilrun-{name}"})


@contextlib.asynccontextmanager
async def open_pool(dsn: str, name: str, *, most: int = 16) -> AsyncIterator[Pool]:
    """A pool of at most `most` connections for the running event loop; `name` shows in pg_stat_activity.

    A connection is a transaction: it commits when its `async with` ends well, and rolls back when it does not.
    """
    pool: Pool = AsyncConnectionPool(
        named(dsn, name),
        min_size=1,
        max_size=most,
        open=False,
        timeout=10.0,
        reconnect_timeout=5.0,
        configure=notice_loss,
        check=_check,
    )
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close()


async def notice_loss(connection: AsyncConnection) -> None:
    """Let the server find out within half a minute that this whole machine is gone, and let go of what the connection
    holds: the lock of the scheduler, above all, for which everybody waits. By default it takes two hours.
    """
    await connection.execute(LOSS)
    await connection.commit()


def is_away(error: BaseException) -> bool:
    """Whether the server does not serve now, rather than that it will not run this statement."""
    if not isinstance(error, AWAY) or isinstance(error, psycopg.errors.PipelineAborted):
        return False
    state = error.sqlstate if isinstance(error, psycopg.Error) else None
    return state is None or not state.startswith(LIMIT_EXCEEDED)


async def _check(connection: AsyncConnection) -> None:
    """Fail if the server ended the connection while it was idle. Costs no round trip: then the server has spoken."""
    socket = select.poll()
    socket.register(connection.fileno(), select.POLLIN)
    if socket.poll(0):
        await AsyncConnectionPool.check_connection(connection)


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
            async with await AsyncConnection.connect(named(dsn, "listen"), autocommit=True) as connection:
                await connection.execute(sql.SQL("listen {}").format(sql.Identifier(channel)))
                yield None
                async for notification in connection.notifies():
                    try:
                        found = json.loads(notification.payload)
                    except ValueError:
                        log.warning("notification is not JSON, left out", channel=channel)
                        continue
                    yield found
        except AWAY as error:
            log.warning("notifications lost, connecting again", channel=channel, error=type(error).__name__)
            await asyncio.sleep(LISTEN_RETRY_SECONDS)
