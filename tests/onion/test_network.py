"""The private network itself: what the other tests here stand on."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from aiohttp_socks import ProxyConnector, ProxyError

from tests.onion.members import Client
from tests.onion.network import PrivateNetwork

pytestmark = pytest.mark.onion

PRIVATE_KEY = "SAQT6G3NPRRZDN5JB6YJ5OBGZCWW7SHNS3JDYJTBFNBWH4Z2EZHQ"
PUBLIC_KEY = "QYFCWBTFBL7U2CCQKYR7US3RHM57AFPT64WDLTQUPUCTD5XNMQJQ"


@pytest.fixture
async def target() -> AsyncIterator[int]:
    """The port of a web server on loopback."""

    async def hello(request: web.Request) -> web.Response:
        return web.Response(text="hello")

    application = web.Application()
    application.router.add_get("/", hello)
    server = TestServer(application)
    await server.start_server()
    assert server.port
    yield server.port
    await server.close()


@pytest.fixture(scope="module")
def client(network: PrivateNetwork) -> Iterator[Client]:
    with network.client() as client:
        yield client


async def ask(url: str, socks: tuple[str, int]) -> str:
    """The body of `url`, asked through a SOCKS port."""
    connector = ProxyConnector.from_url("socks5://{}:{}".format(*socks), rdns=True)
    async with ClientSession(connector=connector) as session, session.get(url) as response:
        return await response.text()


async def test_a_client_reaches_a_service_at_once(network: PrivateNetwork, client: Client, target: int) -> None:
    with await asyncio.to_thread(network.service, target) as service:
        assert await ask(f"http://{service.address}/", client.socks) == "hello"


async def test_a_service_keeps_its_address_over_a_restart_and_is_published_again(
    network: PrivateNetwork, target: int
) -> None:
    with await asyncio.to_thread(network.service, target) as service:
        address = service.address
        service.stop(signal.SIGKILL)
        await asyncio.to_thread(service.start)

        assert service.address == address
        with await asyncio.to_thread(network.client) as newcomer:
            assert await ask(f"http://{address}/", newcomer.socks) == "hello"


async def test_a_restarted_client_answers_at_the_same_ports(
    network: PrivateNetwork, client: Client, target: int
) -> None:
    with await asyncio.to_thread(network.service, target) as service:
        await asyncio.to_thread(client.restart)

        assert await ask(f"http://{service.address}/", client.socks) == "hello"


async def test_a_service_with_authorized_clients_lets_in_no_other(
    network: PrivateNetwork, client: Client, target: int
) -> None:
    with await asyncio.to_thread(network.service, target, authorized={"alice": PUBLIC_KEY}) as service:
        with pytest.raises(ProxyError):
            await ask(f"http://{service.address}/", client.socks)

        host = service.address.partition(".")[0]
        (client.authorizations / "alice.auth_private").write_text(f"{host}:descriptor:x25519:{PRIVATE_KEY}\n")
        client.ask("SIGNAL RELOAD")
        assert await ask(f"http://{service.address}/", client.socks) == "hello"


async def test_an_exit_leads_to_servers_on_loopback(client: Client, target: int) -> None:
    assert await ask(f"http://127.0.0.1:{target}/", client.exit_socks) == "hello"


async def test_an_exit_leads_nowhere_else(client: Client) -> None:
    with pytest.raises(ProxyError):
        await ask("http://192.0.2.1/", client.exit_socks)


async def test_the_port_for_hidden_services_leads_to_nothing_else(client: Client, target: int) -> None:
    with pytest.raises(ProxyError):
        await ask(f"http://127.0.0.1:{target}/", client.socks)


def test_every_connection_of_the_network_is_on_loopback(network: PrivateNetwork, client: Client) -> None:
    pids = [daemon.pid for daemon in (*network.relays, client)]
    sockets = [each for pid in pids for each in psutil.Process(pid).net_connections("tcp")]

    assert len(sockets) > len(pids)
    assert {address.ip for each in sockets for address in (each.laddr, each.raddr) if address} == {"127.0.0.1"}


def test_another_daemon_joins_with_the_extra_lines_and_a_seeded_folder(network: PrivateNetwork, tmp_path: Path) -> None:
    network.seed(tmp_path)
    anonrc = network.extra_rc(tmp_path)
    tmp_path.chmod(0o700)
    options = ["--AgreeToTerms", "1", "--DataDirectory", str(tmp_path), "--SocksPort", "0"]
    with subprocess.Popen(
        [network.binary, "--defaults-anonrc", "/dev/null", "-f", anonrc, *options], stdout=subprocess.PIPE, text=True
    ) as daemon:
        assert daemon.stdout
        assert any("Bootstrapped 100%" in line for line in daemon.stdout)
        daemon.terminate()


def test_a_network_dies_with_the_process_that_started_it(anon_binary: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from tests.onion.network import PrivateNetwork\n"
        "with PrivateNetwork(Path(sys.argv[1]), relays=2) as network:\n"
        "    print(*(each.pid for each in network.relays), flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, anon_binary],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as owner:
        assert owner.stdout
        relays = [psutil.Process(int(pid)) for pid in owner.stdout.readline().split()]
        owner.kill()

    _, alive = psutil.wait_procs(relays, timeout=10)
    assert (len(relays), alive) == (3, [])
