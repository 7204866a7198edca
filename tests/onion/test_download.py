"""A large output in parts over several circuits of a real network."""

import hashlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from runtime.anon.state import AnonState, write_state
from runtime.comfyui import ComfyClient, OutputFile, fetch
from runtime.transport import AnonTransport, Timeouts
from tests.onion.daemon import free_port
from tests.onion.network import PrivateNetwork

pytestmark = [pytest.mark.onion, pytest.mark.slow]

LARGE = 50 * 1024 * 1024
FILE = OutputFile("save", "film.mp4")


@pytest.fixture
async def client(network: PrivateNetwork, tmp_path: Path) -> AsyncIterator[ComfyClient]:
    """Of a server that serves one file of 50 MiB, as ComfyUI serves files."""
    film = tmp_path / "film.mp4"
    film.write_bytes(hashlib.shake_256(b"film").digest(LARGE))

    async def view(_: web.Request) -> web.FileResponse:
        return web.FileResponse(film)

    app = web.Application()
    app.router.add_get("/view", view)
    port = free_port()
    member, service = network.client(), network.service(port)
    async with TestServer(app, host="127.0.0.1", port=port):
        write_state(tmp_path, AnonState(member.socks, member.control_address, "0.4.9.11-live", 100, "Done"))
        transport = AnonTransport(tmp_path, Timeouts(connect=20))
        yield ComfyClient("gpu-1", f"http://{service.address}", transport)
        await transport.close()


async def test_fifty_megabytes_come_whole_over_four_circuits_and_sooner_than_over_one(client: ComfyClient) -> None:
    seconds = {}
    for lanes in (client.download_lanes, client.download_lanes[:1]):
        began = time.monotonic()
        output = await fetch(client, FILE, lanes=lanes)
        seconds[len(lanes)] = time.monotonic() - began
        assert output.digest == hashlib.sha256(hashlib.shake_256(b"film").digest(LARGE)).hexdigest()

    assert seconds[4] < seconds[1], seconds
