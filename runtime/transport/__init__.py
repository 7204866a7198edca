"""The network: the one place that opens connections to backends."""

from collections.abc import Mapping

from runtime.transport.direct import DirectTransport
from runtime.transport.errors import (
    AddressRefused,
    ConnectFailed,
    ConnectionBroken,
    FrameTooLarge,
    HandshakeRefused,
    NotAuthorized,
    PathDown,
    Redirected,
    ReplyTooLarge,
    ServiceOffline,
    ServiceRefused,
    TimedOut,
    TransportError,
    UnknownTransport,
)
from runtime.transport.interface import Lane, Part, Reply, Socket, Timeouts, Transport
from runtime.transport.sessions import SessionTransport

TRANSPORTS: Mapping[str, type[SessionTransport]] = {"direct": DirectTransport}
"""By the name an operator writes as a backend's `transport`."""


def open_transport(kind: str, *, timeouts: Timeouts | None = None) -> Transport:
    """The transport named `kind`, for one backend. It connects when first used; close it at the end.

    timeouts: bounds of every request that brings none of its own.

    Raises: UnknownTransport, naming those there are.
    """
    try:
        transport = TRANSPORTS[kind]
    except KeyError:
        raise UnknownTransport(f"no transport is named {kind!r}; there is: {', '.join(TRANSPORTS)}") from None
    return transport(timeouts)


__all__ = [
    "AddressRefused",
    "ConnectFailed",
    "ConnectionBroken",
    "DirectTransport",
    "FrameTooLarge",
    "HandshakeRefused",
    "Lane",
    "NotAuthorized",
    "Part",
    "PathDown",
    "Redirected",
    "Reply",
    "ReplyTooLarge",
    "ServiceOffline",
    "ServiceRefused",
    "SessionTransport",
    "Socket",
    "TimedOut",
    "Timeouts",
    "Transport",
    "TransportError",
    "UnknownTransport",
    "open_transport",
]
