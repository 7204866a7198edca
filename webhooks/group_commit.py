"""Durable writes that share a commit: what arrives while one commit is in flight makes the next batch. No timer."""

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Sequence
from typing import TypeAlias

import psycopg
import structlog
from psycopg import AsyncConnection

from db.errors import DatabaseAway
from db.pool import named
from db.updates import StoredUpdate, store
from runtime import metrics

log = structlog.get_logger("veilrun.receiver")

BATCH = 500  # rows in one statement
WAITING = 10_000  # updates in memory that wait for their commit; more are refused, so that Telegram holds them
WAITING_BYTES = 64 * 1024 * 1024
RECONNECT_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)
COMMIT_SECONDS = 10  # a table that is locked for longer counts as a database that is away
STOP_SECONDS = 10.0

Batch: TypeAlias = list[tuple[StoredUpdate, "asyncio.Future[None]"]]


class GroupCommit:
    """One writer with a connection of its own. `on_stored` gets what was new, in order, after each commit."""

    def __init__(self, dsn: str, on_stored: Callable[[Sequence[StoredUpdate]], None]) -> None:
        self._dsn = dsn
        self._on_stored = on_stored
        self._waiting: Batch = []
        self._waiting_bytes = 0
        self._in_flight: Batch = []
        self._arrived = asyncio.Event()
        self._is_stopping = False
        self._task: asyncio.Task[None] | None = None
        self._connection: AsyncConnection | None = None

    @property
    def is_connected(self) -> bool:
        """Whether the database took the last batch, or would take the next."""
        is_at_work = self._task is None or not self._task.done()
        return is_at_work and self._connection is not None and not self._connection.closed

    async def start(self) -> None:
        """Begin to write; returns when the first connection is tried."""
        with contextlib.suppress(psycopg.Error):
            await self._connect()
        self._task = asyncio.create_task(self._write(), name="group-commit")

    async def stop(self) -> None:
        """Write what waits, then end; what the database does not take in time is refused."""
        self._is_stopping = True
        if self._task:
            waiting = [stored for _, stored in (*self._in_flight, *self._waiting)]
            if waiting:
                await asyncio.wait(waiting, timeout=STOP_SECONDS)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._disconnect()

    def store(self, update: StoredUpdate) -> "asyncio.Future[None]":
        """Done when the update is durable; fails with DatabaseAway when it may not be.

        It fails with psycopg.DataError when the database can never take it.

        Raises: DatabaseAway at once when too much waits already, or nothing is written (any more).
        """
        if self._is_stopping or self._task is None or self._task.done():
            raise DatabaseAway("updates are not written now")
        size = self._waiting_bytes + len(update.body)
        if len(self._waiting) >= WAITING or size > WAITING_BYTES:
            raise DatabaseAway("too many updates wait for the database")
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((update, stored))
        self._waiting_bytes = size
        self._arrived.set()
        return stored

    async def _write(self) -> None:
        try:
            while True:
                if not self.is_connected:
                    await self._reconnect()
                await self._arrived.wait()
                self._in_flight = self._next_batch()
                await self._write_batch(self._in_flight)
                self._in_flight = []
        finally:
            _refuse(self._in_flight + self._waiting, DatabaseAway("the receiver has stopped"))

    def _next_batch(self) -> Batch:
        batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
        self._waiting_bytes -= sum(len(update.body) for update, _ in batch)
        if not self._waiting:
            self._arrived.clear()
        return batch

    async def _reconnect(self) -> None:
        """Try until the database takes a connection, also when nothing arrives: else nobody would call us ready."""
        for seconds in itertools.chain(RECONNECT_SECONDS, itertools.repeat(RECONNECT_SECONDS[-1])):
            try:
                await self._connect()
                return
            except psycopg.Error as error:
                while self._waiting:
                    self._leave_to_telegram(self._next_batch(), error)
            await asyncio.sleep(seconds)

    async def _write_batch(self, batch: Batch) -> None:
        try:
            try:
                await self._commit(batch)
            except psycopg.errors.QueryCanceled:
                raise
            except psycopg.Error:  # restarted or failed over, perhaps long ago: a dead connection tells only now
                await self._connect()
                await self._commit(batch)
        except psycopg.Error as error:
            self._leave_to_telegram(batch, error)
            await self._disconnect()

    async def _connect(self) -> None:
        await self._disconnect()
        connection = await AsyncConnection.connect(named(self._dsn, "receiver"), autocommit=True)
        self._connection = connection
        await connection.execute(f"set statement_timeout = '{COMMIT_SECONDS}s'")

    async def _disconnect(self) -> None:
        if self._connection:
            await self._connection.close()
            self._connection = None

    def _leave_to_telegram(self, batch: Batch, error: Exception) -> None:
        log.warning("the database is away, updates are left to Telegram", error=type(error).__name__, count=len(batch))
        _refuse(batch, DatabaseAway("the database does not answer"))

    async def _commit(self, batch: Batch) -> None:
        assert self._connection is not None
        try:
            new = await store(self._connection, [update for update, _ in batch])
        except psycopg.DataError as error:
            if len(batch) == 1:
                _refuse(batch, error)
                return
            for one in batch:  # a row that the database does not take must not take the others with it
                await self._commit([one])
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
            self._hand_over(fresh)

    def _hand_over(self, fresh: Sequence[StoredUpdate]) -> None:
        try:
            self._on_stored(fresh)
        except Exception:  # they are stored: a sweep finds them, and the next ones must be stored as well
            log.exception("stored updates were not handed over", count=len(fresh))


def _refuse(batch: Batch, error: Exception) -> None:
    for _, stored in batch:
        if not stored.done():
            stored.set_exception(error)
