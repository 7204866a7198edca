"""`veilrun anon expose` as a process on the private network: ComfyUI behind the gate, the web front end beside it."""

import asyncio
import contextlib
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
from aiohttp import web

from runtime.anon.anonrc import private_folder
from runtime.anon.state import AnonState, write_state
from runtime.comfyui import ComfyClient, Prompt, run_and_collect
from runtime.sandbox.comfyui import SandboxComfyUI
from runtime.transport import AnonTransport, Timeouts, TransportError
from tests.cli.conftest import Shell
from tests.comfyui import graphs
from tests.onion.network import PrivateNetwork

pytestmark = [pytest.mark.onion, pytest.mark.slow]

SECONDS = 90.0


@contextlib.asynccontextmanager
async def front_end() -> AsyncIterator[str]:
    """A web server that says hello; its address."""

    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    app = web.Application()
    app.add_routes([web.get("/", hello)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield "http://{}:{}".format(*runner.addresses[0][:2])
    await runner.cleanup()


@pytest.fixture
async def visitor(network: PrivateNetwork, tmp_path: Path) -> AsyncIterator[AnonTransport]:
    """Somebody with an anon client of their own, and no key."""
    client = await asyncio.to_thread(network.client)
    folder = private_folder(tmp_path / "visitor")
    write_state(folder, AnonState(client.socks, client.control_address, "0.4.9.11-live", 100, "Done"))
    transport = AnonTransport(folder, Timeouts(connect=20))
    yield transport
    await transport.close()
    await asyncio.to_thread(client.stop)


async def seen(visitor: AnonTransport, url: str) -> tuple[str, str | None]:
    """The answer, once there is one: its body and whether a gate signed it."""
    async with asyncio.timeout(SECONDS):
        while True:
            with contextlib.suppress(TransportError):
                async with visitor.request("GET", url) as reply:
                    return (await reply.read()).decode(), reply.headers.get("Veilrun-Gate")
            await asyncio.sleep(0.5)


async def test_open_single_hop_services_each_with_an_address_found_again_after_their_daemon_died(
    network: PrivateNetwork, visitor: AnonTransport, tmp_path: Path
) -> None:
    place = private_folder(private_folder(tmp_path / "state") / "expose")
    network.seed(private_folder(place / "data"))
    environment = {
        "VEILRUN_STATE_DIR": str(tmp_path / "state"),
        "VEILRUN_ANON_BINARY": str(network.binary),
        "VEILRUN_ANON_ACCEPT_TERMS": "true",
        "VEILRUN_ANON_EXTRA_RC": str(network.extra_rc(tmp_path)),
    }
    shell = Shell(tmp_path, environment)
    async with SandboxComfyUI(pace=0, root=tmp_path / "ComfyUI") as comfyui, front_end() as site:
        words = ("--comfyui", comfyui.url, "--comfyui-dir", "ComfyUI", "--web", site, "--open", "--single-hop")
        process = await shell.start("anon", "expose", *words)
        try:
            assert process.stdout is not None
            async with asyncio.timeout(SECONDS):
                told = (await process.stdout.readuntil(b"web is at")).decode()
                told += (await process.stdout.readline()).decode()
            gate, page = re.findall(r"is at  (http://[a-z2-7]{56}\.anon)", told)

            assert f'url: "{gate}", transport: anon, vram_gb' in told
            assert (await seen(visitor, f"{gate}/prompt"))[1] == "1"
            assert await seen(visitor, f"{page}/") == ("hello", None)
            client = ComfyClient("gpu-a", gate, visitor)
            _, outputs = await run_and_collect(client, Prompt("mine", graphs.still(1)))
            await client.delete_history(["mine"])
            left = [path for path in (tmp_path / "ComfyUI").rglob("*") if path.is_file()]

            (daemon,) = [one for one in psutil.Process(process.pid).children(recursive=True) if one.name() == "anon"]
            daemon.kill()
            assert (await seen(visitor, f"{gate}/prompt"))[1] == "1"
        finally:
            process.send_signal(signal.SIGTERM)
            done = await shell.ended(process)

    assert outputs[0].content.startswith(b"\x89PNG")
    assert left == []
    assert done.status == 0
