"""Placing jobs and waking whoever is to run them: what follows every commit that adds a job or frees a slot."""

import structlog

from db.pool import AWAY, Pool
from runtime.registry import Registry
from runtime.scheduler.schedule import place_jobs
from runtime.worker.broker import Waker

log = structlog.get_logger("veilrun.scheduler")


async def place_and_wake(pool: Pool, registry: Registry, waker: Waker) -> None:
    """Place what can be placed and wake the workers. If the database is away, the sweeper does it later."""
    try:
        wakeups = await place_jobs(pool, registry)
    except AWAY as error:
        log.warning("jobs not placed", error=type(error).__name__)
        return
    await waker.wake_execute(wakeups)
