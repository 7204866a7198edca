"""A SOCKS5 proxy that does as it is told, on 127.0.0.1: it stands in for anon's SOCKS port where the wire is looked at.

Protocol: RFC 1928, RFC 1929. It resolves nothing: a request that succeeds is relayed to one local port, whatever its
name was.
"""

import asyncio
import contextlib
import ipaddress
import struct
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeAlias

HOST = "127.0.0.1"
VERSION, AUTHENTICATION_VERSION = 5, 1
NO_AUTHENTICATION, PASSWORD, NONE_ACCEPTABLE = 0, 2, 0xFF
CONNECT = 1
IPV4, NAME, IPV6 = 1, 3, 4
SUCCEEDED, CONNECTION_REFUSED, COMMAND_NOT_SUPPORTED = 0, 5, 7
CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it arrived. is_name: whether `host` came as a name to be resolved by the proxy, not as an IP."""

    host: str
    port: int
    is_name: bool
    username: str | None = None
    password: str | None = None
    command: int = CONNECT


@dataclass(frozen=True, slots=True)
class Relay:
    """Succeed, and connect to `port` on 127.0.0.1; reply 0x05 if nothing listens there.

    cut_after: drop both sides after so many bytes of answer.
    """

    port: int
    cut_after: int | None = None


@dataclass(frozen=True, slots=True)
class Refuse:
    """Reply with `code`: 0x01 to 0x08 of RFC 1928, or 0xF0 to 0xF7 as anon says with ExtendedErrors."""

    code: int


@dataclass(frozen=True, slots=True)
class Silent:
    """Take the request and never reply."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Take the request and close the connection without a reply."""


@dataclass(frozen=True, slots=True)
class RefuseAuthentication:
    """Refuse the credentials, or a client that brings none. Nothing is asked then."""


Answer: TypeAlias = Relay | Refuse | Silent | Drop | RefuseAuthentication


class ScriptedSocks:
    """The proxy. It answers each connection with the next of `script`, and with `answer` once that is empty.

    requests: everything asked so far, in order. ports: where it has listened. relay_from: the local address that its
    own connections come from, so that they can be told apart. Use it as a context; inside, it may be stopped and
    started again on the same port.
    """

    def __init__(self, answer: Answer = Refuse(0x01), relay_from: str = HOST) -> None:
        self.answer: Answer = answer
        self.script: deque[Answer] = deque()
        self.requests: list[Asked] = []
        self.port = 0
        self.ports: set[int] = set()
        self._relay_from = relay_from
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Condition()

    @property
    def url(self) -> str:
        return f"socks5://{HOST}:{self.port}"

    @property
    def names(self) -> list[str]:
        """The hosts asked for, in order."""
        return [asked.host for asked in self.requests]

    @property
    def open_connections(self) -> int:
        """How many connections there are now."""
        return len(self._serving)

    async def start(self) -> None:
        """Listen, on the same port as before if it has listened already."""
        self._server = await asyncio.start_server(self._serve, HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        self.ports.add(self.port)

    async def move(self) -> None:
        """Stop, and listen on another port."""
        await self.stop()
        self.port = 0
        await self.start()

    async def stop(self) -> None:
        """Stop listening and cut every connection, as if the process had been killed."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def cut(self) -> None:
        """Cut every connection there is now; new ones are taken."""
        for task in self._serving:
            task.cancel()

    async def wait_for_requests(self, count: int) -> list[Asked]:
        """Everything asked, once that is `count` requests at least."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.requests) >= count)
        return self.requests

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            await self._answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone
        except asyncio.CancelledError:
            pass  # `cut`: this task is asyncio's, which logs a cancelled one as an error
        finally:
            self._serving.discard(task)
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answer = self.script.popleft() if self.script else self.answer
        credentials = await _authenticate(reader, writer, accept=not isinstance(answer, RefuseAuthentication))
        if isinstance(answer, RefuseAuthentication):
            return
        asked = await _read_request(reader, *credentials)
        async with self._changed:
            self.requests.append(asked)
            self._changed.notify_all()
        if asked.command != CONNECT:
            await _reply(writer, COMMAND_NOT_SUPPORTED)
            return
        match answer:
            case Refuse(code):
                await _reply(writer, code)
            case Silent():
                await reader.read()
            case Relay(port, cut_after):
                await self._relay(reader, writer, port, cut_after)

    async def _relay(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, cut_after: int | None
    ) -> None:
        try:
            target_reader, target_writer = await asyncio.open_connection(HOST, port, local_addr=(self._relay_from, 0))
        except ConnectionRefusedError:
            await _reply(writer, CONNECTION_REFUSED)
            return
        try:
            writer.write(bytes([VERSION, SUCCEEDED, 0, IPV4, 0, 0, 0, 0, 0, 0]))
            asking = asyncio.create_task(_copy(reader, target_writer, None))
            try:
                await _copy(target_reader, writer, cut_after)
            finally:
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)
        finally:
            target_writer.transport.abort()
        if cut_after is None:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def _authenticate(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, accept: bool
) -> tuple[str | None, str | None]:
    _, count = await reader.readexactly(2)
    offered = await reader.readexactly(count)
    if PASSWORD not in offered:
        writer.write(bytes([VERSION, NO_AUTHENTICATION if accept else NONE_ACCEPTABLE]))
        await writer.drain()
        return None, None
    writer.write(bytes([VERSION, PASSWORD]))
    await reader.readexactly(1)
    username = await reader.readexactly((await reader.readexactly(1))[0])
    password = await reader.readexactly((await reader.readexactly(1))[0])
    writer.write(bytes([AUTHENTICATION_VERSION, 0 if accept else 1]))
    await writer.drain()
    return username.decode(), password.decode()


async def _read_request(reader: asyncio.StreamReader, username: str | None, password: str | None) -> Asked:
    _, command, _, kind = await reader.readexactly(4)
    match kind:
        case _ if kind == NAME:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode("utf-8", "backslashreplace")
        case _:
            host = str(ipaddress.ip_address(await reader.readexactly(4 if kind == IPV4 else 16)))
    (port,) = struct.unpack("!H", await reader.readexactly(2))
    return Asked(host, port, kind == NAME, username, password, command)


async def _reply(writer: asyncio.StreamWriter, code: int) -> None:
    writer.write(bytes([VERSION, code, 0, IPV4, 0, 0, 0, 0, 0, 0]))
    await writer.drain()
    writer.close()
    await writer.wait_closed()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter, limit: int | None) -> None:
    """Until the source ends, or `limit` bytes have gone through; then the sink is told only if it has ended."""
    copied = 0
    while limit is None or copied < limit:
        chunk = await source.read(CHUNK_BYTES if limit is None else min(CHUNK_BYTES, limit - copied))
        if not chunk:
            with contextlib.suppress(OSError):
                sink.write_eof()
            return
        copied += len(chunk)
        sink.write(chunk)
        await sink.drain()
