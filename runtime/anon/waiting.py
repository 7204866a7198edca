"""Waiting for events with a bound."""

import asyncio
import contextlib


async def until(event: asyncio.Event, seconds: float) -> None:
    """Return once `event` is set, or after `seconds`."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


async def until_any(seconds: float, *events: asyncio.Event) -> None:
    """Return once one of `events` is set, or after `seconds`."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
