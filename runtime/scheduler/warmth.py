"""Paths to backends are opened before a job needs them, and kept open.

Over an onion path a cold lane costs seconds: a circuit, a stream through it, and a round trip more.
"""

import asyncio
from functools import partial

from runtime.scheduler.fleet import Backend, Fleet

WARM_SECONDS = 45.0
"""From one round to the next: below the 60 s after which an idle connection is closed."""

COLD_SECONDS = 2.0
"""The same while something of it fails: anon may be about to be there, or the backend."""


async def keep_warm(fleet: Fleet, seconds: float = WARM_SECONDS) -> None:
    """Warm every backend now, and those behind a slow path again and again, until cancelled."""
    await fleet.each(partial(_keep_warm, seconds=seconds), "warmth")


async def _keep_warm(backend: Backend, *, seconds: float) -> None:
    is_warm = await backend.warm()
    while backend.config.transport == "anon":
        await asyncio.sleep(seconds if is_warm else COLD_SECONDS)
        is_warm = await backend.warm()
