"""Telling whoever listens (chat pages, waiting tests) that a chat has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ChatEvent:
    """A change one may see in a chat: message, edit, delete, action, answer, commands, reaction, status.

    audience: the only user who sees it, None for everybody in the chat; chat_id None for all chats.
    """

    kind: str
    chat_id: int | None
    payload: dict[str, Any]
    audience: int | None = None


class Waiters:
    """Sleepers who look again after every change."""

    def __init__(self) -> None:
        self._sleeping: set[asyncio.Future[None]] = set()

    def wake(self) -> None:
        sleeping, self._sleeping = self._sleeping, set()
        for sleeper in sleeping:
            if not sleeper.done():
                sleeper.set_result(None)

    async def until(self, find: Callable[[], T | None]) -> T:
        """The first value of `find()` that is not None; asked now and after every `wake()`."""
        while True:
            found = find()
            if found is not None:
                return found
            await self.next()

    async def next(self) -> None:
        """Return after the next `wake()`."""
        sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleeping.add(sleeper)
        try:
            await sleeper
        finally:
            self._sleeping.discard(sleeper)


class Events:
    """Hands every `ChatEvent` to all subscribers and wakes all waiters."""

    def __init__(self) -> None:
        self.waiters = Waiters()
        self._subscribers: set[asyncio.Queue[ChatEvent]] = set()

    def publish(
        self, kind: str, chat_id: int | None, payload: dict[str, Any] | None = None, audience: int | None = None
    ) -> None:
        event = ChatEvent(kind, chat_id, payload or {}, audience)
        for queue in self._subscribers:
            queue.put_nowait(event)
        self.waiters.wake()

    def subscribe(self) -> asyncio.Queue[ChatEvent]:
        queue: asyncio.Queue[ChatEvent] = asyncio.Queue()
        self._subscribers.add(queue)
        return queue

    def unsubscribe(self, queue: asyncio.Queue[ChatEvent]) -> None:
        self._subscribers.discard(queue)
