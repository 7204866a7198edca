"""Jobs as plugins see them; and telling plugins of jobs that ended with no worker at hand."""

import asyncio
from typing import cast

from db import endings
from db.jobs import Job
from db.pool import Pool
from runtime.api import Invocation, Outcome
from runtime.registry import Registry


def invocation_of(job: Job) -> Invocation:
    """The call that the job is, without its pictures."""
    return Invocation(
        command=job.command,
        arguments=job.arguments,
        variant=job.variant,
        user_id=job.user_id,
        chat_id=job.chat_id,
        job_id=job.id,
    )


async def tell_plugins(pool: Pool, registry: Registry) -> None:
    """Call `after_invoke` for each job that was cancelled or given up before a worker had it, or whose last one died.

    Whoever takes such a job from the table tells of it: should the process end just then, nobody does.

    Raises: psycopg.OperationalError if the database is away.
    """
    async with pool.connection() as connection:
        ended = await endings.take_untold(connection)
    for job in ended:
        state = cast("endings.Unworked", job.state)
        outcome = Outcome(state, job.backend, error=job.error)
        await asyncio.to_thread(registry.after_invoke, invocation_of(job), outcome)
