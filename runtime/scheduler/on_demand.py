"""Something for each key, opened when first used and closed when nobody has used it for a while."""

import asyncio
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import structlog

log = structlog.get_logger("veilrun.fleet")

IDLE_SECONDS = 300.0
"""How long something is kept that nobody uses."""

KEPT = 64
"""Of more than so many, those that have been idle for longest are closed at once."""


class Closable(Protocol):
    """What can be kept."""

    async def close(self) -> None: ...


K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=Closable)


@dataclass(slots=True)
class _Kept(Generic[V]):
    value: V
    users: int = 0
    closing: asyncio.TimerHandle | None = None


class OnDemand(Generic[K, V]):
    """Opened by `open`, without waiting; what is in use is never closed, however many there are.

    with on_demand.use(key) as value: …
    """

    def __init__(self, open: Callable[[], V], *, idle_seconds: float = IDLE_SECONDS, kept: int = KEPT) -> None:
        self._open = open
        self._idle_seconds = idle_seconds
        self._bound = kept
        self._kept: dict[K, _Kept[V]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._kept)

    @contextmanager
    def use(self, key: K) -> Iterator[V]:
        """The one for `key`, which stays open for the context at least."""
        kept = self._kept.pop(key, None) or _Kept(self._open())
        self._kept[key] = kept  # last, so that the order is that of use
        if kept.closing is not None:
            kept.closing.cancel()
        kept.users += 1
        self._close_surplus()
        try:
            yield kept.value
        finally:
            kept.users -= 1
            if kept.users == 0 and self._kept.get(key) is kept:
                loop = asyncio.get_running_loop()
                kept.closing = loop.call_later(self._idle_seconds, self._drop, key)
                self._close_surplus()

    async def close(self) -> None:
        """Close everything, used or not. Raises the first error that came of it."""
        for key in list(self._kept):
            self._drop(key)
        await asyncio.gather(*self._closing)

    def _close_surplus(self) -> None:
        surplus = len(self._kept) - self._bound
        for key in [key for key, kept in self._kept.items() if kept.users == 0][: max(surplus, 0)]:
            self._drop(key)

    def _drop(self, key: K) -> None:
        kept = self._kept.pop(key)
        if kept.closing is not None:
            kept.closing.cancel()
        task = asyncio.create_task(kept.value.close())
        self._closing.add(task)
        task.add_done_callback(self._closed)

    def _closed(self, task: asyncio.Task[None]) -> None:
        self._closing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("connections not closed in good order", error=type(error).__name__)
