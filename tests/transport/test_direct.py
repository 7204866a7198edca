import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from runtime.transport import (
    AddressRefused,
    ConnectFailed,
    ConnectionBroken,
    FrameTooLarge,
    HandshakeRefused,
    Part,
    Redirected,
    ReplyTooLarge,
    TimedOut,
    Timeouts,
    Transport,
    UnknownTransport,
    open_transport,
)
from tests.transport.conftest import Serve

SERVICE = "http://" + "a" * 56


def test_an_unknown_transport_names_those_there_are() -> None:
    with pytest.raises(UnknownTransport, match=r"'carrier-pigeon'.*direct"):
        open_transport("carrier-pigeon")


@pytest.mark.parametrize(
    "url",
    [
        f"{SERVICE}.anon",
        f"{SERVICE}.anyone:8188",
        f"{SERVICE.upper().replace('HTTP', 'http')}.ANON.",
        "http://short.anon",
        f"{SERVICE}%2eanon",
        f"{SERVICE}。anon",
        f"http://user:password@{'a' * 56}.anon/prompt",
    ],
)
@pytest.mark.parametrize("way", ["request", "websocket"])
async def test_a_hidden_service_is_refused_before_any_resolver_is_asked(
    transport: Transport, monkeypatch: pytest.MonkeyPatch, url: str, way: str
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **_: asked.append(arguments))

    opened = transport.request("GET", url) if way == "request" else transport.websocket(url)
    with pytest.raises(AddressRefused, match="transport: anon"):
        async with opened:
            pass

    assert asked == []


@pytest.mark.parametrize("ending", [" ", "%00", "%252e", "%20x"])
async def test_a_host_in_other_letters_than_those_of_names_is_refused_before_any_resolver_is_asked(
    transport: Transport, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **_: asked.append(arguments))

    with pytest.raises(AddressRefused):
        async with transport.request("GET", f"{SERVICE}.anon{ending}"):
            pass

    assert asked == []


@pytest.mark.parametrize("url", ["ftp://host/", "host:8188", "", "http://", "file:///etc/passwd", "http://[bad"])
async def test_an_address_that_is_no_http_url_is_refused(transport: Transport, url: str) -> None:
    with pytest.raises(AddressRefused, match="http://host"):
        async with transport.request("GET", url):
            pass


async def test_a_refusal_tells_that_nothing_was_sent(transport: Transport) -> None:
    with pytest.raises(AddressRefused) as caught:
        async with transport.request("POST", f"{SERVICE}.anon"):
            pass

    assert not caught.value.may_have_arrived


async def test_json_and_query_reach_the_server_and_its_answer_comes_back(transport: Transport, serve: Serve) -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.json_response({"query": dict(request.query), "body": await request.json()}, status=201)

    url = await serve(echo)
    async with transport.request("POST", f"{url}/x", params={"a": "1 & 2"}, json={"b": [1]}) as reply:
        assert reply.status == 201
        assert reply.headers["content-type"].startswith("application/json")
        assert await reply.read() == b'{"query": {"a": "1 & 2"}, "body": {"b": [1]}}'


async def test_a_form_carries_files_and_fields(transport: Transport, serve: Serve) -> None:
    received: list[object] = []

    async def note(request: web.Request) -> web.Response:
        fields = await request.post()
        image = fields["image"]
        assert isinstance(image, web.FileField)
        received.extend([image.filename, image.content_type, len(image.file.read()), fields["type"]])
        return web.Response()

    url = await serve(note)
    parts = [Part("image", b"\x00" * 5000, "лебедь 1.png", "image/png"), Part("type", "input")]
    async with transport.request("POST", url, form=parts, lane="transfer"):
        pass

    assert received == ["лебедь 1.png", "image/png", 5000, "input"]


