"""What a transport offers. Everything that talks to a backend talks through these types."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

Lane: TypeAlias = str
"""Which path an exchange takes: `api`, `upload`, or one of the transport's `download_lanes`. An onion transport keeps
the lanes on separate circuits, so that a large file delays no progress message on `api`; a direct one merely keeps
their connections apart."""

MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Bounds in seconds, None for no bound.

    connect: until there is a connection. read: longest silence of the server. total: all of it, body included.
    """

    connect: float | None = 10.0
    read: float | None = 60.0
    total: float | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """One field of a multipart form; with a `filename` it is a file."""

    name: str
    content: bytes | str
    filename: str | None = None
    media_type: str | None = None


class Reply(Protocol):
    """An answer whose head has arrived; the body is read on demand, within the request's context."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Case-insensitive."""
        ...

    async def read(self, limit_bytes: int = 64 * MEGABYTE) -> bytes:
        """The whole body. Raises: ReplyTooLarge, ConnectionBroken, TimedOut."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives, in pieces of at most 64 KiB. Raises: ConnectionBroken, TimedOut."""
        ...


class Socket(Protocol):
    """An open WebSocket. Pings are sent and answered by itself."""

    async def send(self, text: str) -> None:
        """Send one text message. Raises: ConnectionBroken."""
        ...

    async def receive(self) -> str | bytes | None:
        """The next message, or None once the other side has closed the socket in good order.

        Raises: ConnectionBroken if it ended without a close frame or went silent, FrameTooLarge.
        """
        ...

    async def close(self) -> bool:
        """Close it and wait for the other side's answer. True if the other side is known to have closed too."""
        ...


class Transport(Protocol):
    """A way to one backend. Opened once per backend, used by many tasks of one event loop, closed at the end."""

    @property
    def timeouts(self) -> Timeouts:
        """What bounds a request that brings no bounds of its own: what is patient enough for this kind of path."""
        ...

    @property
    def patience_seconds(self) -> float:
        """How long a server may be out of reach before what runs on it is given up."""
        ...

    @property
    def download_lanes(self) -> tuple[Lane, ...]:
        """Lanes for downloads, one at least. With several, a large file comes faster over all of them at once."""
        ...

    async def renew(self, lane: Lane) -> None:
        """Take another path for what `lane` opens from now on: this one is slow. Requests under way are not cut."""
        ...

    def request(
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
    ) -> AbstractAsyncContextManager[Reply]:
        """Send one request with at most one of `json`, `body`, `form`; the context holds the connection.

        Any status is a Reply. Redirects are not followed, environment proxies not used, no Origin is sent.

        Raises: AddressRefused, ConnectFailed, ConnectionBroken, TimedOut, Redirected.
        """
        ...

    def websocket(
        self,
        url: str,
        *,
        lane: Lane = "api",
        params: Mapping[str, str] | None = None,
        heartbeat_seconds: float = 20.0,
        limit_bytes: int = 256 * MEGABYTE,
        timeouts: Timeouts | None = None,
    ) -> AbstractAsyncContextManager[Socket]:
        """Open a WebSocket at an http(s) `url`; the context closes it.

        heartbeat_seconds: a ping is sent this long after the last message; without an answer within half of it the
        socket is broken. limit_bytes: largest message. timeouts: bound the opening only (connect, then read).

        Raises: AddressRefused, ConnectFailed, ConnectionBroken, TimedOut, Redirected, HandshakeRefused.
        """
        ...

    async def close(self) -> None:
        """Close every connection. The transport is not used afterwards."""
        ...
