"""What all jobs of one worker process share."""

import asyncio
import os
import secrets
import socket
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import structlog

from db.leases import Wakeup
from db.pool import Pool
from runtime.registry import LiveRegistry, Registry
from runtime.scheduler.fleet import Fleet
from runtime.scheduler.health import HealthWatch
from runtime.worker.broker import Waker
from runtime.worker.inputs import FileSource
from runtime.worker.keeper import LeaseKeeper
from runtime.worker.placing import place_and_wake, wake

log = structlog.get_logger("veilrun.worker")

MARGIN_SECONDS = 0.05


def new_owner() -> str:
    """A name for this process as the owner of leases: never the same twice."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


@dataclass(frozen=True)
class Workplace:
    """The tools of a worker process, all on one event loop.

    deliver: sends a message that is owed to a chat, by its id.
    live: the registry in force; what a job began with goes on to its end. deployment: see `db.deployment`. owner: see
    `new_owner`.
    """

    pool: Pool
    live: LiveRegistry
    fleet: Fleet
    keeper: LeaseKeeper
    health: HealthWatch
    files: FileSource
    waker: Waker
    deliver: Callable[[int], Coroutine[Any, Any, None]]
    deployment: UUID
    lease_seconds: float
    owner: str = field(default_factory=new_owner)
    _background: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def registry(self) -> Registry:
        """The registry in force now."""
        return self.live.current

    async def place(self) -> None:
        """Place what can be placed now, and wake the workers."""
        await place_and_wake(self.pool, self.registry, self.waker)

    async def wake(self, wakeups: Sequence[Wakeup]) -> None:
        """Tell workers of placed jobs."""
        await wake(self.pool, self.waker, wakeups)

    def place_after(self, seconds: float) -> None:
        """Place what can be placed then; forgotten if the process ends before, since the sweepers do the same."""
        self.after(seconds + MARGIN_SECONDS, self.place)

    def after(self, seconds: float, begin: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Begin the work then; forgotten if the process ends before."""
        asyncio.get_running_loop().call_later(seconds, lambda: self.soon(begin()))

    def soon(self, work: Coroutine[Any, Any, None]) -> None:
        """Do `work` without waiting for it. What it raises is logged: a sweeper finds what is left undone."""
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("background task failed", error=type(error).__name__)

    async def settled(self) -> None:
        """Wait for everything that was to be done soon."""
        while self._background:
            await asyncio.wait(self._background)
