"""Finds what a crash, a lost message or a broken connection left behind, and sets it going again.

Runs in every process, web and worker; row locks keep the sweepers apart, so there is no leader to lose.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from db import deliveries, leases, placement, retention
from db.pool import AWAY, Pool
from runtime.chat.notices import owe_question
from runtime.registry import LiveRegistry
from runtime.worker import presence
from runtime.worker.broker import Waker
from runtime.worker.invocations import tell_plugins
from runtime.worker.placing import place_and_wake, wake

log = structlog.get_logger("veilrun.sweeper")

STALE_SECONDS = 5.0
"""A wake-up that nobody followed for so long counts as lost. One too many does no harm."""

RETENTION_SECONDS, FIRST_RETENTION_SECONDS = 3600.0, 60.0


class Sweeper:
    """A sweep at once and every `seconds`: lost workers, lost wake-ups, waiting jobs, messages owed; plugins that
    have to hear of an end; hourly what has expired.

    workers_dir: see `presence`. stale_seconds: see `STALE_SECONDS`.
    """

    def __init__(
        self,
        pool: Pool,
        live: LiveRegistry,
        waker: Waker,
        *,
        seconds: float,
        retention_hours: float,
        workers_dir: Path,
        stale_seconds: float = STALE_SECONDS,
    ) -> None:
        self._pool = pool
        self._live = live
        self._waker = waker
        self._seconds = seconds
        self._retention_hours = retention_hours
        self._workers_dir = workers_dir
        self._stale_seconds = stale_seconds

    async def run(self) -> None:
        """Sweep until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._repeat(self.sweep, self._seconds, 0.0), name="sweeper")
            tasks.create_task(self._repeat(self.tell_plugins, self._seconds, self._seconds), name="endings")
            tasks.create_task(self._repeat(self.forget, RETENTION_SECONDS, FIRST_RETENTION_SECONDS), name="retention")

    async def sweep(self) -> None:
        """Set going what stands still. Raises: psycopg.OperationalError if the database is away."""
        await self._take_back()
        await place_and_wake(self._pool, self._live.current, self._waker)
        async with self._pool.connection() as connection:
            wakeups = await leases.due_wakeups(connection, self._stale_seconds)
            lost = await deliveries.flag_lost(connection)
            questions = [await owe_question(connection, delivery) for delivery in lost]
            due = await deliveries.due(connection, self._stale_seconds)
        for delivery in lost:
            log.warning("message may or may not have been sent", delivery=delivery.id, job=delivery.job_id)
        await wake(self._pool, self._waker, wakeups)
        owed = [question for question in questions if question is not None]
        untold = await self._waker.wake_deliver([*owed, *(delivery_id for delivery_id, _ in due)])
        if untold:
            async with self._pool.connection() as connection:
                await deliveries.not_woken(connection, untold)

    async def _take_back(self) -> None:
        missing = presence.missing(self._workers_dir)
        async with self._pool.connection() as connection:
            if missing:
                await leases.expire(connection, missing)
            reaped = await leases.reap(connection)
            is_frozen = await placement.end_frozen(connection)
        for owner in missing:
            presence.forget(self._workers_dir, owner)
        if is_frozen:
            log.warning("a scheduler stopped amid a decision, which was undone")
        if reaped:
            log.warning("jobs taken back from lost workers", jobs=[job.id for job in reaped])

    async def tell_plugins(self) -> None:
        """Tell plugins of jobs that ended with no worker at hand. Raises: psycopg.OperationalError."""
        await tell_plugins(self._pool, self._live.current)

    async def forget(self) -> None:
        """Delete what has expired. Raises: psycopg.OperationalError if the database is away."""
        async with self._pool.connection() as connection:
            forgotten = await retention.forget_expired(connection, self._retention_hours)
        log.info("expired rows deleted", jobs=forgotten.jobs, artifacts=forgotten.artifacts)

    async def _repeat(self, work: Callable[[], Awaitable[None]], seconds: float, first_seconds: float) -> None:
        pause = first_seconds
        while True:
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))
            pause = seconds
            try:
                await work()
            except AWAY as error:
                log.warning("sweep failed, next one soon", error=type(error).__name__)
            except Exception as error:
                log.error("sweep failed unexpectedly", error=type(error).__name__, exc_info=True)
