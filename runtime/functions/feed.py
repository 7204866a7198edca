"""Who waits for news of a job hears of it at once: one connection that listens for a whole process."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Iterator

from db.events import CHANNEL
from db.pool import listen

_ENDS = frozenset({"collected", "failed", "cancelled", "dead"})


class JobFeed:
    """News of jobs. They are hints: what is so is in the tables, and whoever waits looks there now and then anyway.

    ended: set when some job has ended, and when it may have.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._waiting: defaultdict[int, set[asyncio.Event]] = defaultdict(set)
        self.ended = asyncio.Event()

    async def run(self) -> None:
        """Listen until cancelled."""
        async with contextlib.aclosing(listen(self._dsn, CHANNEL)) as feed:  # type: ignore[type-var]
            async for note in feed:
                if note is None:
                    self._stir_everybody()
                    continue
                for waiting in self._waiting.get(int(note["job"]), ()):
                    waiting.set()
                if note["kind"] in _ENDS:
                    self.ended.set()

    def _stir_everybody(self) -> None:
        """News may have been missed."""
        for events in self._waiting.values():
            for event in events:
                event.set()
        self.ended.set()

    @contextlib.contextmanager
    def watching(self, job_id: int) -> Iterator[asyncio.Event]:
        """An event that is set at every news of the job; clear it before looking at the table."""
        event = asyncio.Event()
        self._waiting[job_id].add(event)
        try:
            yield event
        finally:
            self._waiting[job_id].discard(event)
            if not self._waiting[job_id]:
                del self._waiting[job_id]
