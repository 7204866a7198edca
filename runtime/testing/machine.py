"""The whole bot on loopback, for tests: real database, web process and worker; sandboxes for Telegram and the GPU."""

import asyncio
import contextlib
import itertools
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import psycopg

from db import migrate
from db.embedded import embedded_database
from runtime.cli.machine import listening, machine
from runtime.sandbox.comfyui import Pace, SandboxComfyUI
from runtime.sandbox.telegram import SandboxTelegram
from runtime.supervisor import supervise
from runtime.testing.chat import Chat
from runtime.testing.improvised import model_files, node_classes
from runtime.testing.project import Project

TOKEN = "7000000002:token-of-the-bot-under-test-in-the-sandbox"
START_SECONDS, CALL_SECONDS = 60.0, 90.0
T = TypeVar("T")


class Machine:
    """Started once for a test session, at the first test that needs it; its event loop runs in a thread of its own."""

    def __init__(self, project: Project, importable: list[Path]) -> None:
        self._project = project
        self._importable = importable
        self._stack = contextlib.ExitStack()
        self._loop = asyncio.new_event_loop()
        self._people = itertools.count(1)
        self._stop: asyncio.Event
        self._running: asyncio.Future[int]
        self.telegram: SandboxTelegram
        self.comfyui: SandboxComfyUI

    def start(self) -> None:
        """Start everything, and wait until it is ready. Raises: AssertionError, TimeoutError."""
        with contextlib.ExitStack() as stack:
            folder = Path(tempfile.mkdtemp(prefix="veilrun-test-kit-"))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            folder.chmod(0o711)  # as root, the database server runs as another user
            dsn = stack.enter_context(embedded_database(folder))
            with psycopg.connect(dsn, autocommit=True) as connection:  # nothing outlives the tests
                connection.execute("alter system set fsync = off")
                connection.execute("select pg_reload_conf()")
            migrate.upgrade(dsn)
            thread = threading.Thread(target=self._loop.run_forever, name="veilrun-test-kit", daemon=True)
            thread.start()
            stack.callback(thread.join, 10.0)
            stack.callback(self._loop.call_soon_threadsafe, self._loop.stop)
            listener = stack.enter_context(listening("127.0.0.1", 0))
            stack.callback(lambda: self.run(self._end()))
            self.run(self._begin(folder, dsn, listener))
            self._stack = stack.pop_all()

    def stop(self) -> None:
        """End everything that was started."""
        self._stack.close()

    def run(self, work: Coroutine[Any, Any, T], seconds: float = CALL_SECONDS) -> T:
        """What `work` gives, done on the loop of the sandboxes. Raises: TimeoutError after `seconds`."""
        __tracebackhide__ = True
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    def on_loop(self, call: Callable[[], T]) -> T:
        """What `call` gives, called on the loop of the sandboxes."""

        async def called() -> T:
            return call()

        return self.run(called())

    def new_chat(self) -> Chat:
        """A private chat of somebody who has never been here."""
        number = next(self._people)
        return Chat(self.on_loop(lambda: self.telegram.user(f"Person {number}").private_chat), self.run, self.on_loop)

    async def _begin(self, folder: Path, dsn: str, listener: Any) -> None:
        registry = self._project.registry(folder)
        workflows = [
            workflow
            for loaded in registry.commands.values()
            for workflow in (loaded.command.workflow, *(variant.workflow for variant in loaded.command.variants))
        ]
        self.telegram = SandboxTelegram(TOKEN)
        await self.telegram.start()
        pace = Pace(load_seconds=0.0, step_seconds=0.005, film_step_seconds=0.01, class_seconds={})
        self.comfyui = SandboxComfyUI(pace=pace, models=model_files(workflows), extra_classes=node_classes(workflows))
        await self.comfyui.start()
        self._project.registry(folder, url=self.comfyui.url)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        path = [str(folder) for folder in self._importable] + [
            entry for entry in [os.environ.get("PYTHONPATH")] if entry
        ]
        children = machine(
            dsn,
            listener,
            1,
            TELEGRAM_BOT_TOKEN=TOKEN,
            TELEGRAM_API_URL=self.telegram.base_url,
            TELEGRAM_VIA="direct",
            BROKER_URL="postgresql",
            VEILRUN_REGISTRY=str(folder / "plugin_registry.yaml"),
            VEILRUN_STATE_DIR=str(folder),
            VEILRUN_PUBLIC_URL=address,
            VEILRUN_LOG_LEVEL=os.environ.get("VEILRUN_LOG_LEVEL", "error"),
            **({"PYTHONPATH": os.pathsep.join(path)} if path else {}),
        )
        self._stop = asyncio.Event()
        self._running = asyncio.ensure_future(supervise(children, self._stop))
        await self._ready(address)

    async def _ready(self, address: str) -> None:
        async with asyncio.timeout(START_SECONDS), aiohttp.ClientSession(trust_env=False) as session:
            while not self._running.done():
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"{address}/readyz") as response:
                        if response.status == 200:
                            return
                await asyncio.sleep(0.05)
        raise AssertionError("the bot under test ended at once; VEILRUN_LOG_LEVEL=info pytest shows why")

    async def _end(self) -> None:
        if hasattr(self, "_stop"):
            self._stop.set()
            await self._running
        for server in ("telegram", "comfyui"):
            if hasattr(self, server):
                await getattr(self, server).stop()
