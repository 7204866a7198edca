"""The least that goes through SOCKS: a handshake, an HTTP request, bytes counted. The measure for veilrun's client."""

import asyncio

from runtime.anon.state import HostPort


async def get(socks: HostPort, credentials: tuple[str, str], host: str, path: str) -> int:
    """Bytes of the body of GET `path`. One connection, closed at the end."""
    reader, writer = await _opened(socks, credentials, host)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    count = 0
    while chunk := await reader.read(64 * 1024):
        count += len(chunk)
    writer.close()
    return count


async def put(socks: HostPort, credentials: tuple[str, str], host: str, path: str, body: bytes) -> None:
    """PUT `body` and wait for the answer."""
    reader, writer = await _opened(socks, credentials, host)
    head = f"PUT {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode())
    for start in range(0, len(body), 64 * 1024):
        writer.write(body[start : start + 64 * 1024])
        await writer.drain()
    await reader.read()
    writer.close()


async def _opened(
    socks: HostPort, credentials: tuple[str, str], host: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(*socks, limit=1024 * 1024)
    user, password = (part.encode() for part in credentials)
    writer.write(b"\x05\x01\x02")
    await reader.readexactly(2)
    writer.write(b"\x01" + bytes([len(user)]) + user + bytes([len(password)]) + password)
    await reader.readexactly(2)
    writer.write(b"\x05\x01\x00\x03" + bytes([len(host)]) + host.encode() + (80).to_bytes(2, "big"))
    reply = await reader.readexactly(10)
    if reply[1]:
        raise OSError(f"SOCKS reply {reply[1]:#04x}")
    return reader, writer
