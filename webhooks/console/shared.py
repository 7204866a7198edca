"""What everybody who looks has in common is made once a second."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")
KEPT = 200
"""So many things are remembered at most."""


@dataclass(slots=True)
class _Made:
    value: Any = None
    at: float = float("-inf")
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Shared:
    """Remembers each thing for `seconds`; of several who want it at once one makes it, and the others wait for that."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._made: dict[Hashable, _Made] = {}

    async def get(self, key: Hashable, make: Callable[[], Awaitable[T]], *, seconds: float | None = None) -> T:
        """What `make` gave not longer ago than `seconds`. Raises what it raises."""
        made = self._made.pop(key, None) or _Made()
        self._made[key] = made  # the newest last
        while len(self._made) > KEPT:
            del self._made[next(iter(self._made))]
        async with made.lock:
            if self._clock() - made.at >= (self._seconds if seconds is None else seconds):
                made.value = await make()
                made.at = self._clock()
            value: T = made.value
            return value

    def forget(self) -> None:
        """Somebody has changed something: make everything anew."""
        self._made.clear()
