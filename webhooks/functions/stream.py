"""A job's life as server-sent events: its states from the table of events, each with an id to go on from; progress as
it is now, without one.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from db import functions
from db.events import Event
from db.jobs import State
from db.pool import AWAY
from db.tokens import Token
from runtime.functions.errors import NotFound
from runtime.functions.job_errors import code_of
from runtime.functions.views import PUBLIC, progress_view
from webhooks.functions.sharing import LOOK_SECONDS, Sharing
from webhooks.leaving import to_its_end

RETRY_MILLISECONDS = 2000

_STATES: dict[str, State] = {state: state for state in PUBLIC if state != "delivered"}


async def follow(shared: Sharing, token: Token, job_id: int, seen: int) -> AsyncIterator[str]:
    """The events after the one with the id `seen`, until the job is over or the server is about to stop.

    While the database is away the stream stays open and silent but for its comments.
    """
    clock = asyncio.get_running_loop().time
    spoke_at, shown = clock(), ""
    yield f"retry: {RETRY_MILLISECONDS}\n\n"
    with shared.streaming(token), shared.feed.watching(job_id) as news:
        while not shared.is_ending():
            news.clear()
            try:
                with to_its_end():
                    job = await shared.job(
                        token, job_id
                    )  # before its events: of an end that it shows they tell as well
                    async with shared.pool.connection() as connection:
                        events = await functions.events_after(connection, job_id, seen)
                        end = await shared.viewer.single(connection, job) if job.is_over else None
            except NotFound:
                return
            except AWAY:
                events, end, progress = [], None, None
            else:
                progress = progress_view(job)
            for event in events:
                seen = event.id
                if event.kind in _STATES:
                    # The id of the last one comes with the end: whoever lost that gets both again.
                    is_last = end is not None and event is events[-1]
                    yield _written("state", _told(event), None if is_last else event.id)
                    spoke_at = clock()
            if end is not None:
                yield _written("end", end.model_dump(mode="json"), seen)
                return
            if progress is not None and (said := progress.model_dump_json()) != shown:
                shown = said
                yield _written("progress", progress.model_dump())
                spoke_at = clock()
            if clock() - spoke_at >= shared.alive_seconds:
                yield ": alive\n\n"
                spoke_at = clock()
            await shared.news(news, min(LOOK_SECONDS, shared.alive_seconds))


def _told(event: Event) -> dict[str, Any]:
    told: dict[str, Any] = {"state": PUBLIC[_STATES[event.kind]], "at": event.at.isoformat()}
    told |= {name: event.data[name] for name in ("backend", "attempt") if event.data.get(name) is not None}
    if event.data.get("error"):
        told["error"] = code_of(event.data["error"])
    return told


def _written(kind: str, content: object, number: int | None = None) -> str:
    """One event. JSON without line breaks is one line of data."""
    begin = f"id: {number}\n" if number is not None else ""
    return f"{begin}event: {kind}\ndata: {json.dumps(content)}\n\n"
