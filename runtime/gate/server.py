"""The gate as a server on this machine."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import structlog
from aiohttp import web

from runtime.anon.anonrc import private_folder
from runtime.gate.answers import SIGNATURE
from runtime.gate.cleaning import Cleaner
from runtime.gate.door import MOST_CONNECTIONS, Turnstile, doorkeeper
from runtime.gate.errors import UpstreamInvalid
from runtime.gate.facts import FactRoutes
from runtime.gate.folders import Folders
from runtime.gate.ledger import Ledger
from runtime.gate.media import MediaRoutes
from runtime.gate.prompts import PromptRoutes
from runtime.gate.results import Results
from runtime.gate.routes import table
from runtime.gate.sockets import SocketRoutes
from runtime.gate.upstream import Upstream, is_usable

log = structlog.get_logger("veilrun.gate")

HOST = "127.0.0.1"
UPLOAD_BYTES = 100 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Gate:
    """A gate that runs. It listens on 127.0.0.1."""

    port: int
    cleaner: Cleaner


@contextlib.asynccontextmanager
async def running_gate(
    upstream: str,
    data_dir: Path,
    *,
    folders: Folders = Folders(),  # noqa: B008 - a frozen value
    port: int = 0,
    keep_minutes: float = 60.0,
    upload_bytes: int = UPLOAD_BYTES,
    most_connections: int = MOST_CONNECTIONS,
) -> AsyncIterator[Gate]:
    """A gate in front of the ComfyUI at `upstream`. Port 0 takes a free one.

    data_dir: where it remembers what went through. folders: ComfyUI's, if files of finished jobs are to be deleted.
    keep_minutes: until what nobody collected is deleted. upload_bytes: the largest picture that passes.

    Raises: UpstreamInvalid, FoldersUnusable.
    """
    if not is_usable(upstream):
        raise UpstreamInvalid(f"{upstream} is no address of a ComfyUI server; write it like http://127.0.0.1:8188")
    folders.check()
    private_folder(data_dir)
    async with contextlib.AsyncExitStack() as stack:
        server = Upstream(upstream)
        stack.push_async_callback(server.close)
        ledger = Ledger(data_dir)
        stack.callback(ledger.close)
        results = Results(ledger, folders)
        cleaner = Cleaner(server, ledger, folders, results, keep_minutes * 60)
        sockets = SocketRoutes(server, ledger, results)
        media = MediaRoutes(server, ledger, folders, cleaner, upload_bytes)
        app = web.Application(middlewares=[doorkeeper()], client_max_size=upload_bytes)
        app.add_routes(table(PromptRoutes(server, ledger, cleaner), media, FactRoutes(server), sockets))
        app.on_response_prepare.append(_sign)
        app.on_shutdown.append(sockets.close)
        listening = await stack.enter_async_context(_listening(app, port, most_connections))
        sweeping = asyncio.create_task(cleaner.run(), name="gate-cleaner")
        stack.push_async_callback(_ended, sweeping)
        log.info("gate listens", port=listening)
        yield Gate(listening, cleaner)


@contextlib.asynccontextmanager
async def _listening(app: web.Application, port: int, most_connections: int) -> AsyncIterator[int]:
    """Serve `app`; the port."""
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    try:
        assert runner.server is not None  # set up
        turnstile = Turnstile(runner.server, most_connections)
        listener = await asyncio.get_running_loop().create_server(turnstile, HOST, port)
        try:
            yield int(listener.sockets[0].getsockname()[1])
        finally:
            listener.close()
    finally:
        await runner.cleanup()


async def _sign(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(SIGNATURE)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
