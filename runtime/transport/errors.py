"""What can go wrong on the way to a server, one class per thing the caller can do about it."""

from typing import Literal

from runtime.api.errors import VeilrunError

Phase = Literal["connect", "read", "total"]


class TransportError(VeilrunError):
    """The exchange did not come to its end.

    `may_have_arrived` is true if the server may have seen the request: a caller that posted something has to look
    before it posts again. No text names an address: for a hidden service the address is a secret.
    """

    may_have_arrived = True


class AddressRefused(TransportError):
    """This transport does not open that address: the operator corrects the backend's `url` or `transport`."""

    may_have_arrived = False


class UnknownTransport(TransportError):
    """No transport has that name: the operator corrects the backend's `transport`."""

    may_have_arrived = False


class ConnectFailed(TransportError):
    """No connection came about, so nothing was sent: try later."""

    may_have_arrived = False


class PathDown(ConnectFailed):
    """The way itself is down, whatever the server: our `anon` does not run, or has not bootstrapped yet.

    Says nothing about the backend: everything that needs this way waits, and no try counts.
    """


class ServiceOffline(ConnectFailed):
    """No circuit to the hidden service came about: it is offline, restarting, or its address was never published."""


class ServiceRefused(ConnectFailed):
    """The hidden service is reached, and nothing listens behind it: ComfyUI or the gate is down."""


class NotAuthorized(TransportError):
    """The hidden service wants a client key that we do not have, or not that one: the operator adds it."""

    may_have_arrived = False


class ConnectionBroken(TransportError):
    """The connection ended before the answer did."""


class TimedOut(TransportError):
    """A phase took longer than its bound. `phase` tells which: connecting, waiting for bytes, or all of it."""

    def __init__(self, phase: Phase, message: str) -> None:
        super().__init__(message)
        self.phase = phase
        self.may_have_arrived = phase != "connect"


class Redirected(TransportError):
    """The server points elsewhere. Never followed: another address may mean another transport."""


class HandshakeRefused(TransportError):
    """The server answers HTTP but opens no WebSocket there. `status` is its answer."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the server opened no WebSocket (HTTP {status}); does a proxy in between let it through?")
        self.status = status


class FrameTooLarge(TransportError):
    """A WebSocket message was larger than the bound given when the socket was opened."""


class ReplyTooLarge(TransportError):
    """A body was larger than the bound given by the reader."""
