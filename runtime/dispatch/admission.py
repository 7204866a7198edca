"""Whether a request becomes a job: limits of its user, its command and everybody, and whether it is there already.

What is refused leaves no trace but a number in the metrics, and its user learns why and what to do.
"""

import hashlib
import json
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from db import admission
from db.artifacts import Artifact
from db.jobs import NewJob
from runtime import metrics
from runtime.api import Limits
from runtime.dispatch.effects import Scene


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request becomes no job, for its user. about: the message that it is about, None = the request's own."""

    text: str
    about: int | None = None


async def refusal_of(scene: Scene, limits: Limits, job: NewJob) -> Refusal | None:
    """Why `job` may not be queued now, else None. Nobody else queues a job of its user until the transaction ends."""
    bounds, connection = scene.registry.limits, scene.connection
    if job.user_id is not None:
        await admission.lock_user(connection, job.user_id)
        mine = await admission.standing(connection, job.user_id, job.command)
        if limits.per_user is not None and mine.unfinished >= limits.per_user:
            return _refused(scene, "refusal.per_user", command=job.command, count=mine.unfinished)
        if bounds.queued_per_user is not None and mine.waiting >= bounds.queued_per_user:
            return _refused(scene, "refusal.queued_per_user", count=mine.waiting)
    if job.unique_key is not None:
        twin = await admission.open_twin(connection, job.unique_key)
        if twin is not None:
            return _refused(scene, "refusal.unique", about=twin.message_id, command=job.command)
    if not await scene.queue_length.take(connection):
        seconds = await admission.seconds_to_next_start(connection)
        minutes = math.ceil((seconds or 0.0) / 60) or 1
        return _refused(scene, "refusal.queued", count=scene.queue_length.bound, minutes=minutes)
    return None


def unique_key(job: NewJob, sources: Sequence[Artifact], by_chance: Collection[str]) -> str:
    """The same for two requests that are the same to whoever sent them: user, chat, words, options and pictures.

    by_chance: parameters whose value nobody chose. What was asked can neither be read from the key nor guessed without
    the row of the job, which holds it anyway.
    """
    written = {name: value for name, value in job.arguments.items() if name not in by_chance}
    pictures = [source.digest or source.telegram_file_id or source.id for source in sources]
    asked = [job.user_id, job.chat_id, job.command, job.variant, written, pictures, job.delay_seconds]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _refused(scene: Scene, key: str, *, about: int | None = None, **values: object) -> Refusal:
    metrics.jobs_refused.labels(key.partition(".")[2]).inc()
    return Refusal(scene.say(key, **values), about)
