"""Runs every stored update to its effect: at once, in order per chat, and again after a crash.

The table is the truth. What the receiver hands over only says in which lanes there is work; each lane takes its oldest
pending update, in one transaction with its effect, until there is none. A sweep finds lanes that a crash left behind.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog
from psycopg import AsyncConnection

from db import updates
from db.pool import AWAY, Pool
from db.updates import Lane, LaneBusy, StoredUpdate
from runtime import metrics
from runtime.chat.errors import TelegramFailed
from runtime.chat.gateway import TelegramGateway
from runtime.dispatch.effect import take_effect, writer
from runtime.dispatch.effects import Answer, Effects, Scene
from runtime.dispatch.update import NotUnderstood, read_update
from runtime.registry import Registry

log = structlog.get_logger("veilrun.dispatch")

TRIES = 3
RETRY_SECONDS = 0.2
BUSY_SECONDS = 0.05
AWAY_SECONDS = 1.0
AT_ONCE = 8  # lanes that take effect in parallel
LEFT_BEHIND_SECONDS = 3.0
STATUS_SECONDS = 0.3


class Dispatcher:
    """Dispatch in one process. Several processes may run one each: locks in the database keep every chat's order.

    on_jobs: called after a commit that added a job or freed a slot. on_deliveries: called with the messages owed.
    """

    def __init__(
        self,
        *,
        pool: Pool,
        registry: Registry,
        command_ids: Mapping[str, int],
        gateway: TelegramGateway,
        on_jobs: Callable[[], Awaitable[None]],
        on_deliveries: Callable[[Sequence[int]], Awaitable[None]],
        sweep_seconds: float = 2.0,
    ) -> None:
        self._pool = pool
        self._registry = registry
        self._command_ids = command_ids
        self._gateway = gateway
        self._on_jobs = on_jobs
        self._on_deliveries = on_deliveries
        self._sweep_seconds = sweep_seconds
        self._lanes: dict[Lane, bool] = {}  # active lane -> whether more came while it was at work
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Future[Any]] = set()
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def is_alive(self) -> bool:
        """Whether it runs and sweeps."""
        return self._sweeper is not None and not self._sweeper.done()

    async def start(self) -> None:
        """Begin, with what was left behind."""
        self._sweeper = asyncio.create_task(self._sweep(), name="dispatch-sweep")

    async def stop(self) -> None:
        """Let what takes effect now end; take nothing new."""
        if self._sweeper:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        await self.idle()

    async def idle(self) -> None:
        """Return when every update handed over has taken effect, with what follows it."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def accept(self, stored: Sequence[StoredUpdate]) -> None:
        """There is work in the lanes of these updates."""
        for update in stored:
            self._wake(update.lane)

    def _wake(self, lane: Lane) -> None:
        if lane in self._lanes:
            self._lanes[lane] = True
        else:
            self._lanes[lane] = False
            self._spawn(self._work(lane))

    async def _work(self, lane: Lane) -> None:
        try:
            while True:
                self._lanes[lane] = False
                async with self._at_once:
                    worked = await self._next(lane)
                if not worked and not self._lanes[lane]:
                    break
        finally:
            del self._lanes[lane]

    async def _next(self, lane: Lane) -> bool:
        """Run the oldest pending update of the lane. False if there was none."""
        started = time.perf_counter()
        update: StoredUpdate | None = None
        effects = Effects()
        try:
            async with self._pool.connection() as connection:
                update = await updates.take(connection, lane)
                if update is None:
                    return False
                await self._take_effect(connection, update, effects)
                await updates.mark_done(connection, update)
        except LaneBusy:  # another process is at work on it
            await asyncio.sleep(BUSY_SECONDS)
            return True
        except (*AWAY, TelegramFailed) as error:  # nothing the update can be blamed for
            log.warning("dispatch waits", error=type(error).__name__)
            await asyncio.sleep(AWAY_SECONDS)
            return True
        except Exception as error:
            if update is None:
                raise
            await self._failed(update, error)
            return True
        metrics.updates_dispatched.labels("done").inc()
        metrics.dispatch_seconds.observe(time.perf_counter() - started)
        self._follow(effects)
        return True

    async def _take_effect(self, connection: AsyncConnection, stored: StoredUpdate, effects: Effects) -> None:
        update = read_update(stored.body)
        user = writer(update)
        scene = Scene(
            connection=connection,
            registry=self._registry,
            command_ids=self._command_ids,
            bot_id=stored.bot_id,
            update_id=stored.update_id,
            language=user.language_code if user else None,
            effects=effects,
            username=self._gateway.username,
        )
        await take_effect(scene, update)

    async def _failed(self, update: StoredUpdate, error: Exception) -> None:
        """Count the failure; after the last try the update is set aside and its chat goes on."""
        tries = 1 if isinstance(error, NotUnderstood) else TRIES
        async with self._pool.connection() as connection:
            is_set_aside = await updates.count_failure(connection, update, type(error).__name__, most=tries)
        log.error("update failed", update=update.update_id, error=type(error).__name__, set_aside=is_set_aside)
        log.debug("update failed", update=update.update_id, exc_info=error)
        metrics.updates_dispatched.labels("set_aside" if is_set_aside else "failed").inc()
        if not is_set_aside:
            await asyncio.sleep(RETRY_SECONDS)

    def _follow(self, effects: Effects) -> None:
        """What comes after the commit. If the process dies here, the sweepers do it."""
        if effects.jobs_moved:
            self._spawn(self._on_jobs())
        if effects.deliveries:
            self._spawn(self._on_deliveries(effects.deliveries))
        if effects.statuses:
            self._spawn(self._say_later(effects.statuses))
        if effects.answer:
            self._spawn(self._answer(effects.answer))

    async def _say_later(self, statuses: Sequence[int]) -> None:
        """A job that is over by then needs no status message: it would only flash by."""
        await asyncio.sleep(STATUS_SECONDS)
        await self._on_deliveries(statuses)

    async def _answer(self, answer: Answer) -> None:
        try:
            await self._gateway.answer_callback(answer.query_id, answer.text, answer.alert)
        except TelegramFailed as error:
            log.info("button not answered", error=type(error).__name__)

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
                    self._wake(lane)
                older_than = LEFT_BEHIND_SECONDS
            await asyncio.sleep(self._sweep_seconds)

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Future[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task failed", error=type(error).__name__, exc_info=error)
