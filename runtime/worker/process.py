"""One worker process: Dramatiq's threads, one event loop, and all that jobs share, opened and closed in order."""

import asyncio
import contextlib
import gc
import logging
from collections.abc import Callable
from functools import partial
from uuid import UUID

import dramatiq
import structlog
from dramatiq.asyncio import EventLoopThread, set_event_loop_thread

from db import migrate
from db.deployment import deployment_id
from db.embedded import resolve_database
from db.pool import Pool, open_pool
from runtime.chat.deliver import deliver
from runtime.chat.gateway import open_gateway
from runtime.heartbeat import heartbeat
from runtime.machine_name import machine_name
from runtime.registry import Fingerprint, LiveRegistry, Registry, RegistryWatch, configured_registry, fingerprint
from runtime.scheduler.fleet import Fleet
from runtime.scheduler.health import HealthWatch
from runtime.scheduler.sync import sync_registry
from runtime.scheduler.warmth import keep_warm
from runtime.settings import Settings
from runtime.supervisor import die_with_parent, hand_over_promptly, stop_on_signals
from runtime.tallying import tallying
from runtime.worker.actors import declare_actors
from runtime.worker.broker import DELIVERIES, EXECUTE, Arguments, Waker, make_broker
from runtime.worker.execute import execute
from runtime.worker.idle import IdleRelease
from runtime.worker.keeper import LeaseKeeper
from runtime.worker.placing import place_and_wake
from runtime.worker.presence import present
from runtime.worker.sweeper import Sweeper
from runtime.worker.wakeups import Places, WakeupBroker
from runtime.worker.workplace import Workplace

try:
    import uvloop

    new_event_loop: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
except ImportError:  # not on this platform
    new_event_loop = asyncio.new_event_loop

log = structlog.get_logger("veilrun.worker")

GRACE_SECONDS = 3.0
"""How long running jobs get to end by themselves before they are handed to other workers."""

STOP_SECONDS = 15.0


