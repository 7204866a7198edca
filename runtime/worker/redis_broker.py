"""Wake-ups through Redis or Valkey: one list for each queue, taken from by BLPOP.

Dramatiq's own Redis broker asks again and again, with pauses (measured: 11 ms to a start in the median, 340 ms in the
slowest hundredth), and gives back what a dead process held minutes later. A wake-up needs neither.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import redis
from dramatiq import Message
from redis.backoff import NoBackoff
from redis.retry import Retry

from runtime.worker.wakeups import BrokerAway, Condition, Mailbox, WakeupBroker

PATIENCE_SECONDS = 3.0  # longer than a consumer waits for a message

FULL = 0.9
"""From this share of its memory on, a server that evicts nothing is about to refuse writes."""

KEPT = 10_000
"""Messages that a queue holds at most, the newest: nobody has taken any for long, and the sweepers send more."""


class RedisBroker(WakeupBroker):
    """Wake-ups through the server at `url`. Raises: ValueError if the URL is none."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._client = redis.Redis.from_url(
            url,
            socket_connect_timeout=PATIENCE_SECONDS,
            socket_timeout=PATIENCE_SECONDS,
            socket_keepalive=True,
            health_check_interval=10,
            retry=Retry(NoBackoff(), 0),  # a connection that the server closed while it was idle is not used
            client_name="veilrun",
        )

    def send(self, message: Message[Any]) -> None:
        with _reaching(), self._client.pipeline() as commands:
            commands.rpush(_key(message.queue_name), message.encode())
            commands.ltrim(_key(message.queue_name), -KEPT, -1)
            commands.execute()

    def mailbox(self, queue_name: str) -> Mailbox:
        return RedisMailbox(self._client, queue_name)

    def wipe(self, queue_name: str) -> None:
        with _reaching():
            self._client.delete(_key(queue_name))

    def condition(self) -> Condition:
        with _reaching():
            known: Mapping[str, Any] = self._client.info()
            waiting = {name: int(self._client.llen(_key(name))) for name in self.queues}
        name = "Valkey" if "valkey_version" in known else "Redis"
        version = known.get("valkey_version") or known.get("redis_version", "?")
        return Condition(f"{name} {version}", waiting, tuple(_faults(known)), tuple(_doubts(known)))

    def close(self) -> None:
        self._client.close()


class RedisMailbox:
    """Takes from one list; the connection is the client's, and goes back to it after every call."""

    def __init__(self, client: redis.Redis, queue_name: str) -> None:
        self._client = client
        self._key = _key(queue_name)

    def take(self, seconds: float) -> bytes | None:
        with _reaching():
            found: Any = self._client.blpop([self._key], timeout=min(seconds, PATIENCE_SECONDS / 2))
        return found[1] if found else None

    def rest(self) -> None:
        """It holds nothing between two calls."""

    def close(self) -> None:
        """Its connection is the client's."""


def _faults(known: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """From the answer of INFO."""
    if known.get("role") == "slave":
        yield "it is a replica and takes no writes", "name the primary in BROKER_URL"
    if known.get("rdb_last_bgsave_status") == "err":
        cure = "make room on its disk, or set stop-writes-on-bgsave-error no: a wake-up needs no snapshot"
        yield "its last snapshot failed, so that it may refuse writes", cure


def _doubts(known: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    used, most = int(known.get("used_memory", 0)), int(known.get("maxmemory", 0))
    if most and known.get("maxmemory_policy") == "noeviction" and used > FULL * most:
        yield f"its memory is {used / most:.0%} full: it will refuse writes", "raise maxmemory, or empty it"


def _key(queue_name: str) -> str:
    return f"veilrun:{queue_name}"


@contextmanager
def _reaching() -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        raise BrokerAway(f"Redis, as BROKER_URL names it, does not serve us ({type(error).__name__})") from error
