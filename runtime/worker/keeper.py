"""Holds the leases of one worker process: extends them, and hears at once when a job is to stop."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from enum import Enum
from types import TracebackType

import psycopg
import structlog
from psycopg import AsyncConnection

from db import events, leases
from db.leases import Lease
from db.pool import listen

log = structlog.get_logger("veilrun.keeper")

BEATS_PER_LEASE = 3
RECONNECT_SECONDS = 0.5


class Stop(Enum):
    """Why work on a job has to stop."""

    LEASE_LOST = "another worker has the job by now, or may have"
    CANCEL = "the user does not want it any more"
    HAND_BACK = "this process ends; the next worker carries on"


class Held:
    """A lease in this process. `stopped` is set when the work has to stop, and then `stop` says why.

    `recalled` is set when the job is asked back into the queue, which it follows only if it has not begun.
    """

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.stop: Stop | None = None
        self.stopped = asyncio.Event()
        self.recalled = asyncio.Event()
        self.beaten_at = asyncio.get_running_loop().time()

    def end(self, stop: Stop) -> None:
        """Ask the work to stop. The first reason stays, but a lost lease outweighs every other."""
        if self.stop is None or stop is Stop.LEASE_LOST:
            self.stop = stop
        self.stopped.set()


class LeaseKeeper:
    """Beats for every lease on one connection of its own, and listens for cancellations and recalls on another.

    lease_seconds: three heartbeats fit into it. A lease that could not be extended for so long (the database was away)
    counts as lost, without asking. `idle` is set while no lease is held.
    """

    def __init__(self, dsn: str, lease_seconds: float) -> None:
        self._dsn = dsn
        self._beat_seconds = lease_seconds / BEATS_PER_LEASE
        self._held: dict[int, Held] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._is_handing_back = False
        self.idle = asyncio.Event()
        self.idle.set()

    async def __aenter__(self) -> "LeaseKeeper":
        self._tasks = [
            asyncio.create_task(self._beat(), name="lease-heartbeat"),
            asyncio.create_task(self._listen(), name="lease-cancellation"),
            asyncio.create_task(self._expire(), name="lease-expiry"),
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @contextlib.asynccontextmanager
    async def hold(self, lease: Lease) -> AsyncIterator[Held]:
        """While open, the lease is extended."""
        held = Held(lease)
        self._held[lease.job_id] = held
        self.idle.clear()
        if self._is_handing_back:
            held.end(Stop.HAND_BACK)
        try:
            yield held
        finally:
            if self._held.get(lease.job_id) is held:
                del self._held[lease.job_id]
            if not self._held:
                self.idle.set()

    def hand_back(self) -> None:
        """Ask all work to stop, now and from now on, so that other workers carry on with it."""
        self._is_handing_back = True
        for held in list(self._held.values()):
            held.end(Stop.HAND_BACK)

    async def _beat(self) -> None:
        while True:
            try:
                async with await AsyncConnection.connect(self._dsn, autocommit=True) as connection:
                    while True:
                        await self._beat_once(connection)
                        await asyncio.sleep(self._beat_seconds)
            except (psycopg.Error, TimeoutError) as error:  # whatever it is: without heartbeats every job is lost
                log.warning("heartbeat failed, connecting again", error=type(error).__name__)
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _beat_once(self, connection: AsyncConnection) -> None:
        for held in list(self._held.values()):
            sent_at = asyncio.get_running_loop().time()
            async with asyncio.timeout(self._beat_seconds):
                asked = await leases.heartbeat(connection, held.lease)
            if asked is None:
                held.end(Stop.LEASE_LOST)
                continue
            held.beaten_at = sent_at
            if asked.cancel_requested:
                held.end(Stop.CANCEL)
            if asked.recall_requested:
                held.recalled.set()

    async def _listen(self) -> None:
        async for notice in listen(self._dsn, events.CHANNEL):
            held = self._held.get(notice["job"]) if notice is not None else None
            if notice is None or held is None:
                continue
            if notice["kind"] == "cancel_requested":
                held.end(Stop.CANCEL)
            elif notice["kind"] == "recall_requested":
                held.recalled.set()

    async def _expire(self) -> None:
        while True:
            now = asyncio.get_running_loop().time()
            for held in list(self._held.values()):
                if now - held.beaten_at > held.lease.seconds:
                    held.end(Stop.LEASE_LOST)
            await asyncio.sleep(self._beat_seconds)
