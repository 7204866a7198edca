"""What is looked at: the way out, loopback, and what this process asks Python's resolver."""

import ipaddress
import os
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from runtime.leaks.bpf import keep_openings_only
from runtime.leaks.errors import CaptureMissing, CaptureOverrun
from runtime.leaks.namespace import DEVICE
from runtime.leaks.packets import Packet, parse_packet

LOOPBACK = "lo"
ETH_P_ALL, PACKET_OUTGOING, SOL_PACKET, PACKET_STATISTICS = 0x0003, 4, 263, 6  # linux/if_ether.h, if_packet.h
LARGEST = 65536


@dataclass(frozen=True, slots=True)
class Caught:
    """What was seen since the last look. names: what was given to a resolver, whether or not it asked on the wire."""

    packets: tuple[Packet, ...]
    names: tuple[str, ...]

    @property
    def questions(self) -> tuple[str, ...]:
        """The names asked for on the wire."""
        return tuple(packet.question for packet in self.packets if packet.question is not None)


class Capture:
    """Everything that this process tries, in a network of its own. `outside`: what `enter_own_network` gave.

    Attempts are seen the moment they are made, so a look after the last of them misses none.

    Raises: CaptureMissing.
    """

    def __init__(self, outside: int) -> None:
        self._outside = outside
        self._resolver = _ResolverWatch()
        try:
            self._loopback = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        except OSError as error:
            raise CaptureMissing(f"no packet socket on loopback: {error.strerror or error}; CONFIG_PACKET") from error
        self._loopback.setblocking(False)
        keep_openings_only(self._loopback)
        self._loopback.bind((LOOPBACK, ETH_P_ALL))
        self.look()  # what came before the filter and the bind

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loopback.close()
        os.close(self._outside)

    def look(self) -> Caught:
        """What was seen since the last look. Raises: CaptureOverrun."""
        packets = (*self._left(), *self._crossed_loopback())
        dropped = struct.unpack("II", self._loopback.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
        if dropped:
            raise CaptureOverrun(f"{dropped} packets on loopback came too fast to be looked at")
        return Caught(packets, self._resolver.take())

    def _left(self) -> Iterator[Packet]:
        while True:
            try:
                raw = os.read(self._outside, LARGEST)
            except BlockingIOError:
                return
            if (packet := parse_packet(DEVICE, raw)) is not None:
                yield packet

    def _crossed_loopback(self) -> Iterator[Packet]:
        while True:
            try:
                raw, origin = self._loopback.recvfrom(LARGEST)
            except BlockingIOError:
                return
            is_seen_twice = origin[2] != PACKET_OUTGOING  # each packet on loopback goes out and comes in
            if not is_seen_twice and (packet := parse_packet(LOOPBACK, raw)) is not None:
                yield packet


class _ResolverWatch:
    """Names given to a resolver by Python code of this process, also when a file answers and no packet is sent."""

    QUESTIONS = frozenset({"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"})

    def __init__(self) -> None:
        self._names: list[str] = []
        self._lock = threading.Lock()
        sys.addaudithook(self._hear)

    def take(self) -> tuple[str, ...]:
        with self._lock:
            names, self._names = tuple(self._names), []
        return names

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in self.QUESTIONS and (name := _name(arguments[0])) is not None:
            with self._lock:
                self._names.append(name)


def _name(host: object) -> str | None:
    """The host if it has to be looked up; None for addresses and for "any"."""
    text = host.decode("ascii", "backslashreplace") if isinstance(host, bytes) else str(host or "")
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return text or None
    return None
