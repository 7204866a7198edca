"""The onion transport on the wire: what it asks of the SOCKS port, what it never opens, and what each refusal means."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from yarl import URL

from runtime.anon.address import HiddenAddress
from runtime.anon.state import AnonState, are_new_circuits_wanted, write_state
from runtime.leaks.socks import Drop, Refuse, Relay, ScriptedSocks, Silent
from runtime.transport import (
    AddressRefused,
    AnonTransport,
    ConnectFailed,
    ConnectionBroken,
    HandshakeRefused,
    NotAuthorized,
    PathDown,
    Redirected,
    ServiceOffline,
    ServiceRefused,
    TimedOut,
    Timeouts,
    TransportError,
    open_transport,
)
from tests.transport.conftest import Serve

SERVICE = HiddenAddress.of(bytes(range(32)), ".anon")
URL_OF_SERVICE = f"http://{SERVICE}"
STATE = AnonState(("127.0.0.1", 1), ("127.0.0.1", 1), "0.4.9.11-live", 100, "Done")


@pytest.fixture
async def socks() -> AsyncIterator[ScriptedSocks]:
    async with ScriptedSocks() as proxy:
        yield proxy


@pytest.fixture
async def transport(socks: ScriptedSocks, tmp_path: Path) -> AsyncIterator[AnonTransport]:
    write_state(tmp_path, replace(STATE, socks=("127.0.0.1", socks.port)))
    transport = AnonTransport(tmp_path, Timeouts(connect=5, read=5))
    yield transport
    await transport.close()


async def answered(transport: AnonTransport, url: str = URL_OF_SERVICE, lane: str = "api") -> bytes:
    async with transport.request("GET", url, lane=lane) as reply:
        return await reply.read()


async def refused(transport: AnonTransport, url: str = URL_OF_SERVICE) -> TransportError:
    with pytest.raises(TransportError) as raised:
        await answered(transport, url)
    return raised.value


async def hello(_: web.Request) -> web.Response:
    return web.Response(text="hello")


def port_of(url: str) -> int:
    return URL(url).port or 0


async def test_the_proxy_gets_the_name_and_no_resolver_is_asked(
    transport: AnonTransport, socks: ScriptedSocks, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    socks.answer = Relay(port_of(await serve(hello)))
    asked: list[object] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **_: asked.append(arguments))

    assert await answered(transport) == b"hello"

    assert [(request.host, request.port, request.is_name) for request in socks.requests] == [(str(SERVICE), 80, True)]
    assert asked == []


async def test_environment_proxies_are_ignored(
    transport: AnonTransport, socks: ScriptedSocks, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "*")
    socks.answer = Relay(port_of(await serve(hello)))

    assert await answered(transport) == b"hello"


async def test_a_lane_keeps_its_connection_and_its_circuit(
    transport: AnonTransport, socks: ScriptedSocks, serve: Serve
) -> None:
    socks.answer = Relay(port_of(await serve(hello)))

    for _ in range(3):
        await answered(transport)

    assert len(socks.requests) == 1


async def test_every_lane_has_circuits_of_its_own(transport: AnonTransport, socks: ScriptedSocks, serve: Serve) -> None:
    socks.answer = Relay(port_of(await serve(hello)))
    lanes = ("api", "upload", *transport.download_lanes)

    await asyncio.gather(*(answered(transport, lane=lane) for lane in lanes))

    assert len({(request.username, request.password) for request in socks.requests}) == len(lanes)


async def test_two_transports_share_no_circuit(socks: ScriptedSocks, serve: Serve, tmp_path: Path) -> None:
    write_state(tmp_path, replace(STATE, socks=("127.0.0.1", socks.port)))
    socks.answer = Relay(port_of(await serve(hello)))

    for _ in range(2):
        one = AnonTransport(tmp_path)
        await answered(one)
        await one.close()

    first, second = socks.requests
    assert first.username != second.username


async def test_a_renewed_lane_takes_another_circuit_and_what_is_under_way_ends_in_peace(
    transport: AnonTransport, socks: ScriptedSocks, serve: Serve
) -> None:
    go_on = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"a" * 10)
        await go_on.wait()
        await response.write(b"b" * 10)
        return response

    socks.answer = Relay(port_of(await serve(slow)))
    async with transport.request("GET", URL_OF_SERVICE) as reply:
        await transport.renew("api")
        go_on.set()
        under_way = await reply.read()
    await answered(transport)

    assert under_way == b"a" * 10 + b"b" * 10
    first, second = socks.requests
    assert first.username != second.username


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (0xF0, ServiceOffline, "descriptor is not on the network"),
        (0xF1, ServiceOffline, "descriptor cannot be read"),
        (0xF2, ServiceOffline, "introduction points do not answer"),
        (0xF3, ServiceOffline, "no rendezvous"),
        (0xF7, ServiceOffline, "too slow"),
        (0x01, ServiceOffline, "no reason"),
        (0x04, ServiceOffline, "unreachable"),
        (0x06, ServiceOffline, "did not answer in time"),
        (0x05, ServiceRefused, "start ComfyUI"),
        (0xF4, NotAuthorized, "veilrun anon authorize"),
        (0xF5, NotAuthorized, "does not accept our client key"),
        (0xF6, AddressRefused, "address is wrong"),
        (0x02, AddressRefused, "does not open this address"),
        (0x08, ConnectFailed, "0x08"),
    ],
)
async def test_each_refusal_of_the_daemon_is_an_error_with_its_cure(
    transport: AnonTransport, socks: ScriptedSocks, code: int, kind: type[TransportError], words: str
) -> None:
    socks.answer = Refuse(code)

    error = await refused(transport)

    assert type(error) is kind
    assert words in str(error)
    assert not error.may_have_arrived
    assert str(SERVICE) not in str(error)


async def test_a_lost_descriptor_asks_the_keeper_for_new_circuits(
    transport: AnonTransport, socks: ScriptedSocks, tmp_path: Path
) -> None:
    socks.answer = Refuse(0xF0)
    await refused(transport)

    assert are_new_circuits_wanted(tmp_path)
    assert not are_new_circuits_wanted(tmp_path)


async def test_a_daemon_that_is_gone_means_that_the_path_is_down(
    transport: AnonTransport, socks: ScriptedSocks
) -> None:
    await socks.stop()

    assert isinstance(await refused(transport), PathDown)


async def test_something_else_on_the_socks_port_means_that_the_path_is_down(
    transport: AnonTransport, socks: ScriptedSocks
) -> None:
    socks.answer = Drop()

    assert isinstance(await refused(transport), PathDown)


async def test_a_circuit_that_does_not_come_about_ends_in_time(socks: ScriptedSocks, tmp_path: Path) -> None:
    write_state(tmp_path, replace(STATE, socks=("127.0.0.1", socks.port)))
    socks.answer = Silent()
    transport = AnonTransport(tmp_path, Timeouts(connect=0.2))

    error = await refused(transport)
    await transport.close()

    assert isinstance(error, TimedOut)
    assert error.phase == "connect"


async def test_a_connection_cut_in_mid_transfer_is_told(
    transport: AnonTransport, socks: ScriptedSocks, serve: Serve
) -> None:
    async def large(_: web.Request) -> web.Response:
        return web.Response(body=b"x" * 100_000)

    socks.answer = Relay(port_of(await serve(large)), cut_after=5_000)

    assert isinstance(await refused(transport), ConnectionBroken)


@pytest.mark.parametrize(("percent", "words"), [(0, "veilrun up"), (45, "45 %")])
async def test_without_a_daemon_that_is_ready_nothing_is_opened(
    transport: AnonTransport, socks: ScriptedSocks, tmp_path: Path, percent: int, words: str
) -> None:
    if percent:
        write_state(tmp_path, replace(STATE, bootstrap_percent=percent, phase="loading descriptors"))
    else:
        (tmp_path / "state.json").unlink()

    error = await refused(transport)

    assert isinstance(error, PathDown)
    assert words in str(error)
    assert socks.requests == []


async def test_a_daemon_that_listens_elsewhere_after_a_restart_is_found(
    transport: AnonTransport, socks: ScriptedSocks, serve: Serve, tmp_path: Path
) -> None:
    socks.answer = Relay(port_of(await serve(hello)))
    await answered(transport)

    async with ScriptedSocks(socks.answer) as other:
        write_state(tmp_path, replace(STATE, socks=("127.0.0.1", other.port)))
        assert await answered(transport) == b"hello"
        assert len(other.requests) == 1


WRONG = str(SERVICE)[:-6] + ("a" if str(SERVICE)[-6] != "a" else "b") + ".anon"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://example.org", "ends in '.org'"),
        ("http://127.0.0.1:8188", "not in .anon or .anyone"),
        ("http://[::1]:8188", "not in .anon or .anyone"),
        (f"http://{SERVICE.label}.onion", "ends in '.onion'"),
        ("http://anyone.anon", "short names are not accepted"),
        (f"http://www.{SERVICE}", "short names are not accepted"),
        (f"http://{WRONG}", "checksum is wrong"),
        (f"http://{SERVICE.label}.anyone", "the suffix was changed by hand"),
        (f"http://{HiddenAddress.of(bytes(range(32)), '.anyone')}", "this address needs 0.4.10"),
        (f"http://user:password@{SERVICE}", "http://<56 characters>.anon"),
        (f"ftp://{SERVICE}", "http"),
        (f"http://{SERVICE}.", "ends in"),
    ],
)
@pytest.mark.parametrize("way", ["request", "websocket"])
async def test_any_other_address_is_refused_before_anything_is_opened(
    transport: AnonTransport, socks: ScriptedSocks, url: str, words: str, way: str
) -> None:
    opened = transport.request("GET", url) if way == "request" else transport.websocket(url)
    with pytest.raises(AddressRefused) as raised:
        async with opened:
            pass

    assert words in str(raised.value)
    assert socks.requests == []


async def test_a_newer_daemon_speaks_the_other_suffix(socks: ScriptedSocks, serve: Serve, tmp_path: Path) -> None:
    write_state(tmp_path, replace(STATE, socks=("127.0.0.1", socks.port), version="0.4.10.2"))
    socks.answer = Relay(port_of(await serve(hello)))
    transport = AnonTransport(tmp_path)

    error = await refused(transport)
    newer = await answered(transport, f"http://{HiddenAddress.of(bytes(range(32)), '.anyone')}")
    await transport.close()

    assert "your daemon is 0.4.10.2, this address needs 0.4.9" in str(error)
    assert newer == b"hello"


@pytest.mark.parametrize("target", ["http://example.org/", "http://127.0.0.1:9/", f"http://{SERVICE}/elsewhere"])
@pytest.mark.parametrize("way", ["request", "websocket"])
async def test_a_redirect_is_never_followed(
    transport: AnonTransport, socks: ScriptedSocks, serve: Serve, target: str, way: str
) -> None:
    async def elsewhere(_: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": target})

    socks.answer = Relay(port_of(await serve(elsewhere)))
    opened = transport.request("GET", URL_OF_SERVICE) if way == "request" else transport.websocket(URL_OF_SERVICE)
    with pytest.raises(Redirected):
        async with opened:
            pass

    assert socks.names == [str(SERVICE)]


async def test_a_websocket_goes_the_same_way(transport: AnonTransport, socks: ScriptedSocks, serve: Serve) -> None:
    async def echo(request: web.Request) -> web.StreamResponse:
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        await websocket.send_str("hello")
        await websocket.close()
        return websocket

    socks.answer = Relay(port_of(await serve(echo)))
    async with transport.websocket(f"{URL_OF_SERVICE}/ws") as opened:
        assert await opened.receive() == "hello"

    assert [request.is_name for request in socks.requests] == [True]


async def test_a_websocket_that_is_not_upgraded_is_told(
    transport: AnonTransport, socks: ScriptedSocks, serve: Serve
) -> None:
    socks.answer = Relay(port_of(await serve(hello)))

    with pytest.raises(HandshakeRefused):
        async with transport.websocket(f"{URL_OF_SERVICE}/ws"):
            pass


async def test_where_no_anon_is_known_the_path_is_down() -> None:
    transport = open_transport("anon")

    with pytest.raises(PathDown):
        async with transport.request("GET", f"http://{HiddenAddress.of(os.urandom(32), '.anon')}"):
            pass
    await transport.close()


@pytest.mark.parametrize("answer", [Refuse(0xF2), Refuse(0xF0)])
async def test_after_a_failure_the_next_try_takes_other_circuits(
    transport: AnonTransport, socks: ScriptedSocks, serve: Serve, answer: Refuse
) -> None:
    socks.script.append(answer)
    socks.answer = Relay(port_of(await serve(hello)))

    await refused(transport)
    await answered(transport)

    first, second = socks.requests
    assert first.username != second.username


@pytest.mark.parametrize("said", [b"", b"\x05\x02", b"\x05\x02\x01\x00"])
async def test_a_daemon_that_is_killed_before_it_has_replied_has_sent_nothing(tmp_path: Path, said: bytes) -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for each in (said[:2], said[2:]):
            await reader.read(1)  # what is left unread makes the system send a reset
            writer.write(each)
            await writer.drain()
        writer.transport.abort()

    transport = AnonTransport(tmp_path, Timeouts(connect=5, read=5))
    async with await asyncio.start_server(reset, "127.0.0.1", 0) as server:
        write_state(tmp_path, replace(STATE, socks=server.sockets[0].getsockname()))
        error = await refused(transport)
    await transport.close()

    assert isinstance(error, PathDown)


@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x15\x03\x03\x00\x02\x02\x28"])
async def test_a_service_that_fails_at_tls_is_no_fault_of_the_path(tmp_path: Path, reply: bytes) -> None:
    async def no_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for each in (b"\x05\x02", b"\x01\x00", b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00", reply):
            await reader.read(1000)
            writer.write(each)
        writer.close()

    transport = AnonTransport(tmp_path, Timeouts(connect=5, read=5))
    async with await asyncio.start_server(no_tls, "127.0.0.1", 0) as server:
        write_state(tmp_path, replace(STATE, socks=server.sockets[0].getsockname()))
        error = await refused(transport, f"https://{SERVICE}")
    await transport.close()

    assert not isinstance(error, PathDown)
    assert SERVICE.label not in str(error)