def run_worker(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT; then hand back what runs.

    A process whose parent dies gets SIGTERM by the kernel, so that no worker outlives its supervisor.

    Raises: SettingsInvalid, RegistryInvalid, BrokerUnsupported, and db.errors if the database cannot be used.
    """
    die_with_parent()
    hand_over_promptly()
    seen = fingerprint(settings.registry, settings.plugins_dir)
    registry = configured_registry(settings)
    with resolve_database(settings.database_url, settings.state_dir) as dsn:
        migrate.upgrade(dsn)
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(serve(settings, registry, seen, dsn))


async def serve(settings: Settings, registry: Registry, seen: Fingerprint, dsn: str) -> None:
    """Open what jobs need, work until a signal comes, and close it again. seen: see `RegistryWatch`."""
    stop = stop_on_signals()
    async with contextlib.AsyncExitStack() as stack:
        broker = make_broker(settings.broker_url, dsn, jobs=settings.worker_threads)
        stack.callback(broker.close)
        waker = Waker(broker)
        stack.callback(waker.close)
        pool = await stack.enter_async_context(open_pool(dsn, "worker"))
        await stack.enter_async_context(tallying(pool))
        live = LiveRegistry(registry, await sync_registry(pool, registry))

        async def place() -> None:
            await place_and_wake(pool, live.current, waker)

        async def send(delivery_id: int) -> None:
            await deliver(delivery_id, pool=pool, gateway=gateway, registry=live.current)

        fleet = await stack.enter_async_context(Fleet(registry.backends, settings.anon_dir))
        gateway = await stack.enter_async_context(open_gateway(settings))
        workplace = Workplace(
            pool=pool,
            live=live,
            fleet=fleet,
            keeper=await stack.enter_async_context(LeaseKeeper(dsn, settings.lease_seconds)),
            health=HealthWatch(fleet, live, pool, on_ready=place, machine=machine_name(settings.state_dir), dsn=dsn),
            files=gateway,
            waker=waker,
            deliver=send,
            deployment=await _deployment(pool),
            lease_seconds=settings.lease_seconds,
        )
        declare_actors(broker, execute=partial(execute, workplace), deliver=send)
        waker.work_here(WithoutBroker(broker, workplace))
        stack.enter_context(present(settings.workers_dir, workplace.owner))
        sweeper = Sweeper(
            pool,
            live,
            waker,
            seconds=settings.sweep_seconds,
            retention_hours=settings.retention_hours,
            workers_dir=settings.workers_dir,
        )

        async def follow(registry: Registry) -> None:
            fleet.follow(registry.backends)
            workplace.health.follow()
            workplace.soon(place())

        watch = RegistryWatch(
            live,
            load=partial(configured_registry, settings),
            sync=partial(sync_registry, pool),
            on_change=[follow],
            folder=settings.plugins_dir,
            seen=seen,
        )
        await stack.enter_async_context(heartbeat("worker"))
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(workplace.health.run(), name="health"),
                tasks.create_task(sweeper.run(), name="sweeper"),
                tasks.create_task(watch.run(), name="registry"),
                tasks.create_task(keep_warm(fleet), name="warmth"),
                tasks.create_task(IdleRelease(fleet, pool).run(), name="idle"),
            ]
            gc.freeze()  # what is loaded now stays: no pause of the collector goes through it again
            worker = start_threads(broker, settings.worker_threads)
            log.info("worker started", owner=workplace.owner, threads=settings.worker_threads)
            try:
                await stop.wait()
            finally:
                waker.work_here(None)
                await _stop(worker, workplace)
                for task in background:
                    task.cancel()
    log.info("worker ended")


class WithoutBroker:
    """What wake-ups would have had done, in this process: for when they cannot be sent.

    It goes by the same places as messages do, so that a busy process leaves work to others.
    """

    def __init__(self, broker: WakeupBroker, workplace: Workplace) -> None:
        self._broker = broker
        self._workplace = workplace

    def __call__(self, actor: str, arguments: Arguments) -> bool:
        """Begin it. False: no place is free."""
        places = self._broker.queues[actor]
        if not places.is_free:
            return False
        places.enter()
        self._workplace.soon(self._work(actor, arguments, places))
        return True

    async def _work(self, actor: str, arguments: Arguments, places: Places) -> None:
        try:
            if actor == EXECUTE:
                await execute(self._workplace, arguments["job_id"], arguments["fence"])
            else:
                await self._workplace.deliver(arguments["delivery_id"])
        finally:
            places.leave()


async def _deployment(pool: Pool) -> UUID:
    async with pool.connection() as connection:
        return await deployment_id(connection)


def start_threads(broker: dramatiq.Broker, threads: int) -> dramatiq.Worker:
    """Let messages call their actors on the running event loop, `threads` jobs at once and some messages to chats."""
    set_event_loop_thread(_ThisLoop())
    broker.emit_after("process_boot")  # starts the time limits; Dramatiq's own command line is what emits it else
    worker = dramatiq.Worker(broker, worker_threads=threads + DELIVERIES)
    worker.start()
    return worker


async def _stop(worker: dramatiq.Worker, workplace: Workplace) -> None:
    """Take no more messages, let jobs end for a moment, hand the rest back with its prompts left running."""
    for consumer in worker.consumers.values():
        consumer.pause()
    for thread in worker.workers:
        thread.stop()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GRACE_SECONDS):
            await workplace.keeper.idle.wait()
    workplace.keeper.hand_back()
    await asyncio.to_thread(worker.stop, int(STOP_SECONDS * 1000))
    await workplace.settled()


class _ThisLoop(EventLoopThread):
    """The running event loop as the one on which Dramatiq runs async actors.

    The middleware AsyncIO would start another loop, in the same step in which messages begin to come in. On this one
    everything is open before the first message, and still is after the last.
    """

    def __init__(self) -> None:
        super().__init__(logging.getLogger(__name__), interrupt_check_ival=1.0)
        self.loop.close()
        self.loop = asyncio.get_running_loop()
