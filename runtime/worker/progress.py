"""How far a job is, written to its row: often enough to be watched, seldom enough to cost nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict

import structlog

from db import events, timings
from db.leases import Lease
from db.pool import AWAY, Pool
from runtime.comfyui import Progress
from runtime.worker.stopwatch import Stopwatch

log = structlog.get_logger("veilrun.progress")

INTERVAL_SECONDS = 0.3


class ProgressWriter:
    """Writes the newest reading at most every 0.3 s; readings in between are skipped, the last one never.

    The first is written after that time too: a run that is shorter needs none. With it goes what the stopwatch says:
    that the run has begun, and how long it needs still. has_told_begin: whether the first of them is written.
    """

    def __init__(self, pool: Pool, lease: Lease, stopwatch: Stopwatch) -> None:
        self._pool = pool
        self._lease = lease
        self._stopwatch = stopwatch
        self.has_told_begin = False
        self._newest: Progress | None = None
        self._has_news = asyncio.Event()
        self._is_over = False
        self._is_writing = False

    def report(self, reading: Progress) -> None:
        """Take in a reading; returns at once."""
        self._stopwatch.note(reading)
        self._newest = reading
        self._has_news.set()

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """While open, readings are written.

        What is being written at the end is waited for: a connection that is cancelled amid a pipeline says that it is
        broken, not that it was cancelled, and is lost to the pool.
        """
        task = asyncio.create_task(self._write(), name=f"progress-{self._lease.job_id}")
        try:
            yield
        finally:
            self._is_over = True
            if not self._is_writing:
                task.cancel()
            await asyncio.wait({task})

    async def _write(self) -> None:
        while not self._is_over:
            await asyncio.sleep(INTERVAL_SECONDS)
            await self._has_news.wait()
            self._has_news.clear()
            if self._newest is None:
                continue
            self._is_writing = True
            try:
                await self._write_once(self._newest)
            except AWAY as error:
                log.warning("progress not written", job=self._lease.job_id, error=type(error).__name__)
            finally:
                self._is_writing = False

    async def _write_once(self, reading: Progress) -> None:
        ago_seconds, left_seconds = self._stopwatch.ago_seconds, self._stopwatch.left_seconds
        async with self._pool.connection() as connection, connection.pipeline():
            if ago_seconds is not None and not self.has_told_begin:
                await timings.began(connection, self._lease, ago_seconds=ago_seconds)
            if left_seconds is not None:
                await timings.expect_running(connection, self._lease, left_seconds)
            await events.progress(connection, self._lease.job_id, self._lease.fence, asdict(reading))
        self.has_told_begin = ago_seconds is not None
