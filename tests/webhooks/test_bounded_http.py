"""What anybody can send before a token is looked at: a head has an end."""

import asyncio
from urllib.parse import urlsplit

import pytest

from tests.webhooks.receiver import DEADLINE
from webhooks.bounded_http import HEAD_BYTES

BEGINNING = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
ENDLESS = {
    "one header": b"a" * 2**14,
    "many headers": b"x: y\r\n" * 2**11,
}


async def sent(url: str, beginning: bytes, more: bytes) -> tuple[int, bytes]:
    """Send more and more until the connection is closed: how many bytes went out, and what came back."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    answer = asyncio.create_task(reader.read())
    count = 0
    try:
        async with asyncio.timeout(DEADLINE):
            writer.write(beginning)
            while not answer.done():
                writer.write(more)
                await writer.drain()
                count += len(more)
                await asyncio.sleep(0)
    except ConnectionError:
        await asyncio.wait([answer])
    writer.close()
    return count, b"" if answer.exception() else answer.result()


@pytest.mark.parametrize("more", ENDLESS.values(), ids=ENDLESS)
async def test_a_head_without_end_is_not_read_on(receiver, more: bytes) -> None:
    count, answer = await sent(receiver.url, BEGINNING + (b"x: " if b"\r" not in more else b""), more)

    assert count < 64 * HEAD_BYTES  # what lies in the buffers of a socket
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")  # a reset may overtake it
    assert await receiver.get("/healthz") == (200, '{"status":"alive"}')


async def test_trailers_have_an_end_too(receiver) -> None:
    beginning = (
        b"POST /telegram/webhook HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
    )
    count, _ = await sent(receiver.url, beginning, b"x: y\r\n" * 2**11)

    assert count < 64 * HEAD_BYTES


async def test_a_head_of_the_usual_size_and_many_requests_on_one_connection_are_answered(receiver) -> None:
    for _ in range(20):
        assert (await receiver.session.get(f"{receiver.url}/healthz", headers={"X-Long": "a" * 7000})).status == 200
