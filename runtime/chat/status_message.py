"""The one status message of a job: what it says, sending it, replacing what it says, taking it away."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import structlog
from psycopg import AsyncConnection

from db import chats, deliveries, jobs, statuses
from db.deliveries import Delivery
from db.jobs import Job
from db.pool import Pool
from runtime.chat.blocked import end_chat
from runtime.chat.captions import TEXT_UNITS, shortened
from runtime.chat.desk import Desk, Done, Unwanted, place_of
from runtime.chat.errors import ChatBlocked, ChatMigrated, MessageGone, NotSent, OutcomeUnknown, Refused, RetryLater
from runtime.chat.messages import Envelope, Place
from runtime.chat.status_line import shown_eta, status_envelope
from runtime.chat.texts import text

log = structlog.get_logger("veilrun.status")

EDITS_AT_A_TIME = 4
_turns: WeakKeyDictionary[Pool, asyncio.Semaphore] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Said:
    """What a status message says. changes_in: seconds until time alone makes something else true, None = never."""

    text: str
    changes_in: float | None = None


@contextlib.asynccontextmanager
async def editing(pool: Pool, job_id: int) -> AsyncIterator[AsyncConnection]:
    """A transaction in which nobody else edits the job's status message: whoever comes later sees the job as it is.

    It stays open during the call to Telegram, so only a few may do so at a time: others need connections as well.
    """
    turns = _turns.setdefault(pool, asyncio.Semaphore(EDITS_AT_A_TIME))
    async with turns, pool.connection() as connection:
        await statuses.lock_edit(connection, job_id)
        yield connection


async def send_status(desk: Desk, delivery: Delivery, job: Job | None) -> Done:
    """Send the status message of a job that is not over yet."""
    if job is None or job.is_over:
        raise Unwanted("the job is over")
    if job.status_message_id is not None:
        raise Unwanted("the job has its status message")
    async with desk.pool.connection() as connection:
        envelope = status_envelope(job, await jobs.position(connection, job.id))
    if envelope is None:
        raise Unwanted("the job is over")
    place = place_of(delivery, job)
    if place.chat_id > 0:  # in a private chat it is clear what is meant
        place = Place(place.chat_id, place.thread_id)
    sent = await desk.gateway.send_text(place, envelope.text, envelope.buttons)

    async def remember(connection: AsyncConnection) -> None:
        await jobs.set_status_message(connection, job.id, sent.message_id)
        said = await _promise(connection, job, envelope)
        await statuses.announce(connection, job.id, delivery.chat_id, said.text, said.changes_in)

    async def overtaken() -> None:
        await close_status(desk, job.id)

    return Done((sent.message_id,), also=remember, afterwards=overtaken)


async def _promise(connection: AsyncConnection, job: Job, envelope: Envelope) -> Said:
    """The first figure that a chat is told is what the job is measured by."""
    eta = shown_eta(job)
    if eta is None:
        return Said(envelope.text)
    if job.promised_at is None and job.expected_at is not None and not eta.is_late:
        await statuses.promise(connection, job.id, job.expected_at)
    return Said(envelope.text, eta.changes_in)


async def refresh_status(desk: Desk, job_id: int, said: str | None) -> Said | None:
    """Have the status message say what is true now, unless that is what was `said` last. What it says now.

    None: there is nothing to refresh any more, since the job is over or the message or the chat is gone.

    Raises: RetryLater, NotSent, OutcomeUnknown: try again, later.
    """
    chat_id = 0
    try:
        async with editing(desk.pool, job_id) as connection:
            job = await jobs.get(connection, job_id)
            if job is None or job.chat_id is None or job.status_message_id is None:
                return None
            chat_id = job.chat_id
            if not job.is_over:
                return await _say(desk, connection, job, job.status_message_id, said)
    except RetryLater as error:
        async with desk.pool.connection() as connection:
            await chats.hush(connection, chat_id, error.seconds)
        raise
    except ChatBlocked:
        async with desk.pool.connection() as connection:
            await end_chat(connection, chat_id)
        return None
    except ChatMigrated as error:
        async with desk.pool.connection() as connection:
            await chats.migrate(connection, chat_id, error.new_id)
        return None
    if job.state != "collected":  # the result takes the status message away
        await close_status(desk, job_id)
    return None


async def _say(
    desk: Desk,
    connection: AsyncConnection,
    job: Job,
    message_id: int,
    said: str | None,
) -> Said | None:
    position = await jobs.position(connection, job.id) if job.state == "queued" else None
    if job.state == "queued" and position is None and job.due_seconds <= 0:
        return Said(said or "")  # it has just left the queue: what it does now is told in a moment
    envelope = status_envelope(job, position)
    if envelope is None or job.chat_id is None:
        return None
    if envelope.text == said:
        eta = shown_eta(job)
        return Said(said, eta.changes_in if eta else None)
    quiet_seconds = await chats.quiet_seconds(connection, job.chat_id)
    if quiet_seconds > 0:
        raise RetryLater(quiet_seconds)
    try:
        await desk.gateway.edit_text(job.chat_id, message_id, envelope.text, envelope.buttons)
    except MessageGone:  # the user deleted it: so be it
        await jobs.set_status_message(connection, job.id, None)
        return None
    except Refused as error:
        log.warning("status refused", job=job.id, description=error.description)
    return await _promise(connection, job, envelope)


async def close_status(desk: Desk, job_id: int) -> None:
    """If the job is over, take its status message away, or leave it saying "cancelled". To do so twice is harmless.

    While the explanation of a failure is still to come, the status message is left for it.
    """
    async with editing(desk.pool, job_id) as connection:
        job = await jobs.get(connection, job_id)
        if job is None or job.status_message_id is None or job.chat_id is None or not job.is_over:
            return
        envelope = status_envelope(job, None)
        with contextlib.suppress(MessageGone, ChatBlocked):
            if envelope is not None:
                await desk.gateway.edit_text(job.chat_id, job.status_message_id, envelope.text)
            elif job.state in ("failed", "dead") and not await _is_explained(connection, job_id):
                return
            else:
                await _take_away(desk, job.chat_id, job.status_message_id, job.language)
        await jobs.set_status_message(connection, job_id, None)


async def _take_away(desk: Desk, chat_id: int, message_id: int, language: str | None) -> None:
    """Telegram lets a bot delete no message older than 48 hours, as that of a job for later may be."""
    try:
        await desk.gateway.delete(chat_id, message_id)
    except MessageGone:
        await desk.gateway.edit_text(chat_id, message_id, text("status.done", language))


async def _is_explained(connection: AsyncConnection, job_id: int) -> bool:
    explanation = await deliveries.of_job(connection, job_id, "failure")
    return explanation is not None and explanation[0] not in ("pending", "sending")


async def replace_status(
    desk: Desk, delivery: Delivery, job: Job, envelope: Envelope, *, keeps_status: bool = False
) -> Done:
    """Make the status message say something final; send it as a new message if there is none (any more).

    keeps_status: the message still is the job's status message, so that a late result takes it away.
    """
    async with editing(desk.pool, job.id) as connection:
        now = await jobs.get(connection, job.id)
        message_id = now.status_message_id if now else None
        if message_id is not None:
            try:
                await desk.gateway.edit_text(delivery.chat_id, message_id, envelope.text, envelope.buttons)
            except MessageGone:
                message_id = None
            except OutcomeUnknown as error:
                raise NotSent(f"edit to be repeated: {error}") from None  # twice the same edit is harmless
    if message_id is None:
        words = shortened(envelope.text, TEXT_UNITS)
        sent = await desk.gateway.send_text(place_of(delivery, job), words, envelope.buttons)
        message_id = sent.message_id
    said, kept = message_id, message_id if keeps_status else None
    before: int | None = None

    async def remember(connection: AsyncConnection) -> None:
        nonlocal before
        before = await jobs.swap_status_message(connection, job.id, kept)

    async def take_away_latecomer() -> None:
        if before is not None and before != said:  # a status message that was on its way all the time
            with contextlib.suppress(MessageGone):
                await desk.gateway.delete(delivery.chat_id, before)

    return Done((said,), also=remember, afterwards=take_away_latecomer)
