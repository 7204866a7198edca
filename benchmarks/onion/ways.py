"""What is measured: the same server, reached directly, by raw SOCKS, and by veilrun's own transport and client."""

import asyncio
import contextlib
import hashlib
import secrets
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer

from benchmarks.onion import raw
from runtime.anon.state import AnonState, HostPort, write_state
from runtime.comfyui import ComfyClient, OutputFile, fetch
from runtime.transport import AnonTransport, Lane, Transport, open_transport
from tests.onion.members import Client
from tests.onion.network import PrivateNetwork

MEGABYTE = 1024 * 1024
FILE = OutputFile("save", "film.mp4")


@contextlib.asynccontextmanager
async def file_server(folder: Path) -> AsyncIterator[int]:
    """ComfyUI's two routes for bytes, on disk as ComfyUI has them, with files of any size; its port."""

    async def view(request: web.Request) -> web.FileResponse:
        size = int(request.query.get("size", 50 * MEGABYTE))
        path = folder / f"{size}.mp4"
        if not path.exists():
            path.write_bytes(hashlib.shake_256(b"film").digest(size))
        return web.FileResponse(path)

    async def take(request: web.Request) -> web.Response:
        async for _ in request.content.iter_chunked(64 * 1024):
            pass
        return web.json_response({"name": "taken"})

    async def small(_: web.Request) -> web.Response:
        return web.json_response({"exec_info": {"queue_remaining": 0}})

    app = web.Application(client_max_size=1 << 30)
    app.router.add_get("/view", view)
    app.router.add_get("/prompt", small)
    app.router.add_put("/take", take)
    async with TestServer(app, host="127.0.0.1") as server:
        assert server.port is not None
        yield server.port


@dataclass
class Onion:
    """A way through the network: `credentials` are those of each lane, so that raw SOCKS can use the same circuit."""

    client: Client
    address: str
    transport: AnonTransport
    credentials: dict[Lane, tuple[str, str]]

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def socks(self) -> HostPort:
        return self.client.socks

    async def raw_get(self, path: str, lane: Lane = "transfer") -> None:
        await raw.get(self.socks, self.credentials[lane], self.address, path)

    async def raw_put(self, body: bytes, lane: Lane = "upload") -> None:
        await raw.put(self.socks, self.credentials[lane], self.address, "/take", body)


@contextlib.asynccontextmanager
async def onion(network: PrivateNetwork, address: str, link_port: int | None = None) -> AsyncIterator[Onion]:
    """A client of its own, its circuits built. link_port: where its traffic is delayed."""
    lines = [f"Socks5Proxy 127.0.0.1:{link_port}"] if link_port else []
    client = await asyncio.to_thread(network.client, lines=lines)
    credentials: dict[Lane, tuple[str, str]] = {}

    def kept(lane: Lane) -> tuple[str, str]:
        return credentials.setdefault(lane, (f"{lane}-{secrets.token_hex(4)}", "x"))

    with tempfile.TemporaryDirectory() as folder:
        write_state(Path(folder), AnonState(client.socks, client.control_address, "0.4.9.11-live", 100, "Done"))
        transport = AnonTransport(Path(folder), credentials=kept)
        way = Onion(client, address, transport, credentials)
        await asyncio.gather(
            *(request(transport, f"{way.url}/prompt", lane) for lane in ("api", "upload", *transport.download_lanes))
        )
        try:
            yield way
        finally:
            await transport.close()
            await asyncio.to_thread(client.stop)


async def request(transport: Transport, url: str, lane: Lane = "api") -> int:
    """GET, whole; the bytes."""
    count = 0
    async with transport.request("GET", url, lane=lane) as reply:
        async for chunk in reply.chunks():
            count += len(chunk)
    return count


async def upload(transport: Transport, url: str, body: bytes) -> None:
    """PUT, whole."""
    async with transport.request("PUT", f"{url}/take", lane="upload", body=body) as reply:
        await reply.read()


async def fetched(transport: Transport, url: str, lanes: int) -> None:
    """An output file of 50 MB by veilrun's client, over so many circuits."""
    client = ComfyClient("bench", url, transport)
    output = await fetch(client, FILE, lanes=transport.download_lanes[:lanes])
    assert len(output.content) == 50 * MEGABYTE


@contextlib.asynccontextmanager
async def direct(port: int) -> AsyncIterator[tuple[Transport, str]]:
    """No network in between."""
    transport = open_transport("direct")
    try:
        yield transport, f"http://127.0.0.1:{port}"
    finally:
        await transport.close()
