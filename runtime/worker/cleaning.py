"""Making a backend forget a job that is over."""

import asyncio
import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeAlias

import structlog

from runtime.comfyui import BackendError, forget, posted_ids
from runtime.scheduler.fleet import Backend
from runtime.worker.workplace import Workplace

log = structlog.get_logger("veilrun.cleaning")

PAUSES_SECONDS = (1.0, 4.0, 15.0, 60.0)
"""Between tries, while nobody waits for it."""

SHORT_PAUSES_SECONDS = (0.0, 0.3, 1.0)
"""The same while somebody does."""

SHORT_SECONDS = 10.0


Reach: TypeAlias = Callable[[], AbstractContextManager[Backend]]
"""Opens the backend over the circuits that a job may use."""


async def clean_up(
    workplace: Workplace, reach: Reach, job_id: int, prompt_id: str, *, is_over: bool, tries: int = 0
) -> None:
    """Delete what the history says of the job; what cannot be done now is done later, a few times.

    is_over: it is known that its prompt runs no more. A process that ends before leaves the entry there.
    """
    with reach() as backend:
        missed = await _missed(backend, prompt_id, is_over=is_over)
    if missed is None:
        return
    if tries == len(PAUSES_SECONDS):
        log.warning("history entry not deleted", job=job_id, backend=backend.name, error=missed)
        return
    workplace.after(
        PAUSES_SECONDS[tries],
        lambda: clean_up(workplace, reach, job_id, prompt_id, is_over=is_over, tries=tries + 1),
    )


async def clean_up_now(backend: Backend, prompt_id: str, *, is_over: bool) -> None:
    """The same for a caller that is about to leave: it takes a few seconds at the most."""
    missed: str | None = "TimeoutError"
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SHORT_SECONDS):
            for pause in SHORT_PAUSES_SECONDS:
                await asyncio.sleep(pause)
                missed = await _missed(backend, prompt_id, is_over=is_over)
                if missed is None:
                    return
    log.warning("history entry not deleted", backend=backend.name, error=missed)


async def _missed(backend: Backend, prompt_id: str, *, is_over: bool) -> str | None:
    """Why there may still be an entry, None if there is none."""
    if backend.config.traces == "keep":
        return None
    try:
        is_gone = await forget(backend.client, posted_ids(prompt_id), are_over=is_over)
    except BackendError as error:
        return type(error).__name__
    return None if is_gone else "StillRunning"
