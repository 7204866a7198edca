"""The status messages of all jobs, kept true: one process of the deployment edits them all."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from db import statuses
from db.jobs import COUNTED
from db.pool import AWAY, Pool
from runtime.chat.desk import Desk
from runtime.chat.errors import RetryLater, TelegramFailed
from runtime.chat.gateway import TelegramGateway
from runtime.chat.pacing import Pacer
from runtime.chat.status_message import refresh_status

log = structlog.get_logger("veilrun.status")

REFRESH_SECONDS = 30.0
QUEUE_SECONDS = 1.0
RETRY_SECONDS = 5.0
COUNT_DOWN_SECONDS = 2.0
LEAD_SECONDS = 1.0

_MOVES_QUEUE = frozenset({"queued", "placed", "cancelled", "failed", "dead"})
_BY_HAND = frozenset({"cancelled", "cancel_requested"})  # somebody has just pressed a button, and looks
_RESULT_SPEAKS = frozenset({"collected", "delivered", "failed", "dead"})


class Clock(Protocol):
    """Time as the editor sees it, so that tests can run minutes in no time."""

    def time(self) -> float:
        """Seconds that never go back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return once `time()` has moved on by `seconds`."""
        ...


class SteadyClock:
    """The machine's own."""

    def time(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass(slots=True)
class _Watched:
    chat_id: int
    position: int | None = None
    said: str | None = None
    due: float | None = None  # when time alone will have made something else true


class StatusEditor:
    """Edits the status message of every open job, throttled per chat; the latest state wins.

    Every web process runs one; the one that holds the lead works, the others wait to take over.
    """

    def __init__(self, dsn: str, pool: Pool, gateway: TelegramGateway, *, clock: Clock | None = None) -> None:
        self._dsn = dsn
        self._desk = Desk(pool, gateway)
        self._clock = clock or SteadyClock()
        self._reset()

    def _reset(self) -> None:
        self._pacer = Pacer()
        self._watched: dict[int, _Watched] = {}
        self._stirred = asyncio.Event()
        self._queue_moved = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            try:
                async with contextlib.aclosing(statuses.lead(self._dsn)) as feed:
                    await anext(feed)
                    self._reset()
                    await self._refresh()
                    async with asyncio.TaskGroup() as tasks:
                        tasks.create_task(self._hear(feed))
                        tasks.create_task(self._edit_when_due(tasks))
                        tasks.create_task(self._follow_queue())
                        tasks.create_task(self._count_down())
                        tasks.create_task(self._refresh_now_and_then())
            except* AWAY:
                log.warning("lead lost, trying to take it again")
            await asyncio.sleep(LEAD_SECONDS)

    async def _hear(self, feed: AsyncIterator[dict[str, Any] | None]) -> None:
        async for event in feed:
            if event is not None:
                self._take_in(event)

    def _take_in(self, event: dict[str, Any]) -> None:
        job_id, kind = int(event["job"]), event["kind"]
        if kind == "status":
            due = self._due(event.get("changes_in"))  # a process of an older version does not tell
            self._watched[job_id] = _Watched(int(event["chat"]), said=event["said"], due=due)
        if kind in _MOVES_QUEUE:
            self._queue_moved.set()
        if job_id not in self._watched:
            return
        if kind in _RESULT_SPEAKS:
            self._forget(job_id)
        else:
            self._want(job_id, is_urgent=kind in _BY_HAND)

    def _want(self, job_id: int, *, is_urgent: bool = False) -> None:
        self._pacer.want(job_id, self._watched[job_id].chat_id, is_urgent=is_urgent)
        self._stirred.set()

    def _due(self, changes_in: float | None) -> float | None:
        return None if changes_in is None else self._clock.time() + changes_in

    def _forget(self, job_id: int) -> None:
        self._watched.pop(job_id, None)
        self._pacer.forget(job_id)

    async def _refresh_now_and_then(self) -> None:
        while True:
            await self._clock.sleep(REFRESH_SECONDS)
            await self._refresh()

    async def _refresh(self) -> None:
        """Look at the table: what is to be watched, what an end that nobody noticed has left over."""
        async with self._desk.pool.connection() as connection:
            found = await statuses.watched(connection)
        for shown in found:
            watched = self._watched.setdefault(shown.job_id, _Watched(shown.chat_id))
            watched.position = shown.position
            if watched.said is None or shown.position is None or shown.position <= COUNTED:
                self._want(shown.job_id)
        for job_id in self._watched.keys() - {shown.job_id for shown in found}:
            self._forget(job_id)

    async def _follow_queue(self) -> None:
        """When the queue moves, the waiting jobs whose place has changed are edited."""
        while True:
            await self._queue_moved.wait()
            self._queue_moved.clear()
            async with self._desk.pool.connection() as connection:
                positions = await statuses.positions(connection)
            for job_id, position in positions.items():
                watched = self._watched.get(job_id)
                if watched is not None and watched.position != position:
                    watched.position = position
                    self._want(job_id)
            await self._clock.sleep(QUEUE_SECONDS)

    async def _count_down(self) -> None:
        """The time that is left grows shorter though nothing happens."""
        while True:
            await self._clock.sleep(COUNT_DOWN_SECONDS)
            now = self._clock.time()
            for job_id, watched in self._watched.items():
                if watched.due is not None and watched.due <= now:
                    watched.due = None
                    self._want(job_id)

    async def _edit_when_due(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            self._stirred.clear()
            while (job_id := self._pacer.next(self._clock.time())) is not None:
                tasks.create_task(self._edit(job_id))
            await self._until_due()

    async def _until_due(self) -> None:
        wake_at = self._pacer.wake_at()
        waits: list[asyncio.Task[Any]] = [asyncio.create_task(self._stirred.wait())]
        if wake_at is not None:
            waits.append(asyncio.create_task(self._sleep_until(wake_at)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _sleep_until(self, when: float) -> None:
        await self._clock.sleep(max(when - self._clock.time(), 0.0))

    async def _edit(self, job_id: int) -> None:
        watched = self._watched.get(job_id)
        try:
            if watched is not None:
                said = await refresh_status(self._desk, job_id, watched.said)
                if said is None:
                    self._forget(job_id)
                else:
                    watched.said, watched.due = said.text, self._due(said.changes_in)
        except RetryLater as error:
            self._later(job_id, error.seconds)
        except TelegramFailed as error:
            log.info("status not edited", job=job_id, outcome=type(error).__name__)
            self._later(job_id, RETRY_SECONDS)
        finally:
            self._pacer.done(job_id, self._clock.time())
            self._stirred.set()

    def _later(self, job_id: int, seconds: float) -> None:
        if (watched := self._watched.get(job_id)) is not None:
            self._pacer.hush(watched.chat_id, self._clock.time() + seconds)
            self._want(job_id)
