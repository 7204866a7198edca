"""The part of a transport that aiohttp does. How a connection is made is left to the transport itself."""

import asyncio
import os
import socket
import ssl
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from yarl import URL

from runtime.transport.address import parse_address
from runtime.transport.errors import (
    AddressRefused,
    ConnectFailed,
    ConnectionBroken,
    FrameTooLarge,
    HandshakeRefused,
    Redirected,
    ReplyTooLarge,
    TimedOut,
    TransportError,
)
from runtime.transport.interface import MEGABYTE, Lane, Part, Reply, Socket, Timeouts

CHUNK_BYTES = 64 * 1024
CLOSE_SECONDS = 3.0
KEEP_ALIVE_SECONDS = 60.0


class SessionTransport(ABC):
    """A Transport over aiohttp with one session, and so one set of connections, per lane."""

    download_lanes: tuple[Lane, ...] = ("transfer",)
    patience_seconds: float = 30.0

    def __init__(self, timeouts: Timeouts | None = None) -> None:
        self.timeouts = timeouts or Timeouts()
        self._sessions: dict[Lane, _Kept] = {}
        self._leaving: set[_Kept] = set()

    @abstractmethod
    def _connector(self, lane: Lane) -> aiohttp.BaseConnector:
        """What opens the connections of `lane`."""

    @abstractmethod
    def _admit(self, url: URL) -> None:
        """Raises: AddressRefused if this transport may not open `url`. Called before any name is resolved."""

    @abstractmethod
    async def renew(self, lane: Lane) -> None:
        """Take another path for what `lane` opens from now on."""

    @asynccontextmanager
    async def request(
        self,
        method: str,
        url: str,
        *,
        lane: Lane = "api",
        params: Mapping[str, str] | None = None,
        json: Any = None,
        body: bytes | AsyncIterator[bytes] | None = None,
        form: Sequence[Part] | None = None,
        headers: Mapping[str, str] | None = None,
        timeouts: Timeouts | None = None,
    ) -> AsyncIterator[Reply]:
        address = self._checked(url)
        bounds = timeouts or self.timeouts
        async with self._session(lane) as session:
            async with self._opening(lane):
                response = await session.request(
                    method,
                    address,
                    params=params,
                    json=json,
                    data=_multipart(form) if form is not None else body,
                    headers=headers,
                    timeout=_client_timeout(bounds),
                    allow_redirects=False,
                )
            try:
                yield _Reply(response)
            finally:
                response.release()

    @asynccontextmanager
    async def websocket(
        self,
        url: str,
        *,
        lane: Lane = "api",
        params: Mapping[str, str] | None = None,
        heartbeat_seconds: float = 20.0,
        limit_bytes: int = 256 * MEGABYTE,
        timeouts: Timeouts | None = None,
    ) -> AsyncIterator[Socket]:
        address = self._checked(url)
        async with self._session(lane) as session:
            async with self._opening(lane):
                # Given per call to ws_connect, a bound would hold for the socket's whole life: so it is one of waiting.
                async with asyncio.timeout(_opening_seconds(timeouts or self.timeouts)):
                    websocket = await session.ws_connect(
                        address,
                        params=params,
                        heartbeat=heartbeat_seconds,
                        max_msg_size=limit_bytes,
                        timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_SECONDS),
                    )
            socket = _Socket(websocket)
            try:
                yield socket
            finally:
                await socket.close()

    async def close(self) -> None:
        sessions, self._sessions = self._sessions, {}
        for kept in (*sessions.values(), *self._leaving):
            await kept.session.close()

    def _checked(self, url: str) -> URL:
        address = parse_address(url)
        self._admit(address)
        return address

    @asynccontextmanager
    async def _session(self, lane: Lane) -> AsyncIterator[aiohttp.ClientSession]:
        """The session of `lane`, kept open for the context even if the lane is given another one meanwhile."""
        await self._settle(lane)
        if lane not in self._sessions:
            session = aiohttp.ClientSession(
                connector=self._connector(lane),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=_client_timeout(self.timeouts),
                trust_env=False,
                middlewares=(self._stay_on_address,),
            )
            self._sessions[lane] = _Kept(session)
        kept = self._sessions[lane]
        kept.users += 1
        try:
            yield kept.session
        finally:
            kept.users -= 1
            await self._close_idle()

    async def _settle(self, lane: Lane) -> None:  # noqa: B027 - most transports have nothing to do here
        """Called before the lane's session is used, for a transport that has to `_replace` it first."""

    async def _replace(self, lane: Lane) -> None:
        """Open new connections for what `lane` does from now on; the old ones close when nothing uses them any more."""
        if lane in self._sessions:
            self._leaving.add(self._sessions.pop(lane))
            await self._close_idle()

    async def _close_idle(self) -> None:
        for kept in [kept for kept in self._leaving if kept.users == 0]:
            self._leaving.discard(kept)
            await kept.session.close()

    def _translate(self, error: Exception) -> TransportError | None:
        """What an error of the connector's own kind means; None if it is none of its own."""
        return None

    async def _failed(self, lane: Lane, error: TransportError) -> None:  # noqa: B027 - most transports do nothing
        """Called when an exchange on `lane` did not come about, for a transport that may take another path then."""

    @asynccontextmanager
    async def _opening(self, lane: Lane) -> AsyncIterator[None]:
        try:
            with _typed_errors():
                yield
        except TransportError as error:
            await self._failed(lane, error)
            raise
        except Exception as error:
            translated = self._translate(error)
            if translated is None:
                raise
            await self._failed(lane, translated)
            raise translated from error

    async def _stay_on_address(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Runs for every hop. aiohttp's ws_connect follows redirects and offers no way to forbid it."""
        self._admit(request.url)
        response = await handler(request)
        if 300 <= response.status < 400 and "Location" in response.headers:
            response.close()
            raise Redirected(f"the server redirects (HTTP {response.status}); write the final address as the url")
        return response


@dataclass(eq=False, slots=True)
class _Kept:
    """A session and how many requests are under way on it."""

    session: aiohttp.ClientSession
    users: int = 0


class _Reply:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._response.headers

    async def read(self, limit_bytes: int = 64 * MEGABYTE) -> bytes:
        body = bytearray()
        async for chunk in self.chunks():
            body += chunk
            if len(body) > limit_bytes:
                self._response.close()
                raise ReplyTooLarge(f"the answer is larger than {limit_bytes} bytes")
        return bytes(body)

    async def chunks(self) -> AsyncIterator[bytes]:
        with _typed_errors():
            async for chunk in self._response.content.iter_chunked(CHUNK_BYTES):
                yield chunk


class _Socket:
    def __init__(self, websocket: aiohttp.ClientWebSocketResponse) -> None:
        self._websocket = websocket

    async def send(self, text: str) -> None:
        with _typed_errors():
            await self._websocket.send_str(text)

    async def receive(self) -> str | bytes | None:
        with _typed_errors():
            message = await self._websocket.receive()
        match message.type:
            case aiohttp.WSMsgType.TEXT | aiohttp.WSMsgType.BINARY:
                content: str | bytes = message.data
                return content
            case aiohttp.WSMsgType.ERROR if self._websocket.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG:
                raise FrameTooLarge("the server sent a message above the bound")
            case _ if self._closed_in_good_order():
                return None
            case _:
                raise ConnectionBroken("the WebSocket broke") from self._websocket.exception()

    async def close(self) -> bool:
        await self._websocket.close()
        return self._closed_in_good_order()

    def _closed_in_good_order(self) -> bool:
        return self._websocket.close_code not in (None, aiohttp.WSCloseCode.ABNORMAL_CLOSURE)


@contextmanager
def _typed_errors() -> Iterator[None]:
    try:
        yield
    except aiohttp.ConnectionTimeoutError as error:
        raise TimedOut("connect", "no connection in time") from error
    except aiohttp.ServerTimeoutError as error:
        raise TimedOut("read", "the server fell silent") from error
    except TimeoutError as error:
        raise TimedOut("total", "the exchange took too long") from error
    except aiohttp.ClientConnectorCertificateError as error:
        raise ConnectFailed("no connection: its certificate is not valid here") from error
    except aiohttp.ClientConnectorError as error:
        raise ConnectFailed(f"no connection: {_reason(error.os_error)}") from error
    except aiohttp.WSServerHandshakeError as error:
        raise HandshakeRefused(error.status) from error
    except aiohttp.InvalidURL as error:
        raise AddressRefused("the backend's url is not a URL; write http://host:port") from error
    except (aiohttp.ClientError, ConnectionError) as error:
        raise ConnectionBroken(f"the connection broke ({type(error).__name__})") from error


def _reason(error: OSError) -> str:
    """What the system says of it. asyncio's own text names the address; the others have numbers of their own."""
    if isinstance(error, socket.gaierror):
        return "its name is not known to the resolver"
    if isinstance(error, ssl.SSLError):
        return "TLS fails; is it http:// there?"
    return os.strerror(error.errno).lower() if error.errno else type(error).__name__


def _client_timeout(bounds: Timeouts) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(
        total=bounds.total, connect=bounds.connect, sock_connect=bounds.connect, sock_read=bounds.read
    )


def _opening_seconds(bounds: Timeouts) -> float | None:
    known = [bound for bound in (bounds.connect, bounds.read) if bound is not None]
    return sum(known) if len(known) == 2 else bounds.total


def _multipart(parts: Sequence[Part]) -> aiohttp.FormData:
    form = aiohttp.FormData(quote_fields=False)
    for part in parts:
        content = part.content
        if part.filename is None and isinstance(content, bytes):
            content = content.decode()
        form.add_field(part.name, content, filename=part.filename, content_type=part.media_type)
    return form
