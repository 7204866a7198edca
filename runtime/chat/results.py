"""What a job made, on its way into the chat: as the chat shows it, or as uncompressed originals."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeAlias

from psycopg import AsyncConnection

from db import artifacts, deliveries, jobs
from db.artifacts import Artifact
from db.deliveries import Delivery
from db.jobs import Job
from runtime.chat.albums import runs, send_media, tens
from runtime.chat.captions import TEXT_UNITS, file_stem, result_caption, shortened
from runtime.chat.desk import Desk, Done, Unwanted, place_of
from runtime.chat.messages import UPLOAD_BYTES, Document, Medium, Place, Sent
from runtime.chat.renderings import CannotShow, render, render_original
from runtime.chat.status_message import close_status
from runtime.chat.texts import text

Render: TypeAlias = Callable[[Artifact, bytes, str], Medium]
Pair: TypeAlias = tuple[Artifact, Medium]


async def send_result(desk: Desk, delivery: Delivery, job: Job | None) -> Done:
    """Send what the job made, in reply to its command. What an earlier try has sent is not sent again.

    One medium carries caption and buttons. Several are albums, which Telegram gives no buttons: a line of text after
    them has those.
    """
    if job is None or job.state not in ("collected", "delivered"):
        raise Unwanted("the job has no result")
    async with desk.pool.connection() as connection, connection.pipeline():
        outputs = await artifacts.outputs(connection, job.id)
    place, message_ids = place_of(delivery, job), list(delivery.message_ids)
    is_single = len(outputs) == 1
    excuses: list[str] = []
    shown: list[tuple[Artifact, Sent]] = []
    left = [output for output in outputs if not message_ids or output.message_id not in message_ids]

    async for pairs in _rendered(desk, job, left, outputs, render, excuses):
        media = [medium for _, medium in pairs]
        is_compressed = not any(isinstance(medium, Document) for medium in media)
        buttons = desk.result_buttons(job, original=is_compressed) if is_single else ()
        sent = await send_media(desk.gateway, place, media, "" if message_ids else _caption(job), buttons)
        message_ids += [one.message_id for one in sent]
        shown = [(artifact, one) for (artifact, _), one in zip(pairs, sent, strict=True)]
        if not is_single:
            await _save(desk, delivery, shown, message_ids)

    if not message_ids:
        words = _joined(excuses) or text("result.expired", job.language)
        told = await desk.gateway.send_text(place, words, desk.again_button(job))
        message_ids.append(told.message_id)
    elif not is_single:
        place = Place(place.chat_id, place.thread_id, reply_to=message_ids[0])
        words = _joined([*excuses, text("result.actions", job.language)])
        told = await desk.gateway.send_text(place, words, desk.result_buttons(job, original=True))
        message_ids.append(told.message_id)

    async def arrived(connection: AsyncConnection) -> None:
        await _mark_shown(connection, delivery, shown)
        await jobs.mark_delivered(connection, job.id)

    async def take_status_away() -> None:
        await close_status(desk, job.id)

    return Done(message_ids, also=arrived, afterwards=take_status_away)


async def send_original(desk: Desk, delivery: Delivery, job: Job | None) -> Done:
    """Send the artifacts that the payload names as files, pixel by pixel as they were made."""
    async with desk.pool.connection() as connection:
        named = [await artifacts.get(connection, int(number)) for number in delivery.payload.get("artifact_ids") or ()]
    wanted = [artifact for artifact in named if artifact is not None]
    place, message_ids = place_of(delivery, job), list(delivery.message_ids)
    excuses: list[str] = []
    async for pairs in _rendered(desk, job, wanted[len(message_ids) :], wanted, _as_file, excuses):
        sent = await send_media(desk.gateway, place, [medium for _, medium in pairs])
        message_ids += [one.message_id for one in sent]
        await _save(desk, delivery, (), message_ids)
    if not message_ids:
        words = _joined(excuses) or text("result.expired", job.language if job else None)
        message_ids.append((await desk.gateway.send_text(place, words)).message_id)
    return Done(message_ids)


async def _rendered(
    desk: Desk,
    job: Job | None,
    left: Sequence[Artifact],
    all_of_them: Sequence[Artifact],
    as_wanted: Render,
    excuses: list[str],
) -> AsyncIterator[list[Pair]]:
    """What goes into one message each, in order. Why something cannot be shown is added to `excuses`."""
    for some in tens(left):
        pairs: list[Pair] = []
        for artifact in some:
            stem = file_stem(
                job.command if job else artifact.kind, _seed(job), all_of_them.index(artifact), len(all_of_them)
            )
            async with desk.pool.connection() as connection, connection.pipeline():
                content = await artifacts.content(connection, artifact.id)
            if content is None:
                excuses.append(text("result.expired", job.language if job else None))
                continue
            try:
                pairs.append((artifact, await asyncio.to_thread(as_wanted, artifact, content, stem)))
            except CannotShow as error:
                excuses.append(_excuse(error, job.language if job else None))
        start = 0
        for length in runs([medium for _, medium in pairs]):
            yield pairs[start : start + length]
            start += length


def _as_file(artifact: Artifact, content: bytes, stem: str) -> Medium:
    return render_original(content, stem)


def _excuse(error: CannotShow, language: str | None) -> str:
    if error.size_bytes is None:
        return text("result.refused", language)
    megabytes = -(-error.size_bytes // 1_000_000)
    return text("result.too_large", language, megabytes=megabytes, limit=UPLOAD_BYTES // 1_000_000)


def _joined(lines: Sequence[str]) -> str:
    return shortened("\n".join(dict.fromkeys(lines)), TEXT_UNITS)


def _caption(job: Job) -> str:
    took = (job.ended_at - job.started_at).total_seconds() if job.ended_at and job.started_at else None
    prompt = job.arguments.get("prompt")
    return result_caption(
        job.language,
        command=job.command,
        variant=job.variant,
        prompt=prompt if isinstance(prompt, str) else "",
        seed=_seed(job),
        seconds=took,
    )


def _seed(job: Job | None) -> int | None:
    seed = job.arguments.get("seed") if job else None
    return seed if isinstance(seed, int) else None


async def _save(
    desk: Desk, delivery: Delivery, shown: Sequence[tuple[Artifact, Sent]], message_ids: Sequence[int]
) -> None:
    """Write down what has arrived before the next message is tried: it must not be sent twice."""
    async with desk.pool.connection() as connection:
        await _mark_shown(connection, delivery, shown)
        await deliveries.note(connection, delivery.id, message_ids)


async def _mark_shown(connection: AsyncConnection, delivery: Delivery, shown: Sequence[tuple[Artifact, Sent]]) -> None:
    for artifact, sent in shown:
        await artifacts.shown(
            connection, artifact.id, chat_id=delivery.chat_id, message_id=sent.message_id, file_id=sent.file_id
        )
