"""The private network itself: what the other tests here stand on."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from aiohttp_socks import ProxyConnector, ProxyError

from tests.onion.members import Client
from tests.onion.network import PrivateNetwork

pytestmark = pytest.mark.onion


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


async def test_an_exit_leads_to_servers_on_loopback(client: Client, target: int) -> None:
    assert await ask(f"http://127.0.0.1:{target}/", client.exit_socks) == "hello"


async def test_the_port_for_hidden_services_leads_to_nothing_else(client: Client, target: int) -> None:
    with pytest.raises(ProxyError):
        await ask(f"http://127.0.0.1:{target}/", client.socks)
