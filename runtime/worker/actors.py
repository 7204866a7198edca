"""The two Dramatiq actors. A message wakes one; what is to be done it reads from the tables."""

from collections.abc import Awaitable, Callable

import dramatiq

from runtime.worker.broker import DELIVER, EXECUTE

DAY = 24 * 3600 * 1000
"""Milliseconds. Not how long a job may take: that is limited for each command, with an answer to its user."""


def declare_actors(
    broker: dramatiq.Broker,
    *,
    execute: Callable[[int, int], Awaitable[None]],
    deliver: Callable[[int], Awaitable[None]],
) -> None:
    """Let workers of `broker` call these when messages arrive, on the event loop of the process.

    execute: takes a job id and the fence of its placement. deliver: takes the id of a delivery.
    """

    # A lower number goes first: no result waits behind jobs that are still to start.
    @dramatiq.actor(actor_name=EXECUTE, queue_name=EXECUTE, broker=broker, priority=10, time_limit=DAY)
    async def run_job(job_id: int, fence: int) -> None:
        await execute(job_id, fence)

    @dramatiq.actor(actor_name=DELIVER, queue_name=DELIVER, broker=broker, priority=0, time_limit=DAY)
    async def send_message(delivery_id: int) -> None:
        await deliver(delivery_id)
