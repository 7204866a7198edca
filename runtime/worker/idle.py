"""Backends that have been idle for long are told to let go of their weights, so that others may use the card."""

import asyncio
import random
from collections.abc import Iterable, Mapping

import structlog

from db import backends
from db.pool import AWAY, Pool
from runtime.api import VeilrunError
from runtime.scheduler.fleet import Backend

log = structlog.get_logger("veilrun.idle")

LOOK_SECONDS = 15.0
"""From one look to the next; so exact is the idle time of a backend."""


class IdleRelease:
    """Looks after those of the backends that have `idle_minutes` and no pins. Any number of processes may do so."""

    def __init__(self, fleet: Iterable[Backend], pool: Pool) -> None:
        self._pool = pool
        self._fleet = fleet

    @property
    def _seconds(self) -> Mapping[str, float]:
        return {
            backend.name: backend.config.idle_minutes * 60
            for backend in self._fleet
            if backend.config.idle_minutes is not None and not backend.config.pin
        }

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(min((LOOK_SECONDS, *self._seconds.values())) * random.uniform(0.8, 1.2))
            try:
                await self.look()
            except AWAY as error:
                log.warning("idle backends not looked for", error=type(error).__name__)

    async def look(self) -> None:
        """Tell each backend that is idle now. Raises: psycopg.OperationalError if the database is away."""
        watched = self._seconds
        if not watched:
            return
        async with self._pool.connection() as connection:
            idle = await backends.idle(connection, watched)
        for backend in self._fleet:
            if backend.name in idle:
                await self._release(backend, watched[backend.name])

    async def _release(self, backend: Backend, seconds: float) -> None:
        """What others run there is not disturbed: while they do, it is asked again."""
        try:
            if await backend.client.prompt_info() > 0:
                return
        except VeilrunError as error:
            log.warning("idle backend not reached", backend=backend.name, error=type(error).__name__)
            return
        async with self._pool.connection() as connection:
            released_at = await backends.release(connection, backend.name, seconds)
        if released_at is None:
            return
        try:
            await backend.client.free(unload_models=True, free_memory=True)
        except VeilrunError as error:
            log.warning("memory not freed", backend=backend.name, error=type(error).__name__)
            async with self._pool.connection() as connection:
                await backends.not_released(connection, backend.name, released_at)
        else:
            log.info("idle backend let go of its weights", backend=backend.name)
