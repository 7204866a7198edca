"""Three requests of rtnetlink(7): a device up, an address, a default route. Numbers: linux/rtnetlink.h."""

import os
import socket
import struct

NLM_F_REQUEST, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL = 0x1, 0x4, 0x400, 0x200
NLMSG_ERROR = 2
RTM_NEWLINK, RTM_NEWADDR, RTM_NEWROUTE = 16, 20, 24
IFF_UP = 0x1
IFA_ADDRESS, IFA_LOCAL, IFA_F_NODAD = 1, 2, 0x02
RTA_OIF, RTA_PREFSRC = 4, 7
RT_TABLE_MAIN, RTPROT_STATIC, RT_SCOPE_UNIVERSE, RTN_UNICAST = 254, 4, 0, 1


def set_up(device: str) -> None:
    """`ip link set DEVICE up`. Raises: OSError."""
    _ask(RTM_NEWLINK, 0, struct.pack("BxHiII", socket.AF_UNSPEC, 0, socket.if_nametoindex(device), IFF_UP, IFF_UP))


def add_address(device: str, address: str, prefix: int) -> None:
    """`ip address add ADDRESS/PREFIX dev DEVICE nodad`. Raises: OSError."""
    family, raw = _packed(address)
    head = struct.pack("BBBBi", family, prefix, IFA_F_NODAD, RT_SCOPE_UNIVERSE, socket.if_nametoindex(device))
    _ask(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, head + _attribute(IFA_LOCAL, raw) + _attribute(IFA_ADDRESS, raw))


def add_default_route(device: str, source: str) -> None:
    """`ip route add default dev DEVICE src SOURCE`, of the family of `source`. Raises: OSError."""
    family, raw = _packed(source)
    head = struct.pack("BBBBBBBBI", family, 0, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, RT_SCOPE_UNIVERSE, RTN_UNICAST, 0)
    out = _attribute(RTA_OIF, struct.pack("i", socket.if_nametoindex(device)))
    _ask(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, head + out + _attribute(RTA_PREFSRC, raw))


def _ask(kind: int, flags: int, content: bytes) -> None:
    head = struct.pack("IHHII", 16 + len(content), kind, NLM_F_REQUEST | NLM_F_ACK | flags, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
        netlink.bind((0, 0))
        netlink.send(head + content)
        answer = netlink.recv(8192)
    (kind,) = struct.unpack_from("H", answer, 4)
    (status,) = struct.unpack_from("i", answer, 16)
    if kind == NLMSG_ERROR and status != 0:
        raise OSError(-status, os.strerror(-status))


def _packed(address: str) -> tuple[int, bytes]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return family, socket.inet_pton(family, address)


def _attribute(kind: int, content: bytes) -> bytes:
    return struct.pack("HH", 4 + len(content), kind) + content + bytes(-len(content) % 4)
