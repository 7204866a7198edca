"""Bytes through real circuits: large files both ways, a WebSocket through silence, services that come and go."""

import asyncio
import contextlib
import hashlib
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from runtime.anon.address import HiddenAddress
from runtime.anon.state import AnonState, write_state
from runtime.transport import (
    AnonTransport,
    ConnectionBroken,
    ServiceOffline,
    ServiceRefused,
    TimedOut,
    Timeouts,
    TransportError,
)
from tests.onion.daemon import free_port
from tests.onion.members import Client, Service
from tests.onion.network import PrivateNetwork

pytestmark = [pytest.mark.onion, pytest.mark.slow]

LARGE = 50 * 1024 * 1024
SILENCE_SECONDS = float(os.environ.get("VEILRUN_TEST_SILENCE_SECONDS", "45"))
"""Twice the heartbeat at least; 600 in the long run (`make soak`)."""


class Server:
    """What stands behind the hidden service."""

    def __init__(self) -> None:
        self.received = hashlib.sha256()
        self.say = asyncio.Event()
        self.app = web.Application(client_max_size=2 * LARGE)
        self.app.router.add_get("/", self._hello)
        self.app.router.add_get("/large", self._large)
        self.app.router.add_put("/large", self._take)
        self.app.router.add_get("/ws", self._socket)

    async def _hello(self, _: web.Request) -> web.Response:
        return web.Response(text="hello")

    async def _large(self, _: web.Request) -> web.Response:
        return web.Response(body=_bytes(LARGE))

    async def _take(self, request: web.Request) -> web.Response:
        async for chunk in request.content.iter_chunked(1 << 16):
            self.received.update(chunk)
        return web.Response()

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)

        async def speak() -> None:
            await self.say.wait()
            await websocket.send_str("still here")
            await websocket.close()

        speaking = asyncio.create_task(speak())
        async for _ in websocket:  # pings are answered while something reads
            pass
        await speaking
        return websocket


@dataclass
class Way:
    """A way through the network: our client, the service, and what is behind it."""

    transport: AnonTransport
    client: Client
    service: Service
    server: Server

    @property
    def url(self) -> str:
        return f"http://{self.service.address}"

    async def answers(self) -> bool:
        with contextlib.suppress(TransportError):
            async with self.transport.request("GET", self.url) as reply:
                return await reply.read() == b"hello"
        return False


@pytest.fixture(scope="module")
def members(network: PrivateNetwork) -> tuple[Client, Service, int]:
    """A client and a service for all tests here; each puts its own server behind the service."""
    port = free_port()
    return network.client(), network.service(port), port


@pytest.fixture
async def way(members: tuple[Client, Service, int], tmp_path: Path) -> AsyncIterator[Way]:
    client, service, port = members
    server = Server()
    async with TestServer(server.app, host="127.0.0.1", port=port):
        write_state(tmp_path, AnonState(client.socks, client.control_address, "0.4.9.11-live", 100, "Done"))
        transport = AnonTransport(tmp_path, Timeouts(connect=20))
        yield Way(transport, client, service, server)
        await transport.close()


@pytest.mark.timeout(300 + SILENCE_SECONDS)
async def test_fifty_megabytes_go_up_and_down_while_a_silent_websocket_lives(way: Way) -> None:
    async def up() -> None:
        async with way.transport.request("PUT", f"{way.url}/large", lane="upload", body=_pieces()) as reply:
            assert reply.status == 200

    async def down() -> str:
        digest = hashlib.sha256()
        async with way.transport.request("GET", f"{way.url}/large", lane="transfer") as reply:
            async for chunk in reply.chunks():
                digest.update(chunk)
        return digest.hexdigest()

    async with way.transport.websocket(f"{way.url}/ws") as socket:
        opened = time.monotonic()
        _, received = await asyncio.gather(up(), down())
        await asyncio.sleep(max(0.0, SILENCE_SECONDS - (time.monotonic() - opened)))
        way.server.say.set()

        assert await socket.receive() == "still here"
        assert await socket.receive() is None

    whole = hashlib.sha256(_bytes(LARGE)).hexdigest()
    assert way.server.received.hexdigest() == whole
    assert received == whole


async def test_a_service_that_is_restarted_is_found_again(way: Way) -> None:
    assert await way.answers()

    await asyncio.to_thread(way.service.stop)
    with pytest.raises(TransportError) as raised:
        async with way.transport.request("GET", way.url):
            pass
    await asyncio.to_thread(way.service.start)
    async with asyncio.timeout(150):
        while not await way.answers():
            way.client.ask("SIGNAL NEWNYM")
            await asyncio.sleep(2)

    assert isinstance(raised.value, ServiceOffline | ConnectionBroken | TimedOut)


async def test_a_service_killed_in_mid_transfer_breaks_the_connection(way: Way) -> None:
    async def download() -> None:
        async with way.transport.request("GET", f"{way.url}/large", lane="transfer") as reply:
            async for _ in reply.chunks():
                await asyncio.to_thread(way.service.stop, signal.SIGKILL)

    try:
        with pytest.raises((ConnectionBroken, TimedOut)):  # relays that have much to do may not say that it is gone
            await download()
    finally:
        await asyncio.to_thread(way.service.start)


async def test_an_address_that_was_never_published_is_offline(way: Way) -> None:
    nobody = HiddenAddress.of(Ed25519PrivateKey.generate().public_key().public_bytes_raw(), ".anon")

    with pytest.raises(ServiceOffline, match="descriptor is not on the network"):
        async with way.transport.request("GET", f"http://{nobody}"):
            pass


async def test_a_port_behind_which_nothing_listens_is_told_from_a_service_that_is_off(way: Way) -> None:
    with pytest.raises(ServiceRefused):
        async with way.transport.request("GET", f"{way.url}:81"):
            pass


async def test_lanes_use_circuits_of_their_own(way: Way) -> None:
    lanes = ("api", "upload", *way.transport.download_lanes)

    async def ask(lane: str) -> None:
        async with way.transport.request("GET", way.url, lane=lane) as reply:
            await reply.read()

    await asyncio.gather(*map(ask, lanes))

    status = way.client.ask("GETINFO circuit-status")
    assert status.count("PURPOSE=HS_CLIENT_REND") >= len(lanes)


def _bytes(count: int) -> bytes:
    """Bytes that no compression and no repetition can stand in for, the same every time."""
    return hashlib.shake_256(b"veilrun").digest(count)


async def _pieces() -> AsyncIterator[bytes]:
    whole = _bytes(LARGE)
    for start in range(0, LARGE, 1 << 16):
        yield whole[start : start + (1 << 16)]
