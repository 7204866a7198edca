"""The client here is the library of AnonTransport as it is: what it makes of each answer is noted in passing."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp_socks import ProxyConnectionError, ProxyConnector, ProxyError

from runtime.leaks.socks import Drop, Refuse, RefuseAuthentication, Relay, ScriptedSocks, Silent


async def _fetch(socks: ScriptedSocks, url: str = "http://hidden.anon:8188/", seconds: float = 5) -> bytes:
    connector = ProxyConnector.from_url(f"socks5://lane:secret@127.0.0.1:{socks.port}", rdns=True)
    timeout = aiohttp.ClientTimeout(total=seconds)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
        session.get(url) as response,
    ):
        return await response.read()


@pytest.fixture
async def answering() -> AsyncIterator[int]:
    """The port of a server that answers every request with 1000 bytes."""

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(peer, "127.0.0.1", 0)
    yield int(server.sockets[0].getsockname()[1])
    server.close()


async def test_a_relayed_request_arrives_and_its_name_and_credentials_are_noted(answering: int) -> None:
    async with ScriptedSocks(Relay(answering)) as socks:
        assert len(await _fetch(socks)) == 1000

        (asked,) = socks.requests
        assert (asked.host, asked.port, asked.is_name) == ("hidden.anon", 8188, True)
        assert (asked.username, asked.password) == ("lane", "secret")


async def test_an_address_in_numbers_is_told_apart_from_a_name(answering: int) -> None:
    async with ScriptedSocks(Relay(answering)) as socks:
        await _fetch(socks, "http://192.0.2.7/")

        assert [(asked.host, asked.is_name) for asked in socks.requests] == [("192.0.2.7", False)]


@pytest.mark.parametrize("code", [*range(0x01, 0x09), *range(0xF0, 0xF8)])
async def test_every_reply_code_reaches_the_client(code: int) -> None:
    async with ScriptedSocks(Refuse(code)) as socks:
        with pytest.raises(ProxyError) as caught:
            await _fetch(socks)

    assert (caught.value.error_code or str(caught.value)) in (code, f"Invalid reply code: {code:#04X}")


async def test_answers_come_in_the_order_of_the_script(answering: int) -> None:
    async with ScriptedSocks(Relay(answering)) as socks:
        socks.script.extend([Refuse(0xF2), Drop(), RefuseAuthentication()])
        for _ in range(3):
            with pytest.raises((ProxyError, asyncio.IncompleteReadError)):
                await _fetch(socks)

        assert len(await _fetch(socks)) == 1000
        assert len(socks.requests) == 3  # refused credentials come to no request


async def test_a_silent_proxy_keeps_the_client_waiting() -> None:
    async with ScriptedSocks(Silent()) as socks:
        fetching = asyncio.create_task(_fetch(socks))
        await asyncio.wait_for(socks.wait_for_requests(1), 5)
        assert not fetching.done()
        socks.cut()
        with pytest.raises((asyncio.IncompleteReadError, OSError)):
            await asyncio.wait_for(fetching, 5)


async def test_a_transfer_is_cut_after_the_given_number_of_bytes(answering: int) -> None:
    async with ScriptedSocks(Relay(answering, cut_after=200)) as socks:
        with pytest.raises(aiohttp.ClientPayloadError):
            await _fetch(socks)


async def test_a_stopped_proxy_refuses_and_comes_back_on_its_port(answering: int) -> None:
    async with ScriptedSocks(Relay(answering)) as socks:
        port = socks.port
        await socks.stop()
        with pytest.raises(ProxyConnectionError):
            await _fetch(socks)
        await socks.start()

        assert socks.port == port
        assert len(await _fetch(socks)) == 1000
