"""A load generator that costs less than the servers it loads: raw sockets, prepared bytes, keep-alive.

Each connection sends its next request when the answer to the last has come, as Telegram does per chat.
"""

import asyncio
import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

HOST = "127.0.0.1"


def body(update_id: int) -> bytes:
    """An update as a supergroup's topic sends it, 987 bytes."""
    user = {
        "id": 123456789,
        "is_bot": False,
        "first_name": "Benchmark",
        "last_name": "Person",
        "username": "benchmark_person",
        "language_code": "en",
    }
    chat = {"id": -1001234567890, "title": "A group with a topic", "is_forum": True, "type": "supergroup"}
    text = (
        "/f an astronaut riding a horse on the moon, photorealistic, golden hour, long shadows over grey dust, "
        "the earth rising behind a ridge, fine grain, a wide lens, calm colours, no text --ar 16:9 --steps 4"
    )
    replied = {
        "message_id": 40,
        "from": user,
        "chat": chat,
        "date": 1795400000,
        "message_thread_id": 7,
        "is_topic_message": True,
        "text": "What shall we draw today?",
    }
    message = {
        "message_id": 42,
        "from": user,
        "chat": chat,
        "date": 1795400042,
        "message_thread_id": 7,
        "is_topic_message": True,
        "reply_to_message": replied,
        "text": text,
        "entities": [{"offset": 0, "length": 2, "type": "bot_command"}],
    }
    return json.dumps({"update_id": update_id, "message": message}, separators=(",", ":")).encode()


def requests(secret: str, first: int) -> Iterator[bytes]:
    """Whole HTTP requests with update ids from `first` on."""
    marker = 123454321
    head, _, tail = body(marker).partition(str(marker).encode())
    width = 12
    length = len(head) + width + len(tail)
    start = (
        f"POST /telegram/webhook HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
        f"X-Telegram-Bot-Api-Secret-Token: {secret}\r\nContent-Length: {length}\r\n\r\n"
    ).encode() + head
    for number in itertools.count(first):
        yield start + str(10 ** (width - 1) + number).encode() + tail


@dataclass
class Result:
    """Answers of one run: how many were 200, how many were not, and their latencies in seconds."""

    seconds: float
    answered: int = 0
    refused: int = 0
    latencies: list[float] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        return self.answered / self.seconds

    def percentile(self, share: float) -> float:
        """Milliseconds below which `share` of the answers stay."""
        ordered = sorted(self.latencies)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000


class _Connection(asyncio.Protocol):
    def __init__(self, source: Iterator[bytes], result: Result, until: float) -> None:
        self._source, self._result, self._until = source, result, until
        self._sent = 0.0
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._next()

    def _next(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(next(self._source))

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if data[9:12] == b"200":
            self._result.answered += 1
        else:
            self._result.refused += 1
        self._result.latencies.append(now - self._sent)
        if now < self._until:
            self._next()
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self.closed.set_result(error)


async def load(port: int, connections: int, seconds: float, source: Iterator[bytes]) -> Result:
    """Keep `connections` requests in flight for `seconds`."""
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    result = Result(seconds)
    opened = [
        await loop.create_connection(lambda: _Connection(source, result, started + seconds), HOST, port)
        for _ in range(connections)
    ]
    await asyncio.gather(*(protocol.closed for _, protocol in opened))
    result.seconds = time.perf_counter() - started
    return result
