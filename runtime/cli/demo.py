"""`veilrun demo`: everything on loopback, and the main job played once in the chat."""

import asyncio
import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from db import migrate
from db.embedded import embedded_database
from runtime.api import VeilrunError
from runtime.cli.database import connected
from runtime.cli.machine import listening, machine
from runtime.cli.output import notices, screen
from runtime.console.link import make_link
from runtime.settings import read_settings
from runtime.supervisor import stop_on_signals, supervise

if TYPE_CHECKING:  # the sandbox is loaded by this command alone
    import aiohttp

    from runtime.sandbox.telegram import Chat, ChatMessage, SandboxTelegram

PluginsDir = Annotated[
    Path | None,
    typer.Option(
        "--plugins-dir",
        metavar="FOLDER",
        help="A folder of single-file plugins, each NAME.py.",
        file_okay=False,
        exists=True,
    ),
]

TOKEN = "7000000001:demo-token-that-only-the-sandbox-accepts"
PERSON = "Alice"  # whom the chat page shows first
CONVERSATION = ("/f an astronaut on a beach", "/qwen put a t-shirt with a swan on him")
START_SECONDS, PICTURE_SECONDS = 60.0, 60.0

REGISTRY = """\
version: 1
access: {{default: public}}
backends:
  - {{name: sandbox, url: "{url}", transport: direct, device: "sandbox", vram_gb: 32}}
plugins:
  flux: {{enabled: true}}
  qwen: {{enabled: true}}
  wan: {{enabled: true}}
  sd3: {{enabled: true}}
"""


class DemoFailed(VeilrunError):
    """The main job did not come through."""


def demo(
    once: Annotated[bool, typer.Option("--once", help="Play the main job and exit instead of staying up.")] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="PORT", help="Port of the chat page; 0 takes a free one.")
    ] = 8090,
    plugins_dir: PluginsDir = None,
) -> None:
    """Show the main job on this machine alone.

    A sandbox stands in for Telegram and for the GPUs; everything else is real. The chat page stays open until Ctrl-C.
    """
    if plugins_dir is not None:
        os.environ["VEILRUN_PLUGINS_DIR"] = str(plugins_dir.resolve())
    state = Path(tempfile.mkdtemp(prefix="veilrun-demo-"))
    try:
        notices.print("starting the database …")
        with embedded_database(state) as dsn:
            migrate.upgrade(dsn)
            asyncio.run(_demo(dsn, state, once=once, port=port))
    finally:
        shutil.rmtree(state, ignore_errors=True)


async def _demo(dsn: str, state: Path, *, once: bool, port: int) -> None:
    from runtime.sandbox.comfyui import SandboxComfyUI

    stop = stop_on_signals()
    async with _sandbox(port) as telegram, SandboxComfyUI() as comfyui:
        registry = state / "plugin_registry.yaml"
        registry.write_text(REGISTRY.format(url=comfyui.url), encoding="utf-8")
        with listening("127.0.0.1", 0) as listener:
            address = f"http://127.0.0.1:{listener.getsockname()[1]}"
            settings = read_settings()
            children = machine(
                dsn,
                listener,
                settings.worker_processes,
                TELEGRAM_BOT_TOKEN=TOKEN,
                TELEGRAM_API_URL=telegram.base_url,
                TELEGRAM_VIA="direct",
                BROKER_URL="postgresql",
                VEILRUN_REGISTRY=str(registry),
                VEILRUN_STATE_DIR=str(state),
                VEILRUN_PUBLIC_URL=address,
                VEILRUN_CONSOLE="true",
                VEILRUN_LOG_LEVEL=os.environ.get("VEILRUN_LOG_LEVEL", "warning"),
            )
            running = asyncio.create_task(supervise(children, stop))
            try:
                notices.print("starting web process and worker …")
                await _ready(address, stop)
                await _play(telegram.user(PERSON).private_chat, stop)
                if not once and not stop.is_set():
                    screen.print(f"\nOpen [bold]{telegram.page_url}[/bold] and type your own. Ctrl-C stops everything.")
                    screen.print(f"The operators' console, once: {await _console_link(dsn, address)}", soft_wrap=True)
                    await stop.wait()
            finally:
                stop.set()
                await running


async def _console_link(dsn: str, address: str) -> str:
    async with connected(dsn) as connection:
        return await make_link(connection, address)


@contextlib.asynccontextmanager
async def _sandbox(port: int) -> AsyncIterator["SandboxTelegram"]:
    """The sandbox on `port`, or on a free one if that is taken."""
    from runtime.sandbox.telegram import SandboxTelegram

    telegram = SandboxTelegram(TOKEN)
    try:
        await telegram.start(port=port)
    except OSError:
        await telegram.start(port=0)
    try:
        yield telegram
    finally:
        await telegram.stop()


async def _ready(address: str, stop: asyncio.Event) -> None:
    import aiohttp

    deadline = time.monotonic() + START_SECONDS
    async with aiohttp.ClientSession(trust_env=False) as session:
        while not await _answers(session, f"{address}/readyz"):
            if stop.is_set() or time.monotonic() > deadline:
                raise DemoFailed("the web process did not become ready; VEILRUN_LOG_LEVEL=info veilrun demo shows why")
            await asyncio.sleep(0.1)


async def _answers(session: "aiohttp.ClientSession", address: str) -> bool:
    import aiohttp

    try:
        async with session.get(address, timeout=aiohttp.ClientTimeout(total=2)) as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


async def _play(chat: "Chat", stop: asyncio.Event) -> None:
    for words in CONVERSATION:
        if stop.is_set():
            return
        started = time.monotonic()
        asked = chat.send(words)
        with notices.status(f"{PERSON}: {words}"):
            picture = await _picture_after(chat, asked)
        largest = (picture.photo or [{}])[-1]
        screen.print(
            f"[bold]{words}[/bold]\n  a picture of {largest.get('width')}x{largest.get('height')}"
            f" after {time.monotonic() - started:.1f} s: {(picture.caption or '').splitlines()[0]}",
        )


async def _picture_after(chat: "Chat", asked: "ChatMessage") -> "ChatMessage":
    try:
        return await chat.wait_for(
            lambda message: message.from_bot and message.photo is not None, timeout=PICTURE_SECONDS, after=asked
        )
    except TimeoutError as error:
        raise DemoFailed(f"no picture came: {error}") from error
