"""Sending one message that is owed to a chat: claimed, sent, settled, with nothing held open during the call.

Telegram takes no idempotency key. So a message that surely was not sent is tried again, one whose outcome is unknown is
flagged and never repeated blindly: for a result, the chat is asked whether it has arrived.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog
from structlog.contextvars import bound_contextvars

from db import chats, deliveries, jobs
from db.deliveries import Delivery, Kind
from db.jobs import Job
from db.pool import AWAY, Pool
from runtime import tracing
from runtime.chat.blocked import end_chat
from runtime.chat.desk import Desk, Done, Sender, Unwanted
from runtime.chat.errors import (
    ChatBlocked,
    ChatMigrated,
    NotSent,
    OutcomeUnknown,
    RetryLater,
    TelegramFailed,
    ThreadGone,
)
from runtime.chat.gateway import TelegramGateway
from runtime.chat.notices import owe_question, owe_refusal, send_failure, send_notice
from runtime.chat.results import send_original, send_result
from runtime.chat.status_message import send_status
from runtime.metrics import deliveries_ended
from runtime.registry import Registry

log = structlog.get_logger("veilrun.chat")

LEASE_SECONDS = 20.0
GIVE_UP = timedelta(hours=24)
LONGEST_DELAY = 60.0

_SENDERS: dict[Kind, Sender] = {
    "notice": send_notice,
    "status": send_status,
    "failure": send_failure,
    "result": send_result,
    "original": send_original,
}


async def deliver(delivery_id: int, *, pool: Pool, gateway: TelegramGateway, registry: Registry | None = None) -> None:
    """Send the message if it is still to be sent, and write down what came of it. Safe to call twice, and anywhere.

    registry: commands that are not in it are not offered again.

    Raises: psycopg.Error if the database fails; the message then counts as unknown when its lease has run out.
    """
    async with pool.connection() as connection, connection.pipeline():
        delivery = await deliveries.claim(connection, delivery_id, LEASE_SECONDS)
        if delivery is None:
            await deliveries.defer(connection, delivery_id)
            return
        job = await jobs.get(connection, delivery.job_id) if delivery.job_id is not None else None
    desk = Desk(pool, gateway, registry)
    traced = job.traceparent if job else None
    try:
        async with _held(pool, delivery.id):
            with (
                bound_contextvars(job=delivery.job_id),
                tracing.span("deliver", {"job": delivery.job_id, "kind": delivery.kind}, parent=traced),
            ):
                done = await _send(desk, delivery, job)
    except Unwanted as error:
        await _settle_dropped(pool, delivery, error)
        deliveries_ended.add(delivery.kind, "Unwanted")
    except TelegramFailed as error:
        log.info("not delivered", delivery=delivery.id, kind=delivery.kind, outcome=type(error).__name__)
        deliveries_ended.add(delivery.kind, type(error).__name__)
        for owed in await _settle(pool, delivery, error):
            await deliver(owed, pool=pool, gateway=gateway, registry=registry)
    else:
        await _settle_sent(pool, delivery, done)
        deliveries_ended.add(delivery.kind, "sent")


async def _send(desk: Desk, delivery: Delivery, job: Job | None) -> Done:
    sender = _SENDERS[delivery.kind]
    try:
        return await sender(desk, delivery, job)
    except ThreadGone:
        payload = {**delivery.payload, "thread_id": None}
        return await sender(desk, replace(delivery, payload=payload), job)


async def _settle_sent(pool: Pool, delivery: Delivery, done: Done) -> None:
    async with pool.connection() as connection:
        await deliveries.sent(connection, delivery.id, done.message_ids)
        if done.also is not None:
            await done.also(connection)
    if done.afterwards is None:
        return
    try:
        await done.afterwards()
    except TelegramFailed as error:  # the status editor looks after what is left over
        log.info("left over", delivery=delivery.id, kind=delivery.kind, outcome=type(error).__name__)


async def _settle_dropped(pool: Pool, delivery: Delivery, reason: Unwanted) -> None:
    async with pool.connection() as connection:
        await deliveries.settle(connection, delivery.id, "dropped", str(reason))


async def _settle(pool: Pool, delivery: Delivery, error: TelegramFailed) -> list[int]:
    """Write down what came of it. Ids of further messages that are owed because of it."""
    owed: int | None = None
    async with pool.connection() as connection:
        match error:
            case RetryLater():
                await chats.hush(connection, delivery.chat_id, error.seconds)
                await deliveries.postpone(connection, delivery.id, error.seconds, "RetryLater")
            case ChatMigrated():
                await chats.migrate(connection, delivery.chat_id, error.new_id)
                await deliveries.postpone(connection, delivery.id, 0, "ChatMigrated")
                owed = delivery.id
            case ChatBlocked():
                await deliveries.settle(connection, delivery.id, "failed", "ChatBlocked")
                await end_chat(connection, delivery.chat_id)
                if delivery.kind == "result" and delivery.job_id is not None:
                    await jobs.mark_undelivered(connection, delivery.job_id, "ChatBlocked")
            case NotSent() if datetime.now(UTC) - delivery.created_at < GIVE_UP:
                delay = min(2.0 ** min(delivery.attempts, 10) / 2, LONGEST_DELAY)
                await deliveries.postpone(connection, delivery.id, delay, type(error).__name__)
            case OutcomeUnknown():
                await deliveries.settle(connection, delivery.id, "unknown", str(error))
                owed = await owe_question(connection, delivery)
            case _:
                await deliveries.settle(connection, delivery.id, "failed", f"{type(error).__name__}: {error}")
                owed = await owe_refusal(connection, delivery)
    return [owed] if owed is not None else []


@contextlib.asynccontextmanager
async def _held(pool: Pool, delivery_id: int) -> AsyncIterator[None]:
    """Keep the claim while a large upload takes its time."""

    async def holding() -> None:
        while True:
            await asyncio.sleep(LEASE_SECONDS / 3)
            try:
                async with pool.connection() as connection:
                    await deliveries.hold(connection, delivery_id, LEASE_SECONDS)
            except AWAY:
                log.warning("claim not extended", delivery=delivery_id)

    task = asyncio.create_task(holding())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
