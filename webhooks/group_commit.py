"""Durable writes that share a commit: what arrives while one commit is in flight makes the next batch. No timer."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

import psycopg
import structlog
from psycopg import AsyncConnection

from db.errors import DatabaseAway
from db.updates import StoredUpdate, store
from runtime import metrics

log = structlog.get_logger("veilrun.receiver")

BATCH = 500  # rows in one statement
WAITING = 10_000  # updates in memory that wait for their commit; more are refused, so that Telegram holds them
RECONNECT_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)


class GroupCommit:
    """One writer with a connection of its own. `on_stored` gets what was new, in order, after each commit."""

    def __init__(self, dsn: str, on_stored: Callable[[Sequence[StoredUpdate]], None]) -> None:
        self._dsn = dsn
        self._on_stored = on_stored
        self._waiting: list[tuple[StoredUpdate, asyncio.Future[None]]] = []
        self._arrived = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._connection: AsyncConnection | None = None

    @property
    def is_connected(self) -> bool:
        """Whether the database took the last batch, or would take the next."""
        return self._connection is not None and not self._connection.broken

    async def start(self) -> None:
        """Begin to write; returns when the first connection is tried."""
        with contextlib.suppress(psycopg.OperationalError):
            await self._connect()
        self._task = asyncio.create_task(self._write(), name="group-commit")

    async def stop(self) -> None:
        """Write what waits, then end."""
        if self._task:
            while self._waiting:
                await asyncio.wait([self._waiting[-1][1]])
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._connection:
            await self._connection.close()

    def store(self, update: StoredUpdate) -> "asyncio.Future[None]":
        """Done when the update is durable; fails with DatabaseAway when it may not be.

        Raises: DatabaseAway at once when too much waits already.
        """
        if len(self._waiting) >= WAITING or self._task is None:
            raise DatabaseAway("too many updates wait for the database")
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((update, stored))
        self._arrived.set()
        return stored

    async def _write(self) -> None:
        failures = 0
        while True:
            await self._arrived.wait()
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            if not self._waiting:
                self._arrived.clear()
            try:
                connection = self._connection if self.is_connected else await self._connect()
                assert connection is not None
                await self._commit(connection, batch)
                failures = 0
            except psycopg.OperationalError as error:
                log.warning("the database is away, updates are left to Telegram", error=type(error).__name__)
                _refuse(batch, DatabaseAway("the database does not answer"))
                await asyncio.sleep(RECONNECT_SECONDS[min(failures, len(RECONNECT_SECONDS) - 1)])
                failures += 1

    async def _connect(self) -> AsyncConnection:
        if self._connection:
            await self._connection.close()
            self._connection = None
        self._connection = await AsyncConnection.connect(
            self._dsn, autocommit=True, connect_timeout=5, application_name="veilrun-receiver"
        )
        return self._connection

    async def _commit(
        self, connection: AsyncConnection, batch: list[tuple[StoredUpdate, "asyncio.Future[None]"]]
    ) -> None:
        try:
            new = await store(connection, [update for update, _ in batch])
        except psycopg.DataError as error:
            if len(batch) == 1:
                _refuse(batch, error)
                return
            for one in batch:  # a row that the database does not take must not take the others with it
                await self._commit(connection, [one])
            return
        metrics.commit_batch.observe(len(batch))
        fresh: list[StoredUpdate] = []
        for update, stored in batch:
            key = (update.bot_id, update.update_id)
            if key in new:
                new.discard(key)
                fresh.append(update)
            if not stored.done():
                stored.set_result(None)
        if fresh:
            self._on_stored(fresh)


def _refuse(batch: list[tuple[StoredUpdate, "asyncio.Future[None]"]], error: Exception) -> None:
    for _, stored in batch:
        if not stored.done():
            stored.set_exception(error)
