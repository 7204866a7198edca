"""Waiting for the end, and reading the books: from the database, the GPUs' journals and the chats."""

import asyncio
import json
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import psycopg

from runtime.sandbox.telegram import Chat
from tests.chaos.books import Books, Ended, Killed, Run, Try, Wanted, gaps
from tests.chaos.crowd import Asked
from tests.chaos.field import Field, Gpu

LOOK_SECONDS = 0.5
NUMBER = re.compile(r"\bnr(\d{5})\b")
SAMPLER = "Sampler"

OPEN = """
    select (select count(*) from updates where state = 'pending') as updates,
           (select count(*) from jobs where state in ('queued', 'placed', 'running')) as jobs,
           (select count(*) from deliveries where state in ('pending', 'sending')) as deliveries
"""
JOBS = """
    select jobs.id, chat_id, message_id, state, error, arguments ->> 'prompt', extract(epoch from created_at)::float8,
        extract(epoch from ended_at)::float8,
        (select state from deliveries where deliveries.job_id = jobs.id and kind = 'result') as result
    from jobs order by id
"""
TRIES = """
    select job_id, number, worker, backend, extract(epoch from started_at)::float8,
        extract(epoch from coalesce(ended_at, now()))::float8, coalesce(outcome, 'open'), error
    from attempts order by job_id, number
"""


async def settled(field: Field, seconds: float) -> str | None:
    """Wait until nothing is left to be done. What is left after so long, or None."""
    deadline = time.monotonic() + seconds
    left = "nothing was seen"
    while time.monotonic() < deadline:
        await asyncio.sleep(LOOK_SECONDS)
        posted = field.telegram.pending_updates
        try:
            async with await field.connect() as connection:
                row = await (await connection.execute(OPEN)).fetchone()
        except psycopg.OperationalError:
            continue
        assert row is not None
        left = f"{posted} updates at Telegram, {row[0]} updates, {row[1]} jobs and {row[2]} messages"
        if not posted and not any(row):
            return None
    return left


async def reckon(field: Field, asked: Sequence[Asked]) -> Books:
    """Everything that was seen."""
    async with await field.connect() as connection:
        jobs = await (await connection.execute(JOBS)).fetchall()
        tries = await (await connection.execute(TRIES)).fetchall()
        counted = await (await connection.execute("select job_id, kind, count(*) from events group by 1, 2")).fetchall()
        failed = await (await connection.execute("select count(*) from updates where state = 'failed'")).fetchone()
    events: dict[int, dict[str, int]] = defaultdict(dict)
    for job_id, kind, count in counted:
        events[job_id][kind] = count
    assert failed is not None
    return Books(
        wanted=_wanted(asked, jobs),
        jobs=[
            Ended(id_, _number(prompt), state, error, created, ended or time.time(), events[id_], result)
            for id_, _, _, state, error, prompt, created, ended, result in jobs
        ],
        tries=[Try(one[0], one[1], int(one[2].split(":")[1]), *one[3:]) for one in tries],
        runs=[run for gpu in field.gpus for run in runs_of(gpu)],
        killed=[Killed(blow.at, blow.target, blow.pid) for blow in field.blows if blow.pid is not None],
        outages=field.database.outages,
        unmanned=gaps(span for worker in field.workers for span in worker.manned()),
        cuts=[(blow.at, blow.target) for blow in field.blows if blow.kind in ("socket cut", "line cut")],
        blows=Counter(blow.kind for blow in field.blows),
        updates_failed=failed[0],
    )


def _wanted(asked: Sequence[Asked], jobs: Sequence[tuple[Any, ...]]) -> list[Wanted]:
    became: dict[tuple[int, int], list[int]] = defaultdict(list)
    for job_id, chat_id, message_id, *_ in jobs:
        became[chat_id, message_id].append(job_id)
    return [
        Wanted(one.number, one.pictures, became[one.chat.id, one.message_id], _shown(one.chat, one.message_id))
        for one in asked
    ]


def _shown(chat: Chat, message_id: int) -> int:
    """Pictures in reply to the message, also those that were deleted since."""
    return sum(
        message.from_bot
        and message.photo is not None
        and message.reply_to is not None
        and message.reply_to.message_id == message_id
        for message in chat.room.messages.values()
    )


def runs_of(gpu: Gpu) -> Iterable[Run]:
    """The runs in a GPU's journal. The same prompt may have been posted again after a kill."""
    numbers: dict[str, int] = {}
    samplers: dict[str, set[str]] = {}
    queued: dict[str, float] = {}
    begun: dict[str, float] = {}
    for line in gpu.runs.read_text().splitlines() if gpu.runs.exists() else ():
        entry = json.loads(line)
        at, prompt_id = entry["at"], entry["prompt_id"]
        match entry["moment"]:
            case "queued":
                graph = entry["graph"]
                numbers[prompt_id] = _number(json.dumps(graph))
                samplers[prompt_id] = {name for name, node in graph.items() if SAMPLER in node["class_type"]}
                queued[prompt_id] = at
            case "began":
                if prompt_id in begun:
                    yield Run(numbers[prompt_id], gpu.name, queued[prompt_id], begun[prompt_id], None, True)
                begun[prompt_id] = at
            case "ended":
                is_rendering = not samplers[prompt_id].isdisjoint(entry["executed"])
                yield Run(numbers[prompt_id], gpu.name, queued[prompt_id], begun.pop(prompt_id), at, is_rendering)
    for prompt_id, at in begun.items():
        yield Run(numbers[prompt_id], gpu.name, queued[prompt_id], at, None, True)


def _number(text: str | None) -> int:
    found = NUMBER.search(text or "")
    return int(found[1]) if found else -1
