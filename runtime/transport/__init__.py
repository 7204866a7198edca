"""The network: the one place that opens connections to backends."""

import os
from pathlib import Path

from runtime.transport.anon import AnonTransport
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

NOWHERE = Path(os.devnull)
"""In place of a folder: no anon is there."""

KINDS = ("direct", "anon")
"""What an operator may write as a backend's `transport`."""


def open_transport(kind: str, *, timeouts: Timeouts | None = None, anon_dir: Path = NOWHERE) -> Transport:
    """The transport named `kind`, for one backend. It connects when first used; close it at the end.

    timeouts: bounds of every request that brings none of its own. anon_dir: where this machine's anon is told about.

    Raises: UnknownTransport, naming those there are.
    """
    match kind:
        case "direct":
            return DirectTransport(timeouts)
        case "anon":
            return AnonTransport(anon_dir, timeouts)
        case _:
            raise UnknownTransport(f"no transport is named {kind!r}; there is: {', '.join(KINDS)}")


__all__ = [
    "KINDS",
    "NOWHERE",
    "AddressRefused",
    "AnonTransport",
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
