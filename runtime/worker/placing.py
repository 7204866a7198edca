"""Placing jobs and waking whoever is to run them: what follows every commit that adds a job or frees a slot."""

from collections.abc import Sequence

import structlog

from db import leases
from db.leases import Wakeup
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
    await wake(pool, waker, wakeups)


async def wake(pool: Pool, waker: Waker, wakeups: Sequence[Wakeup]) -> None:
    """Tell workers of placed jobs; while the broker is away, those that nobody here can take are left to be found."""
    untold = await waker.wake_execute(wakeups)
    if not untold:
        return
    try:
        async with pool.connection() as connection:
            await leases.not_woken(connection, untold)
    except AWAY as error:
        log.warning("wake-ups found later only", error=type(error).__name__)
