"""Whether a request becomes a job: limits of its owner, its command and everybody, and whether it is there already.

What is refused leaves no trace but a number in the metrics, and whoever asked learns why and what to do.
"""

import hashlib
import json
from collections.abc import Collection, Sequence

from psycopg import AsyncConnection

from db import admission
from db.artifacts import Artifact
from db.jobs import NewJob
from runtime import metrics
from runtime.api import Limits
from runtime.dispatch.queue_length import QueueLength
from runtime.dispatch.refusals import InWorkAlready, NotQueued, QueueFull, TooManyOfCommand, TooManyWaiting
from runtime.registry.registry import QueueLimits

REASONS: dict[type[NotQueued], str] = {
    TooManyOfCommand: "per_user",
    TooManyWaiting: "queued_per_user",
    InWorkAlready: "unique",
    QueueFull: "queued",
}
"""How the metrics call it."""


async def admit(
    connection: AsyncConnection, bounds: QueueLimits, queue_length: QueueLength, limits: Limits, job: NewJob
) -> None:
    """See that `job` may be queued now. Nobody else queues a job of its owner until the transaction ends.

    bounds: of the deployment; limits: of the job's command. Raises: TooManyOfCommand, TooManyWaiting, InWorkAlready,
    QueueFull.
    """
    try:
        await _admit(connection, bounds, queue_length, limits, job)
    except NotQueued as refused:
        metrics.jobs_refused.labels(REASONS[type(refused)]).inc()
        raise


async def _admit(
    connection: AsyncConnection, bounds: QueueLimits, queue_length: QueueLength, limits: Limits, job: NewJob
) -> None:
    if job.owner is not None:
        await admission.lock_owner(connection, job.owner)
        mine = await admission.standing(connection, job.owner, job.command)
        if limits.per_user is not None and mine.unfinished >= limits.per_user:
            raise TooManyOfCommand(job.command, mine.unfinished)
        if bounds.queued_per_user is not None and mine.waiting >= bounds.queued_per_user:
            raise TooManyWaiting(mine.waiting)
    if job.unique_key is not None:
        twin = await admission.open_twin(connection, job.unique_key)
        if twin is not None:
            raise InWorkAlready(twin)
    if not await queue_length.take(connection):
        seconds = await admission.seconds_to_next_start(connection)
        raise QueueFull(queue_length.bound or 0, seconds or 0.0)


def unique_key(job: NewJob, sources: Sequence[Artifact], by_chance: Collection[str]) -> str:
    """The same for two requests that are the same to whoever sent them: owner, chat, words, options and pictures.

    by_chance: parameters whose value nobody chose. What was asked can neither be read from the key nor guessed without
    the row of the job, which holds it anyway.
    """
    written = {name: value for name, value in job.arguments.items() if name not in by_chance}
    pictures = [source.digest or source.telegram_file_id or source.id for source in sources]
    asked = [job.owner, job.chat_id, job.command, job.variant, written, pictures, job.delay_seconds]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
