"""What is read off a device."""

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.leaks.packets import Packet, parse_packet

QUESTION = bytes(12) + b"\x06hidden\x04anon\x00" + b"\x00\x01\x00\x01"


def ipv4(protocol: int, payload: bytes, destination: str = "198.51.100.1") -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0)
    return head + socket.inet_aton("192.0.2.2") + socket.inet_aton(destination) + payload


def ipv6(protocol: int, payload: bytes) -> bytes:
    ends = socket.inet_pton(socket.AF_INET6, "2001:db8::2") + socket.inet_pton(socket.AF_INET6, "2001:db8:1::1")
    return struct.pack("!IHBB", 0x60000000, len(payload), protocol, 64) + ends + payload


def udp(port: int, content: bytes = b"") -> bytes:
    return struct.pack("!HHHH", 40000, port, 8 + len(content), 0) + content


def tcp(port: int, flags: int) -> bytes:
    return struct.pack("!HHIIBBHHH", 40000, port, 0, 0, 0x50, flags, 0, 0, 0)


def test_a_question_is_read_with_its_name() -> None:
    packet = parse_packet("veil0", ipv4(17, udp(53, QUESTION)))

    assert packet == Packet("veil0", "udp", "192.0.2.2", "198.51.100.1", 53, question="hidden.anon")
    assert str(packet) == "udp to 198.51.100.1 port 53 on veil0 asking for hidden.anon"


@pytest.mark.parametrize("port", [53, 5353, 5355, 137])
def test_every_way_to_ask_for_a_name_is_a_question(port: int) -> None:
    packet = parse_packet("lo", ipv6(17, udp(port, QUESTION)))

    assert packet is not None
    assert packet.question == "hidden.anon"


@pytest.mark.parametrize(("flags", "opens"), [(0x02, True), (0xC2, True), (0x12, False), (0x10, False), (0x04, False)])
def test_the_first_packet_of_a_connection_is_told_from_the_others(flags: int, opens: bool) -> None:
    for raw in (ipv4(6, tcp(8188, flags)), ipv6(6, tcp(8188, flags))):
        packet = parse_packet("lo", raw)
        assert packet is not None
        assert (packet.port, packet.opens) == (8188, opens)


def test_the_kernels_own_housekeeping_is_no_attempt_of_anybodys() -> None:
    solicitation = ipv6(58, bytes([133, 0, 0, 0]))
    report_behind_options = ipv6(0, bytes([58, 0, 5, 2, 0, 0, 1, 0]) + bytes([143, 0, 0, 0]))
    echo = ipv6(58, bytes([128, 0, 0, 0]))

    assert parse_packet("veil0", solicitation) is None
    assert parse_packet("veil0", report_behind_options) is None
    assert parse_packet("veil0", echo) is not None


@given(st.binary(max_size=120))
def test_no_packet_whatsoever_stops_the_reader(raw: bytes) -> None:
    parse_packet("lo", raw)
    parse_packet("lo", b"\x45" + raw)
    parse_packet("lo", b"\x60" + raw)