async def test_bodies_stream_both_ways_without_being_held_whole(transport: Transport, serve: Serve) -> None:
    """The server sends piece n back before piece n + 1 is made: neither side can be waiting for the end."""
    returned = asyncio.Event()

    async def echo(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        async for piece in request.content.iter_any():
            await response.write(piece)
        return response

    async def pieces() -> AsyncIterator[bytes]:
        yield b"first"
        await asyncio.wait_for(returned.wait(), 5)
        yield b"second"

    received = b""
    url = await serve(echo)
    async with transport.request("POST", url, body=pieces()) as reply:
        async for chunk in reply.chunks():
            received += chunk
            returned.set()

    assert received == b"firstsecond"


async def test_the_environments_proxies_are_ignored(
    transport: Transport, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)

    url = await serve(_texts("direct"))
    async with transport.request("GET", url) as reply:
        assert await reply.read() == b"direct"


@pytest.mark.parametrize("way", ["request", "websocket"])
async def test_a_redirect_is_never_followed(transport: Transport, serve: Serve, way: str) -> None:
    followed = asyncio.Event()

    async def elsewhere(request: web.Request) -> web.Response:
        followed.set()
        return web.Response()

    target = await serve(elsewhere)

    async def redirect(request: web.Request) -> web.Response:
        raise web.HTTPFound(f"{target}/ws")

    url = await serve(redirect)
    opened = transport.request("GET", url) if way == "request" else transport.websocket(url)
    with pytest.raises(Redirected, match="302"):
        async with opened:
            pass

    assert not followed.is_set()


@pytest.mark.parametrize("way", ["request", "websocket"])
async def test_no_origin_cookie_or_referer_is_sent(transport: Transport, serve: Serve, way: str) -> None:
    seen: list[set[str]] = []

    async def note(request: web.Request) -> web.StreamResponse:
        seen.append({name.lower() for name in request.headers})
        if way == "request":
            return web.Response(headers={"Set-Cookie": "a=b"})
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        return websocket

    url = await serve(note)
    for _ in range(2):
        opened = transport.request("GET", url) if way == "request" else transport.websocket(url)
        async with opened:
            pass

    assert not (seen[0] | seen[1]) & {"origin", "cookie", "referer"}


async def test_nobody_listening_means_nothing_was_sent(transport: Transport) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        with pytest.raises(ConnectFailed) as caught:
            async with transport.request("POST", url):
                pass

    assert not caught.value.may_have_arrived


async def test_a_connection_cut_before_the_answer_may_have_arrived(transport: Transport, serve_raw: Serve) -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    url = await serve_raw(cut)
    with pytest.raises(ConnectionBroken) as caught:
        async with transport.request("POST", url, json={}):
            pass

    assert caught.value.may_have_arrived


async def test_a_body_cut_short_is_an_error_not_a_shorter_body(transport: Transport, serve_raw: Serve) -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
        await writer.drain()
        writer.close()

    url = await serve_raw(cut)
    async with transport.request("GET", url) as reply:
        with pytest.raises(ConnectionBroken):
            await reply.read()


async def test_each_phase_has_its_own_time_limit(transport: Transport, serve_raw: Serve) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not writer.is_closing() and not reader.at_eof():
            writer.write(b".")
            await asyncio.sleep(0.02)
        writer.close()

    url = await serve_raw(silent)
    with pytest.raises(TimedOut) as caught:
        async with transport.request("POST", url, timeouts=Timeouts(read=0.1)):
            pass
    assert (caught.value.phase, caught.value.may_have_arrived) == ("read", True)

    url = await serve_raw(dripping)
    async with transport.request("GET", url, timeouts=Timeouts(read=5, total=0.3)) as reply:
        with pytest.raises(TimedOut) as caught:
            await reply.read()
    assert caught.value.phase == "total"


async def test_a_server_that_accepts_nothing_times_out_while_connecting(transport: Transport) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        fillers = [socket.socket() for _ in range(3)]
        try:
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", port))
            with pytest.raises(TimedOut) as caught:
                async with transport.request("POST", f"http://127.0.0.1:{port}", timeouts=Timeouts(connect=0.2)):
                    pass
        finally:
            for filler in fillers:
                filler.close()

    assert (caught.value.phase, caught.value.may_have_arrived) == ("connect", False)


async def test_an_answer_above_the_bound_is_not_read_to_its_end(transport: Transport, serve: Serve) -> None:
    url = await serve(_texts("x" * 2000))
    async with transport.request("GET", url) as reply:
        with pytest.raises(ReplyTooLarge):
            await reply.read(limit_bytes=1000)


async def test_a_websocket_carries_large_frames_of_both_kinds(transport: Transport, serve: Serve) -> None:
    async def echo(request: web.Request) -> web.StreamResponse:
        websocket = web.WebSocketResponse(max_msg_size=0)
        await websocket.prepare(request)
        text = await websocket.receive_str()
        await websocket.send_str(text)
        await websocket.send_bytes(text.encode())
        return websocket

    url = await serve(echo)
    large = "x" * (5 * 1024 * 1024)
    async with transport.websocket(url) as websocket:
        await websocket.send(large)
        assert await websocket.receive() == large
        assert await websocket.receive() == large.encode()
        assert await websocket.receive() is None
        assert await websocket.close() is True


async def test_a_frame_above_the_bound_is_told_apart_from_a_broken_socket(transport: Transport, serve: Serve) -> None:
    async def talk(request: web.Request) -> web.StreamResponse:
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        await websocket.send_str("x" * 2000)
        await websocket.receive()
        return websocket

    url = await serve(talk)
    async with transport.websocket(url, limit_bytes=1000) as websocket:
        with pytest.raises(FrameTooLarge):
            await websocket.receive()


async def test_a_websocket_cut_without_a_close_frame_is_broken_and_not_closed(
    transport: Transport, serve: Serve
) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        assert request.transport is not None
        request.transport.abort()
        return websocket

    url = await serve(cut)
    async with transport.websocket(url) as websocket:
        with pytest.raises(ConnectionBroken):
            await websocket.receive()
        assert await websocket.close() is False


async def test_a_peer_that_answers_no_ping_is_noticed(transport: Transport, serve: Serve) -> None:
    gone = asyncio.Event()

    async def deaf(request: web.Request) -> web.StreamResponse:
        websocket = web.WebSocketResponse(autoping=False)
        await websocket.prepare(request)
        await gone.wait()
        return websocket

    url = await serve(deaf)
    async with transport.websocket(url, heartbeat_seconds=0.2) as websocket:
        with pytest.raises(ConnectionBroken):
            await asyncio.wait_for(websocket.receive(), 5)
        gone.set()


async def test_a_server_without_websockets_says_so_with_its_status(transport: Transport, serve: Serve) -> None:
    url = await serve(_texts("no", 404))
    with pytest.raises(HandshakeRefused, match="404") as caught:
        async with transport.websocket(url):
            pass

    assert caught.value.status == 404


async def test_a_websocket_that_never_opens_times_out(transport: Transport, serve_raw: Serve) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    url = await serve_raw(silent)
    with pytest.raises(TimedOut):
        async with transport.websocket(url, timeouts=Timeouts(connect=0.1, read=0.1)):
            pass


async def test_connections_are_kept_alive_within_a_lane_and_not_shared_between_lanes(
    transport: Transport, serve: Serve
) -> None:
    ports: list[int] = []

    async def note(request: web.Request) -> web.Response:
        assert request.transport is not None
        ports.append(request.transport.get_extra_info("peername")[1])
        return web.Response(text="ok")

    url = await serve(note)
    for lane in ("api", "api", "transfer"):
        async with transport.request("GET", url, lane=lane) as reply:
            await reply.read()

    assert ports[0] == ports[1] != ports[2]


def _texts(text: str, status: int = 200) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=text, status=status)

    return answer


@pytest.mark.parametrize("host", ["a" * 56 + ".onion", "X.ONION.", "x%2eonion"])
async def test_names_of_other_networks_are_never_resolved(
    transport: Transport, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **_: asked.append(arguments))

    with pytest.raises(AddressRefused, match="Tor"):
        async with transport.request("GET", f"http://{host}/"):
            pass

    assert asked == []


async def test_a_refused_connection_does_not_name_its_address(transport: Transport) -> None:
    with pytest.raises(ConnectFailed) as raised:
        async with transport.request("GET", "http://127.0.0.1:9/"):
            pass

    assert str(raised.value) == "no connection: connection refused"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://gpu.invalid:8188/", "no connection: its name is not known to the resolver"),
        ("https://{host}/", "no connection: TLS fails; is it http:// there?"),
    ],
)
async def test_what_is_wrong_with_an_address_is_said_in_words(
    serve: Serve, transport: Transport, url: str, said: str
) -> None:
    async def nothing(_: web.Request) -> web.Response:
        return web.Response()

    host = (await serve(nothing)).removeprefix("http://")
    with pytest.raises(ConnectFailed) as raised:
        async with transport.request("GET", url.format(host=host)):
            pass

    assert str(raised.value) == said
