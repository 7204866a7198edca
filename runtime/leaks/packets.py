"""IP packets, as far as it takes to tell what somebody tried: an attempt to connect, a question about a name, else."""

import ipaddress
import struct
from dataclasses import dataclass

TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
SYN, ACK = 0x02, 0x10
NAME_PORTS = frozenset({53, 5353, 5355, 137})  # DNS, mDNS, LLMNR, NetBIOS

HOUSEKEEPING = frozenset({131, 132, 133, 143})
"""ICMPv6 that the kernel sends by itself on a device that came up: multicast reports, router solicitations."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet. device: where it was caught. port: the destination's, None if the protocol has none.

    opens: it is the first of a TCP connection. question: the name that it asks about, if it is such a question.
    """

    device: str
    protocol: str
    source: str
    destination: str
    port: int | None = None
    opens: bool = False
    question: str | None = None

    def __str__(self) -> str:
        port = "" if self.port is None else f" port {self.port}"
        asked = "" if self.question is None else f" asking for {self.question}"
        return f"{self.protocol} to {self.destination}{port} on {self.device}{asked}"


def parse_packet(device: str, raw: bytes) -> Packet | None:
    """A packet that starts with its IP header. None for the kernel's own housekeeping and for what is no IP at all."""
    if len(raw) >= 20 and raw[0] >> 4 == 4:
        protocol, payload = raw[9], raw[(raw[0] & 0xF) * 4 :]
        source, destination = raw[12:16], raw[16:20]
    elif len(raw) >= 40 and raw[0] >> 4 == 6:
        protocol, payload = raw[6], raw[40:]
        source, destination = raw[8:24], raw[24:40]
        if protocol == 0 and len(payload) >= 8:  # hop-by-hop options: multicast reports carry one
            protocol, payload = payload[0], payload[(payload[1] + 1) * 8 :]
    else:
        return None
    ends = (str(ipaddress.ip_address(source)), str(ipaddress.ip_address(destination)))
    match protocol:
        case _ if protocol == TCP and len(payload) >= 14:
            opens = payload[13] & (SYN | ACK) == SYN
            return Packet(device, "tcp", *ends, port=_port(payload), opens=opens)
        case _ if protocol == UDP and len(payload) >= 8:
            port = _port(payload)
            return Packet(
                device, "udp", *ends, port=port, question=_question(payload[8:]) if port in NAME_PORTS else None
            )
        case _ if protocol == ICMPV6 and payload and payload[0] in HOUSEKEEPING:
            return None
        case _:
            return Packet(device, {ICMP: "icmp", ICMPV6: "icmpv6"}.get(protocol, f"protocol {protocol}"), *ends)


def _port(payload: bytes) -> int:
    (port,) = struct.unpack_from("!H", payload, 2)
    return int(port)


def _question(message: bytes) -> str:
    """The first name in a DNS message (RFC 1035, 4.1), "" if there is none in it."""
    labels, at = [], 12
    while at < len(message) and 0 < message[at] < 64:
        labels.append(message[at + 1 : at + 1 + message[at]].decode("ascii", "backslashreplace"))
        at += 1 + message[at]
    return ".".join(labels)
