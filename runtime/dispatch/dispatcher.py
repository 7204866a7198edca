"""Runs every stored update to its effect: at once, in order per chat, and again after a crash.

The table is the truth. What the receiver hands over only says in which lanes there is work; each lane takes its oldest
pending update, in one transaction with its effect, until there is none. A sweep finds lanes that a crash left behind.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import structlog
from psycopg import AsyncConnection

from db import updates
from db.pool import AWAY, Pool, is_away
from db.updates import Lane, LaneBusy, StoredUpdate
from runtime import metrics
from runtime.chat.errors import TelegramFailed
from runtime.chat.gateway import TelegramGateway
from runtime.dispatch.effect import apologize, take_effect, writer
from runtime.dispatch.effects import Answer, BotNameUnknown, Effects, Scene
from runtime.dispatch.queue_length import QueueLength
from runtime.dispatch.update import NotUnderstood, Update, read_update
from runtime.logs import where
from runtime.registry import LiveRegistry

log = structlog.get_logger("veilrun.dispatch")

TRIES = 3
RETRY_SECONDS = 0.2
BUSY_SECONDS = 0.05
AWAY_SECONDS = 1.0
AT_ONCE = 8  # lanes that take effect in parallel
LEFT_BEHIND_SECONDS = 3.0
STATUS_SECONDS = 0.3
STOP_SECONDS = 5.0


@dataclass(slots=True)
class _Work:
    """What is to be done in one lane: the updates handed over, and whether a sweep saw more."""

    handed_over: set[int] = field(default_factory=set)
    is_swept: bool = False

    @property
    def is_left(self) -> bool:
        return self.is_swept or bool(self.handed_over)


class Dispatcher:
    """Dispatch in one process. Several processes may run one each: locks in the database keep every chat's order.

    on_jobs: called after a commit that added a job or freed a slot. on_deliveries: called with the messages owed.
    """

    def __init__(
        self,
        *,
        pool: Pool,
        live: LiveRegistry,
        gateway: TelegramGateway,
        on_jobs: Callable[[], Awaitable[None]],
        on_deliveries: Callable[[Sequence[int]], Awaitable[None]],
        sweep_seconds: float = 2.0,
    ) -> None:
        self._pool = pool
        self._live = live
        self._gateway = gateway
        self._on_jobs = on_jobs
        self._on_deliveries = on_deliveries
        self._sweep_seconds = sweep_seconds
        self._queue_length = QueueLength(live.current.limits.queued)
        self._lanes: dict[Lane, _Work] = {}
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Future[Any]] = set()
        self._timers: set[asyncio.TimerHandle] = set()
        self._sweeper: asyncio.Task[None] | None = None
        self._naming: asyncio.Task[None] | None = None
        self._bot_name: str | None = None
        self._stopping = asyncio.Event()
        self._is_waiting = False

    @property
    def is_alive(self) -> bool:
        """Whether it runs and sweeps."""
        return self._sweeper is not None and not self._sweeper.done()

    async def start(self) -> None:
        """Begin, with what was left behind."""
        self._sweeper = asyncio.create_task(self._sweep(), name="dispatch-sweep")
        self._learn_name()

    async def stop(self) -> None:
        """Let what takes effect now end, for `STOP_SECONDS` at most; take nothing new."""
        self._stopping.set()
        background = [task for task in (self._sweeper, self._naming) if task is not None]
        for one in background:
            one.cancel()
        for timer in self._timers:
            timer.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await self.idle()
        for task in self._tasks:
            task.cancel()
        await self.idle()

    async def idle(self) -> None:
        """Return when every update handed over has taken effect, with what follows it."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def accept(self, stored: Sequence[StoredUpdate]) -> None:
        """These updates are in the table now."""
        for update in stored:
            self._work_in(update.lane).handed_over.add(update.update_id)

    def _work_in(self, lane: Lane) -> _Work:
        """The work of the lane, which begins if it was idle."""
        work = self._lanes.get(lane)
        if work is None:
            work = self._lanes[lane] = _Work()
            self._spawn(self._run(lane, work))
        return work

    async def _run(self, lane: Lane, work: _Work) -> None:
        try:
            while work.is_left and not self._stopping.is_set():
                async with self._at_once:
                    pause_seconds = await self._next(lane, work)
                if pause_seconds:
                    await self._pause(pause_seconds)
        finally:
            del self._lanes[lane]

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _next(self, lane: Lane, work: _Work) -> float:
        """Run the oldest pending update of the lane, if there is one. Seconds to wait before the next."""
        started = time.perf_counter()
        looked_for = frozenset(work.handed_over)  # what comes from here on may not be in sight yet
        update: StoredUpdate | None = None
        effects = Effects()
        try:
            async with self._pool.connection() as connection, connection.pipeline():
                update = await updates.take(connection, lane)
                if update is not None:
                    await updates.mark_done(connection, update)
                    await self._take_effect(connection, update, effects)
        except LaneBusy:  # another process is at work on it
            return BUSY_SECONDS
        except BotNameUnknown:
            self._learn_name()
            return RETRY_SECONDS
        except Exception as error:  # noqa: BLE001  whatever it is, it must not hold up the chat for ever
            return await self._failed(update, error)
        self._is_waiting = False
        if update is None:
            work.handed_over -= looked_for
            work.is_swept = False
            return 0.0
        work.handed_over.discard(update.update_id)
        metrics.updates_dispatched.labels("done").inc()
        metrics.dispatch_seconds.observe(time.perf_counter() - started)
        self._follow(effects)
        return 0.0

    async def _take_effect(self, connection: AsyncConnection, stored: StoredUpdate, effects: Effects) -> None:
        update = read_update(stored.body)
        await take_effect(self._scene(connection, stored, update, effects), update)

    def _scene(self, connection: AsyncConnection, stored: StoredUpdate, update: Update, effects: Effects) -> Scene:
        user = writer(update)
        edition = self._live.edition
        self._queue_length.bound = edition.registry.limits.queued
        return Scene(
            connection=connection,
            registry=edition.registry,
            command_ids=edition.command_ids,
            bot_id=stored.bot_id,
            update_id=stored.update_id,
            language=user.language_code if user else None,
            effects=effects,
            queue_length=self._queue_length,
            bot_name=self._bot_name,
        )

    async def _failed(self, update: StoredUpdate | None, error: Exception) -> float:
        """Count the failure; after the last try the update is set aside and its chat goes on. Seconds to wait."""
        if update is None or is_away(error):
            return self._wait_for_others(error)
        tries = 1 if isinstance(error, NotUnderstood) else TRIES
        try:
            async with self._pool.connection() as connection:
                is_set_aside = await updates.count_failure(connection, update, type(error).__name__, most=tries)
        except AWAY as away:
            return self._wait_for_others(away)
        log.error(
            "update failed",
            update=update.update_id,
            error=type(error).__name__,
            where=where(error),
            set_aside=is_set_aside,
        )
        metrics.updates_dispatched.labels("set_aside" if is_set_aside else "failed").inc()
        if not is_set_aside:
            return RETRY_SECONDS
        await self._apologize(update)
        return 0.0

    async def _apologize(self, stored: StoredUpdate) -> None:
        effects = Effects()
        try:
            update = read_update(stored.body)
            async with self._pool.connection() as connection:
                await apologize(self._scene(connection, stored, update, effects), update)
        except Exception as error:  # noqa: BLE001  what made the update fail may do so here again
            log.info("nobody told of it", update=stored.update_id, error=type(error).__name__)
        else:
            self._follow(effects)

    def _wait_for_others(self, error: Exception) -> float:
        if not self._is_waiting:  # one line for all lanes
            log.warning("dispatch waits", error=type(error).__name__)
        self._is_waiting = True
        return AWAY_SECONDS

    def _follow(self, effects: Effects) -> None:
        """What comes after the commit. If the process dies here, the sweepers do it."""
        if effects.answer:
            self._spawn(self._answer(effects.answer))
        if effects.jobs_moved:
            self._spawn(self._on_jobs())
        if effects.due_seconds is not None:
            self._spawn_later(effects.due_seconds, self._on_jobs)
        if effects.deliveries:
            self._spawn(self._on_deliveries(effects.deliveries))
        if effects.statuses:  # a job that is over by then needs none: it would only flash by
            self._spawn_later(STATUS_SECONDS, partial(self._on_deliveries, effects.statuses))

    async def _answer(self, answer: Answer) -> None:
        try:
            await self._gateway.answer_callback(answer.query_id, answer.text, answer.alert)
        except TelegramFailed as error:
            log.info("button not answered", error=type(error).__name__)

    def _learn_name(self) -> None:
        if self._naming is None or self._naming.done():
            self._naming = asyncio.create_task(self._ask_name(), name="dispatch-name")

    async def _ask_name(self) -> None:
        """Ask Telegram for the bot's name until it answers. No transaction waits for that."""
        while self._bot_name is None:
            try:
                self._bot_name = await self._gateway.username()
            except TelegramFailed as error:
                log.warning("the name of the bot is not known yet", error=type(error).__name__)
                await asyncio.sleep(AWAY_SECONDS)

    async def _sweep(self) -> None:
        older_than = 0.0
        while True:
            try:
                async with self._pool.connection() as connection:
                    left = await updates.pending_lanes(connection, older_than)
            except AWAY as error:
                log.warning("dispatch sweep failed, next one soon", error=type(error).__name__)
            else:
                for lane in left:
                    self._work_in(lane).is_swept = True
                older_than = LEFT_BEHIND_SECONDS
            await asyncio.sleep(self._sweep_seconds)

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _spawn_later(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        def begin() -> None:
            self._timers.discard(timer)
            self._spawn(work())

        timer = asyncio.get_running_loop().call_later(seconds, begin)
        self._timers.add(timer)

    def _ended(self, task: "asyncio.Future[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task failed", error=type(error).__name__, where=where(error))
