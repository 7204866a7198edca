"""A hidden service of ours: locked until somebody is authorized, at the same address for ever."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from runtime.anon.anonrc import private_folder
from runtime.anon.service import Service, ServiceKeeper
from runtime.anon.state import AnonState, write_state
from runtime.transport import AnonTransport, NotAuthorized, Timeouts, TransportError
from tests.onion.members import Client
from tests.onion.network import PrivateNetwork

pytestmark = [pytest.mark.onion, pytest.mark.slow]

SECONDS = 90.0


@contextlib.asynccontextmanager
async def behind() -> AsyncIterator[int]:
    """A server that says hello; its port."""

    async def hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello")
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(hello, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


@contextlib.asynccontextmanager
async def published(network: PrivateNetwork, folder: Path, service: Service) -> AsyncIterator[None]:
    stop, found = asyncio.Event(), asyncio.Event()
    network.seed(private_folder(private_folder(folder) / "data"))
    keeper = ServiceKeeper([service], folder, network.binary, extra=network.extra_rc(folder), on_published=found.set)
    running = asyncio.create_task(keeper.run(stop))
    try:
        async with asyncio.timeout(SECONDS):
            await found.wait()
        yield
    finally:
        stop.set()
        await running


class Visitor:
    """Somebody with an anon client of their own."""

    def __init__(self, client: Client, folder: Path) -> None:
        self.client = client
        folder.mkdir()
        write_state(folder, AnonState(client.socks, client.control_address, "0.4.9.11-live", 100, "Done"))
        self.transport = AnonTransport(folder, Timeouts(connect=20))

    def give(self, address: str, private: str) -> None:
        label = address.partition(".")[0]
        file = self.client.authorizations / f"{label}.auth_private"
        file.write_text(f"{label}:descriptor:x25519:{private}\n")
        self.client.ask("SIGNAL RELOAD")

    async def sees(self, address: str) -> str:
        try:
            async with self.transport.request("GET", f"http://{address}/") as reply:
                return (await reply.read()).decode()
        except TransportError as error:
            return type(error).__name__

    async def until(self, address: str, wanted: Callable[[str], bool]) -> None:
        async with asyncio.timeout(SECONDS):
            while not wanted(await self.sees(address)):
                self.client.ask("SIGNAL NEWNYM")
                await asyncio.sleep(1)


async def test_nobody_gets_in_until_authorized_and_not_after_a_revocation(
    network: PrivateNetwork, tmp_path: Path
) -> None:
    async with behind() as port:
        service = Service("comfyui", tmp_path / "expose" / "services" / "comfyui", 80, ("127.0.0.1", port))
        service.clients.lock()
        async with published(network, tmp_path / "expose", service):
            bot = Visitor(await asyncio.to_thread(network.client), tmp_path / "bot")
            stranger = Visitor(await asyncio.to_thread(network.client), tmp_path / "stranger")
            assert await stranger.sees(service.address) == NotAuthorized.__name__

            bot.give(service.address, service.clients.authorize("bot").private)
            await bot.until(service.address, lambda seen: seen == "hello")
            assert await stranger.sees(service.address) == NotAuthorized.__name__

            service.clients.revoke("bot")
            await bot.until(service.address, lambda seen: seen == NotAuthorized.__name__)
        for visitor in (bot, stranger):
            await visitor.transport.close()
            await asyncio.to_thread(visitor.client.stop)


async def test_the_address_stays_when_the_service_is_started_again_and_its_key_is_private(
    network: PrivateNetwork, tmp_path: Path
) -> None:
    async with behind() as port:
        service = Service("comfyui", tmp_path / "expose" / "services" / "comfyui", 80, ("127.0.0.1", port))
        async with published(network, tmp_path / "expose", service):
            before = service.address
        async with published(network, tmp_path / "expose", service):
            after = service.address

    assert before == after
    key = service.folder / "hs_ed25519_secret_key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert service.folder.stat().st_mode & 0o777 == 0o700
