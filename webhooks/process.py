"""The web process: receiver, dispatch, status messages and a sweeper around one event loop."""

import asyncio
import contextlib
import gc
import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial

import structlog
import uvicorn

from db import migrate
from db.embedded import resolve_database
from db.errors import SchemaError
from db.pool import AWAY, Pool, open_pool
from runtime.chat.deliver import deliver
from runtime.chat.errors import TelegramFailed
from runtime.chat.gateway import TelegramGateway, open_gateway
from runtime.chat.menu import publish_menu
from runtime.chat.status import StatusEditor
from runtime.chat.webhook import register_webhook
from runtime.console.link import PATH as CONSOLE
from runtime.dispatch.dispatcher import Dispatcher
from runtime.functions import PATH as FUNCTIONS
from runtime.heartbeat import heartbeat
from runtime.registry import Fingerprint, LiveRegistry, Registry, RegistryWatch, configured_registry, fingerprint
from runtime.scheduler.sync import sync_registry
from runtime.settings import Settings
from runtime.supervisor import die_with_parent, hand_over_promptly
from runtime.tallying import tallying
from runtime.worker.broker import Waker, make_broker
from runtime.worker.placing import place_and_wake
from runtime.worker.sweeper import Sweeper
from webhooks.app import Asgi, create_app
from webhooks.bounded_http import BoundedHttp
from webhooks.console import Console
from webhooks.functions import Functions
from webhooks.group_commit import GroupCommit
from webhooks.measure import Measure
from webhooks.telegram import TelegramWebhook

log = structlog.get_logger("veilrun.web")

KEEP_ALIVE_SECONDS = 75  # Telegram closes an idle connection after 60; if we did first, an update could meet the end
REGISTER_RETRY_SECONDS = 10.0


def run_web(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises: SettingsInvalid, RegistryInvalid, BrokerUnsupported, and db.errors if the database cannot be used.
    """
    die_with_parent()
    hand_over_promptly()
    seen = fingerprint(settings.registry, settings.plugins_dir)
    registry = configured_registry(settings)
    with resolve_database(settings.database_url, settings.state_dir) as dsn:
        migrate.upgrade(dsn)

        def is_ending() -> bool:
            return server.should_exit

        server = uvicorn.Server(
            uvicorn.Config(
                web_application(settings, registry, seen, dsn, is_ending),
                host=settings.host,
                port=settings.port,
                http=BoundedHttp,
                access_log=False,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                log_config=None,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=10,
            )
        )
        collect_garbage_rarely()
        descriptor = os.environ.get("VEILRUN_LISTEN_FD")
        server.run(sockets=[socket.socket(fileno=int(descriptor))] if descriptor else None)


def collect_garbage_rarely() -> None:
    """What is loaded now stays: keep the cyclic collector off it, and let it run less often.

    Measured on the receiver: the slowest hundredth of answers gets twice as fast.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def web_application(
    settings: Settings, registry: Registry, seen: Fingerprint, dsn: str, is_ending: Callable[[], bool]
) -> Asgi:
    """The application of one web process, which opens everything it needs when it starts.

    seen: see `RegistryWatch`. is_ending: whether the server is about to stop; it waits for streams to end.
    """
    running: dict[str, Dispatcher] = {}
    measures: dict[str, Measure] = {}

    def hand_over(stored: Sequence[object]) -> None:
        running["dispatcher"].accept(stored)  # type: ignore[arg-type]

    commit = GroupCommit(dsn, hand_over)
    console = Console(settings.public_url, is_ending=is_ending)
    functions = Functions(settings, dsn, is_ending=is_ending)

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            broker = make_broker(settings.broker_url, dsn)
            stack.callback(broker.close)
            waker = Waker(broker)
            stack.callback(waker.close)
            pool = await stack.enter_async_context(open_pool(dsn, "web"))
            await stack.enter_async_context(tallying(pool))
            measures["measure"] = Measure(pool, settings.anon_dir)
            gateway = await stack.enter_async_context(open_gateway(settings))
            live = LiveRegistry(registry, await sync_registry(pool, registry))

            async def place() -> None:
                await place_and_wake(pool, live.current, waker)

            dispatcher = running["dispatcher"] = Dispatcher(
                pool=pool,
                live=live,
                gateway=gateway,
                on_jobs=place,
                on_deliveries=partial(_deliver_all, pool, gateway, live),
                sweep_seconds=settings.sweep_seconds,
            )
            await stack.enter_async_context(console.serving(pool, live, place))
            await stack.enter_async_context(functions.serving(pool, live, place))
            await dispatcher.start()
            stack.push_async_callback(dispatcher.stop)
            await commit.start()
            stack.push_async_callback(commit.stop)
            await stack.enter_async_context(heartbeat("web"))
            sweeper = Sweeper(
                pool,
                live,
                waker,
                seconds=settings.sweep_seconds,
                retention_hours=settings.retention_hours,
                workers_dir=settings.workers_dir,
            )
            introduction = Introduction(settings, live, gateway)
            watch = RegistryWatch(
                live,
                load=partial(configured_registry, settings),
                sync=partial(sync_registry, pool),
                on_change=[introduction.renew],
                folder=settings.plugins_dir,
                seen=seen,
            )
            tasks = [
                asyncio.create_task(sweeper.run(), name="sweeper"),
                asyncio.create_task(StatusEditor(dsn, pool, gateway).run(), name="status-editor"),
                asyncio.create_task(introduction.run(), name="introduce"),
                asyncio.create_task(watch.run(), name="registry"),
            ]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def database() -> str | None:
        try:
            pending = (await asyncio.to_thread(migrate.status, dsn)).pending
        except AWAY:
            return "the database does not answer"
        except SchemaError as error:
            return str(error)
        return f"migrations pending: {', '.join(pending)}" if pending else None

    async def dispatch() -> str | None:
        return None if running["dispatcher"].is_alive else "dispatch has stopped"

    async def receiver() -> str | None:
        return None if commit.is_connected else "the receiver has no connection to the database"

    async def measure() -> None:
        await measures["measure"]()

    return create_app(
        TelegramWebhook(settings.bot_id, settings.webhook_secret, commit),
        {"database": database, "dispatch": dispatch, "receiver": receiver},
        measure,
        lifespan,
        mounts={FUNCTIONS: functions.application} | ({CONSOLE: console.application} if settings.console else {}),
    )


async def _deliver_all(pool: Pool, gateway: TelegramGateway, live: LiveRegistry, ids: Sequence[int]) -> None:
    await asyncio.gather(*(deliver(number, pool=pool, gateway=gateway, registry=live.current) for number in ids))


class Introduction:
    """Registers the webhook, if there is a public address, and the command menu, again when that is another one.

    Telegram may be away: it is tried until it works.
    """

    def __init__(self, settings: Settings, live: LiveRegistry, gateway: TelegramGateway) -> None:
        self._settings = settings
        self._live = live
        self._gateway = gateway
        self._is_due = asyncio.Event()

    async def renew(self, _: Registry) -> None:
        """The commands may be others now."""
        self._is_due.set()

    async def run(self) -> None:
        """Introduce the bot now and whenever it is due, until cancelled."""
        url = self._settings.public_url
        while True:
            self._is_due.clear()
            try:
                if url is not None:
                    await register_webhook(self._gateway, url, self._settings.webhook_secret)
                    url = None
                await publish_menu(self._gateway, [loaded.command for loaded in self._live.current.commands.values()])
            except TelegramFailed as error:
                log.warning("Telegram is away, trying again soon", error=type(error).__name__)
                await asyncio.sleep(REGISTER_RETRY_SECONDS)
            else:
                await self._is_due.wait()
