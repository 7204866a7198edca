"""A small HTTP and WebSocket server, and raw sockets that misbehave, all on 127.0.0.1."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from runtime.leaks.socks import ScriptedSocks
from runtime.transport import Transport, open_transport

Serve = Callable[..., Awaitable[str]]
Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    transport = open_transport("direct")
    yield transport
    await transport.close()


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts a web server with one handler for every path; gives its URL."""
    async with AsyncExitStack() as stack:

        async def start(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> str:
            app = web.Application(client_max_size=64 * 1024 * 1024)
            app.router.add_route("*", "/{path:.*}", handler)
            server = TestServer(app)
            await server.start_server()
            stack.push_async_callback(server.close)
            return str(server.make_url("/")).rstrip("/")

        yield start


@pytest.fixture
async def serve_raw() -> AsyncIterator[Serve]:
    """Starts a TCP server that does with each connection what the given coroutine does; gives its URL."""
    async with AsyncExitStack() as stack:

        async def start(peer: Peer) -> str:
            server = await asyncio.start_server(peer, "127.0.0.1", 0)
            stack.callback(server.close)
            return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

        yield start


@pytest.fixture
async def socks() -> AsyncIterator[ScriptedSocks]:
    """A SOCKS5 proxy that answers as scripted and notes what it was asked."""
    async with ScriptedSocks() as socks:
        yield socks
