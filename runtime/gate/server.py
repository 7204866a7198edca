"""The gate as a server on this machine."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from runtime.anon.anonrc import private_folder
from runtime.gate.answers import refused
from runtime.gate.cleaning import Cleaner
from runtime.gate.errors import UpstreamInvalid
from runtime.gate.folders import Folders
from runtime.gate.ledger import Ledger
from runtime.gate.routes import Routes
from runtime.gate.upstream import Upstream, is_usable

log = structlog.get_logger("veilrun.gate")

HOST = "127.0.0.1"
UPLOAD_BYTES = 100 * 1024 * 1024
MOST_REQUESTS = 128
"""At once. More are told to come again."""

LINE_BYTES, FIELD_BYTES = 8 * 1024, 8 * 1024
KEEP_ALIVE_SECONDS = 75.0  # as ComfyUI's own


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
) -> AsyncIterator[Gate]:
    """A gate in front of the ComfyUI at `upstream`. Port 0 takes a free one.

    data_dir: where it remembers what went through. folders: ComfyUI's, if files of finished jobs are to be deleted.
    keep_minutes: until what nobody collected is deleted. upload_bytes: the largest picture that passes.

    Raises: UpstreamInvalid.
    """
    if not is_usable(upstream):
        raise UpstreamInvalid(f"{upstream} is no address of a ComfyUI server; write it like http://127.0.0.1:8188")
    private_folder(data_dir)
    async with contextlib.AsyncExitStack() as stack:
        server = Upstream(upstream)
        stack.push_async_callback(server.close)
        ledger = Ledger(data_dir)
        stack.callback(ledger.close)
        cleaner = Cleaner(server, ledger, folders, keep_minutes * 60)
        app = web.Application(middlewares=[_bounded(MOST_REQUESTS)], client_max_size=upload_bytes)
        app.add_routes(Routes(server, ledger, folders, cleaner, upload_bytes).table())
        app.on_response_prepare.append(_signed)
        runner = web.AppRunner(
            app,
            access_log=None,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            shutdown_timeout=1.0,
            max_line_size=LINE_BYTES,
            max_field_size=FIELD_BYTES,
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, HOST, port).start()
        sweeping = asyncio.create_task(cleaner.run(), name="gate-cleaner")
        stack.push_async_callback(_ended, sweeping)
        gate = Gate(runner.addresses[0][1], cleaner)
        log.info("gate listens", port=gate.port)
        yield gate


def _bounded(most: int) -> Middleware:
    """So many requests at once, and no answer of aiohttp's own that tells more than a status."""
    under_way = 0

    @web.middleware
    async def bounded(request: web.Request, handler: Handler) -> web.StreamResponse:
        nonlocal under_way
        if under_way >= most:
            raise refused(web.HTTPServiceUnavailable, "too many requests at once; try again in a moment")
        under_way += 1
        try:
            return await handler(request)
        except web.HTTPRequestEntityTooLarge:
            return web.json_response({"error": "this is larger than the gate lets pass"}, status=413)
        except (web.HTTPNotFound, web.HTTPMethodNotAllowed) as error:
            if error.content_type == "application/json":
                raise
            raise refused(web.HTTPNotFound, "this route does not pass the gate") from error
        finally:
            under_way -= 1

    return bounded


async def _signed(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["Veilrun-Gate"] = "1"


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
