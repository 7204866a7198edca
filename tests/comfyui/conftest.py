"""A sandbox server, a client of it, and small servers that misbehave in ways of their own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from runtime.comfyui import ComfyClient, Pace
from runtime.sandbox.comfyui import SandboxComfyUI
from runtime.transport import Timeouts, Transport, open_transport

QUICK = Pace(healthy=30.0, blind=0.05, patience=2.0)
"""While events come, polling plays no part: a test that passes was led by events."""

Serve = Callable[[dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]]], Awaitable[ComfyClient]]


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    transport = open_transport("direct")
    yield transport
    await transport.close()


@pytest.fixture
async def comfyui() -> AsyncIterator[SandboxComfyUI]:
    async with SandboxComfyUI(pace=0, paints=False) as server:
        yield server


@pytest.fixture
def client(comfyui: SandboxComfyUI, transport: Transport) -> ComfyClient:
    return ComfyClient("gpu-a", comfyui.url, transport, Timeouts(connect=5, read=5))


@pytest.fixture
async def serve(transport: Transport) -> AsyncIterator[Serve]:
    """Starts a server with the given handlers by "METHOD /path"; gives a client of it."""
    async with AsyncExitStack() as stack:

        async def start(handlers: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]]) -> ComfyClient:
            app = web.Application()
            for route, handler in handlers.items():
                method, _, path = route.partition(" ")
                app.router.add_route(method, path, handler)
            server = TestServer(app)
            await server.start_server()
            stack.push_async_callback(server.close)
            return ComfyClient("gpu-x", str(server.make_url("/")), transport, Timeouts(connect=5, read=1))

        yield start
