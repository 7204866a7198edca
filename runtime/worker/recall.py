"""Work on a job that may be asked back into the queue: it goes there if its prompt still waits on the backend."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from runtime.comfyui import BackendError, PromptLost
from runtime.scheduler.fleet import UnknownBackend
from runtime.worker.attempt import Attempt, Collected, Recalled
from runtime.worker.keeper import Held

log = structlog.get_logger("veilrun.recall")


async def work_unless_recalled(attempt: Attempt, held: Held, stays: Callable[[bool], Awaitable[None]]) -> Collected:
    """Do the work, which goes on undisturbed while it is seen whether the prompt still waits.

    stays: awaited with whether it has begun when the job cannot go back, or nobody knows.

    Raises: Recalled; as `Attempt.work`.
    """
    work = asyncio.create_task(attempt.work())
    taking = asyncio.create_task(_take_back(attempt, held, work, stays))
    try:
        await asyncio.wait({work})
    finally:
        for task in (work, taking):
            task.cancel()
        await asyncio.wait({work, taking})
    if not taking.cancelled():
        taking.result()
    if work.cancelled():
        raise Recalled
    try:
        return work.result()
    except PromptLost as error:
        if attempt.is_withdrawing and not error.had_begun:
            raise Recalled from error
        raise


async def _take_back(
    attempt: Attempt, held: Held, work: "asyncio.Task[Collected]", stays: Callable[[bool], Awaitable[None]]
) -> None:
    """Each time that the job is asked back: end the work if nothing of it has begun."""
    while True:
        await held.recalled.wait()
        held.recalled.clear()
        try:
            is_back = await attempt.withdraw()
        except (BackendError, UnknownBackend) as error:
            log.warning("prompt not withdrawn", job=attempt.job.id, error=type(error).__name__)
            is_back = False
        if is_back:
            work.cancel()
            return
        await stays(attempt.has_begun)
