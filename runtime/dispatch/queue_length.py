"""How long the queue is, known to each request at next to no cost."""

import asyncio
import time

from psycopg import AsyncConnection

from db import admission

COUNT_SECONDS, FULL_SECONDS = 1.0, 0.2
"""For how long a count is good while there is room, and when there is none: then those counted on are committed."""


class QueueLength:
    """How many jobs may still be queued in the whole deployment, which lets `bound` wait; None = no bound.

    Counted once a second at most while there is room, and what this process lets in meanwhile is added: so several
    processes together may go beyond the bound by what the others let in within a second.
    """

    def __init__(self, bound: int | None) -> None:
        self.bound = bound
        self._waiting = 0
        self._counted_at = float("-inf")
        self._counting = asyncio.Lock()

    async def take(self, connection: AsyncConnection) -> bool:
        """Whether there is room for one more, which counts from now on."""
        if self.bound is None:
            return True
        async with self._counting:
            age = time.monotonic() - self._counted_at
            if age > COUNT_SECONDS or (self._waiting >= self.bound and age > FULL_SECONDS):
                self._waiting = await admission.waiting(connection, self.bound)
                self._counted_at = time.monotonic()
            if self._waiting >= self.bound:
                return False
            self._waiting += 1
            return True
