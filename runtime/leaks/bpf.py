"""A filter for a packet socket: everything comes through but TCP that opens no connection.

Without it a download over loopback would fill the socket's buffer before anybody looks. Classic BPF, linux/filter.h.
"""

import ctypes
import socket
import struct

SO_ATTACH_FILTER = 26  # asm-generic/socket.h

LOAD_BYTE, LOAD_BYTE_AFTER_HEADER, HEADER_LENGTH = 0x30, 0x50, 0xB1
SHIFT_RIGHT, AND, JUMP_IF_EQUAL, RETURN = 0x74, 0x54, 0x15, 0x06

TCP, FLAGS_AT, SYN_AND_ACK, SYN = 6, 13, 0x12, 0x02

OPENINGS_ONLY = (  # (operation, lines to skip if true, if false, operand)
    (LOAD_BYTE, 0, 0, 0),
    (SHIFT_RIGHT, 0, 0, 4),
    (JUMP_IF_EQUAL, 6, 0, 6),  # version 6: to the second half
    (LOAD_BYTE, 0, 0, 9),
    (JUMP_IF_EQUAL, 0, 10, TCP),  # no TCP: keep
    (HEADER_LENGTH, 0, 0, 0),
    (LOAD_BYTE_AFTER_HEADER, 0, 0, FLAGS_AT),
    (AND, 0, 0, SYN_AND_ACK),
    (JUMP_IF_EQUAL, 6, 5, SYN),  # keep, or drop
    (LOAD_BYTE, 0, 0, 6),
    (JUMP_IF_EQUAL, 0, 4, TCP),
    (LOAD_BYTE, 0, 0, 40 + FLAGS_AT),
    (AND, 0, 0, SYN_AND_ACK),
    (JUMP_IF_EQUAL, 1, 0, SYN),
    (RETURN, 0, 0, 0),  # drop
    (RETURN, 0, 0, 0xFFFF),  # keep
)


def keep_openings_only(packets: socket.socket) -> None:
    """Attach the filter to an AF_PACKET socket of type SOCK_DGRAM, whose packets start with the IP header."""
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in OPENINGS_ONLY))
    head = struct.pack("HP", len(OPENINGS_ONLY), ctypes.addressof(program))
    packets.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, head)
