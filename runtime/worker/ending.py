"""Writing how a try of a job ended, in one transaction that its lease guards.

Each function returns what the commit left to be done. Each raises FencedOut, and then nothing was written.
"""

from collections.abc import Sequence
from typing import Literal

from psycopg import AsyncConnection

from db import artifacts, breakers, chats, deliveries, jobs, leases, timings
from db.artifacts import NewArtifact
from db.breakers import Failure
from db.jobs import Job
from db.leases import Lease, Wakeup
from db.pool import Pool
from runtime.scheduler.view import command_key
from runtime.worker.attempt import Collected
from runtime.worker.outcome import Fail, Requeue


class FencedOut(Exception):
    """The lease was lost before the end was written: another worker has the job, or has ended it."""


async def write_collected(
    pool: Pool, job: Job, lease: Lease, collected: Collected, *, inputs: Sequence[int]
) -> int | None:
    """The results, the user's last result, what the run took, and the message owed. The id of that message's delivery,
    if there is one.
    """
    async with pool.connection() as connection, connection.pipeline():
        if collected.ago_seconds is not None:
            await timings.began(connection, lease, ago_seconds=collected.ago_seconds)
        await _end(connection, lease, "collected")
        ids = [
            await artifacts.add(connection, artifact, content)
            for artifact, content in _artifacts(job, collected, inputs)
        ]
        if job.chat_id is not None and job.user_id is not None:
            await chats.remember(connection, job.chat_id, job.user_id, ids[0])
        if job.backend is not None:
            await breakers.worked(connection, job.backend, command_key(job.command, job.variant))
        delivery = await _owe(connection, job, "result")
        if job.token_id is not None:
            await jobs.mark_kept(connection, job.id)
        if collected.run_seconds is not None and collected.is_telling:  # last: others wait for the row that it changes
            await timings.learn(
                connection,
                lease,
                seconds=collected.run_seconds,
                size_class=collected.size_class,
                load_seconds=collected.load_seconds,
            )
        return delivery


async def write_failed(pool: Pool, job: Job, lease: Lease, fail: Fail, failure: Failure | None = None) -> int | None:
    """The failure and the message owed. The id of that message's delivery, if there is one.

    failure: what is held against the backend, None if nothing is.
    """
    async with pool.connection() as connection, connection.pipeline():
        await _end(connection, lease, fail.state, error=fail.error, detail=fail.detail)
        if failure is not None:
            await breakers.failed(connection, failure)
        return await _owe(connection, job, "failure")


async def write_cancelled(pool: Pool, lease: Lease) -> None:
    """The job is over as its user wished; the status message tells."""
    async with pool.connection() as connection, connection.pipeline():
        await _end(connection, lease, "cancelled")


async def write_requeued(
    pool: Pool, lease: Lease, requeue: Requeue, failure: Failure | None = None
) -> Literal["queued", "cancelled"]:
    """The job waits for another try, unless its user cancelled it meanwhile. failure: as for `write_failed`."""
    async with pool.connection() as connection, connection.pipeline():
        state = await leases.requeue(
            connection,
            lease,
            error=requeue.error,
            detail=requeue.detail,
            delay_seconds=requeue.delay_seconds,
            counts=requeue.counts,
        )
        if state is None:
            raise FencedOut
        if failure is not None:
            await breakers.failed(connection, failure)
        return state


async def write_recalled(pool: Pool, lease: Lease) -> Literal["queued", "cancelled"]:
    """The job waits for its turn again, as if it had never been placed, unless its user cancelled it meanwhile."""
    async with pool.connection() as connection, connection.pipeline():
        state = await leases.recall(connection, lease)
        if state is None:
            raise FencedOut
        return state


async def write_handed_back(pool: Pool, lease: Lease) -> Wakeup:
    """The job stays on its slot, its prompt with the backend. The wake-up for the next worker."""
    async with pool.connection() as connection, connection.pipeline():
        wakeup = await leases.hand_back(connection, lease)
        if wakeup is None:
            raise FencedOut
        return wakeup


async def _end(
    connection: AsyncConnection,
    lease: Lease,
    state: Literal["collected", "failed", "cancelled", "dead"],
    *,
    error: str | None = None,
    detail: str | None = None,
) -> None:
    if not await leases.end(connection, lease, state, error=error, detail=detail):
        raise FencedOut


async def _owe(connection: AsyncConnection, job: Job, kind: Literal["result", "failure"]) -> int | None:
    if job.chat_id is None:
        return None
    return await deliveries.owe(connection, job.chat_id, kind, {}, job.id)


def _artifacts(job: Job, collected: Collected, inputs: Sequence[int]) -> list[tuple[NewArtifact, bytes]]:
    return [
        (
            NewArtifact(
                kind=made.medium.kind,
                media_type=made.medium.media_type,
                job_id=job.id,
                parent_id=inputs[0] if inputs else None,
                position=position,
                size_bytes=made.medium.size_bytes,
                digest=made.digest,
                width=made.medium.width,
                height=made.medium.height,
                duration_seconds=made.medium.duration_seconds,
                backend=job.backend,
                backend_file=made.backend_file,
                chat_id=job.chat_id,
                user_id=job.user_id,
                token_id=job.token_id,
            ),
            made.content,
        )
        for position, made in enumerate(collected.made)
    ]
