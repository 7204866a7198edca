"""What processes count together goes to the database now and then: only web processes are asked for metrics."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import structlog

from db import tallies
from db.pool import AWAY, Pool
from runtime.metrics import deliveries_ended, telegram_calls

log = structlog.get_logger("veilrun.tallying")

SECONDS = 5.0
PATIENCE_SECONDS = 2.0  # a scrape has little time, and so has a process that ends


async def tally(pool: Pool) -> None:
    """Add what this process has counted to what the database keeps. Raises: psycopg.OperationalError, PoolTimeout;
    it is still to be added then."""
    for gathered in (telegram_calls, deliveries_ended):
        taken = gathered.take()
        if not taken:
            continue
        try:
            async with pool.connection(timeout=PATIENCE_SECONDS) as connection:
                await tallies.add(connection, gathered.metric, taken)
        except BaseException:
            gathered.give_back(taken)
            raise


@contextlib.asynccontextmanager
async def tallying(pool: Pool) -> AsyncIterator[None]:
    """While open, what this process counts is added every few seconds, and what is left when it is closed."""

    async def repeat() -> None:
        while True:
            await asyncio.sleep(SECONDS)
            await _tally_if_there(pool)

    task = asyncio.create_task(repeat(), name="tallying")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await _tally_if_there(pool)


async def _tally_if_there(pool: Pool) -> None:
    try:
        await tally(pool)
    except AWAY as error:
        log.debug("counts wait for the database", error=type(error).__name__)
