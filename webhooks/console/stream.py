"""A page that keeps itself up to date: server-sent events with the parts of it that have changed."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

from db.pool import AWAY
from webhooks.console.errors import NotThere
from webhooks.console.pages import SECONDS, Board, View
from webhooks.leaving import to_its_end

MOST_STREAMS = 64
"""Open pages of one process that are kept up to date."""

ALIVE_SECONDS = 15.0
CHECK_SECONDS = 10.0
"""How often it is asked whether the session lasts."""

RETRY_MILLISECONDS = 2000


class Streams:
    """Those of one process. is_ending: whether the server is about to stop, which waits for no stream."""

    def __init__(self, board: Board, is_ending: Callable[[], bool]) -> None:
        self._board = board
        self._is_ending = is_ending
        self._open = 0

    @property
    def is_full(self) -> bool:
        return self._open >= MOST_STREAMS

    async def follow(self, view: View, is_welcome: Callable[[], Awaitable[bool]]) -> AsyncIterator[str]:
        """Events: `page` with the changed parts, `away` while the database is, `over` when the session is."""
        self._open += 1
        try:
            yield f"retry: {RETRY_MILLISECONDS}\n\n"
            async for event in self._events(view, is_welcome):
                yield event
        finally:
            self._open -= 1

    async def _events(self, view: View, is_welcome: Callable[[], Awaitable[bool]]) -> AsyncIterator[str]:
        clock = asyncio.get_running_loop().time
        shown: dict[str, str] = {}
        spoke_at = checked_at = clock()
        is_away = False
        while not self._is_ending():
            try:
                if clock() - checked_at >= CHECK_SECONDS:
                    checked_at = clock()
                    with to_its_end():
                        lasts = await is_welcome()
                    if not lasts:
                        yield _event("over", {})
                        return
                with to_its_end():
                    parts, at = await self._board.live(view)
            except AWAY:
                if not is_away:
                    yield _event("away", {})
                is_away = True
            except NotThere:
                yield _event("gone", {})
                return
            else:
                changed = {name: html for name, html in parts.items() if shown.get(name) != html}
                if changed or is_away:
                    yield _event("page", {"at": at, "parts": changed})
                    shown.update(changed)
                    spoke_at = clock()
                is_away = False
            if clock() - spoke_at >= ALIVE_SECONDS:
                yield ": alive\n\n"
                spoke_at = clock()
            await asyncio.sleep(SECONDS)


def _event(kind: str, content: object) -> str:
    return f"event: {kind}\ndata: {json.dumps(content, ensure_ascii=False)}\n\n"
