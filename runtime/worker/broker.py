"""The Dramatiq broker, and how it is told that there is work.

A message is a wake-up and no more: `execute` carries a job id and its fence, `deliver` the id of a delivery. The tables
hold the truth, so a message may be lost, doubled or late; the sweeper sends it again. Retries, delays and dead letters
are in the tables too, and so Dramatiq's own are off.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias
from urllib.parse import urlsplit
from uuid import UUID, uuid5

import dramatiq
import structlog
from psycopg import ProgrammingError

from db.leases import Wakeup
from runtime.api import VeilrunError
from runtime.worker.postgres_broker import PostgresBroker
from runtime.worker.wakeups import BrokerAway, WakeupBroker

log = structlog.get_logger("veilrun.broker")

EXECUTE, DELIVER = "execute", "deliver"
"""Names of the two actors, and of the queue of each."""

DELIVERIES = 4
"""Messages to chats that one worker process sends at once, beside its jobs: no result waits for a job to end."""

SENDERS = 2
AWAY_SECONDS = 2.0
"""For so long a broker that did not answer is not asked again."""

SAME_WAKEUP = UUID("5b0d3f0e-8d5c-4a53-9c0e-6a1f6d1b6c11")

Arguments: TypeAlias = Mapping[str, int]
Here: TypeAlias = Callable[[str, Arguments], bool]
"""Does in this process what a message would have had done, given its actor and arguments. False: no place is free."""


class BrokerUnsupported(VeilrunError):
    """BROKER_URL is malformed, names a broker that is not known, or its client is not installed. The text says what to
    do, and quotes nothing of the URL: there may be a password in it."""


def make_broker(broker_url: str, dsn: str, *, jobs: int = 1) -> WakeupBroker:
    """The broker named by `broker_url`: `postgresql` (the database at `dsn`), or a postgresql, amqp or redis URL.

    Connects when first used. Nothing is global: the broker is passed to whoever sends or works.
    jobs: how many of them this process works on at once.

    Raises: BrokerUnsupported.
    """
    try:
        scheme = urlsplit(broker_url).scheme or broker_url
        if scheme in ("postgresql", "postgres"):
            broker: WakeupBroker = PostgresBroker(broker_url if "://" in broker_url else dsn)
        elif scheme in ("amqp", "amqps"):
            broker = _rabbitmq(broker_url)
        elif scheme in ("redis", "rediss"):
            broker = _redis(broker_url)
        else:
            raise BrokerUnsupported("BROKER_URL must be postgresql, amqp://… or redis://…")
    except (ValueError, TypeError, ProgrammingError):  # their texts quote the URL
        raise BrokerUnsupported(
            "BROKER_URL is malformed: it must be postgresql, postgresql://user:password@host/name, "
            "amqp://user:password@host:5672/vhost or redis://user:password@host:6379/0, with / : @ # ? % of a user or "
            "password written as %2F %3A %40 %23 %3F %25"
        ) from None
    broker.declare_queue(EXECUTE, jobs)
    broker.declare_queue(DELIVER, DELIVERIES)
    return broker


def _rabbitmq(url: str) -> WakeupBroker:
    try:
        from runtime.worker.rabbitmq_broker import RabbitmqBroker
    except ImportError as error:
        raise BrokerUnsupported(
            "BROKER_URL names RabbitMQ: install its client, pip install 'veilrun[rabbitmq]'"
        ) from error
    return RabbitmqBroker(url)


def _redis(url: str) -> WakeupBroker:
    try:
        from runtime.worker.redis_broker import RedisBroker
    except ImportError as error:
        raise BrokerUnsupported("BROKER_URL names Redis: install its client, pip install 'veilrun[redis]'") from error
    return RedisBroker(url)


class Waker:
    """Sends wake-ups from an event loop. What cannot be sent is done here, if this process works, else returned.

    With the broker away, a job so starts a sweep later than with it, and everything goes on.
    """

    def __init__(self, broker: dramatiq.Broker) -> None:
        self._broker = broker
        self._threads = ThreadPoolExecutor(SENDERS, thread_name_prefix="wake")
        self._here: Here | None = None
        self._away_until: float | None = None

    def work_here(self, here: Here | None) -> None:
        """From now on `here` does what cannot be sent."""
        self._here = here

    async def wake_execute(self, wakeups: Iterable[Wakeup]) -> list[Wakeup]:
        """Tell a worker of each placed job. Those that nobody was told of."""
        given = list(wakeups)
        unsent = await self._send(EXECUTE, [{"job_id": wakeup.job_id, "fence": wakeup.fence} for wakeup in given])
        return given[len(given) - unsent :]

    async def wake_deliver(self, delivery_ids: Iterable[int]) -> list[int]:
        """Tell a worker of each message that is owed to a chat. Those that nobody was told of."""
        given = list(delivery_ids)
        unsent = await self._send(DELIVER, [{"delivery_id": delivery_id} for delivery_id in given])
        return given[len(given) - unsent :]

    def close(self) -> None:
        """Wait for what is being sent, and send no more."""
        self._threads.shutdown()

    async def _send(self, actor: str, messages: Sequence[Arguments]) -> int:
        """How many of them, at the end, nobody was told of."""
        if not messages:
            return 0
        sent = await asyncio.get_running_loop().run_in_executor(self._threads, self._send_now, actor, messages)
        left = list(messages[sent:])
        while left and self._here is not None and self._here(actor, left[0]):
            left.pop(0)
        return len(left)

    def _send_now(self, actor: str, messages: Sequence[Arguments]) -> int:
        """How many of them were sent, from the first on."""
        if self._away_until is not None and time.monotonic() < self._away_until:
            return 0
        for number, arguments in enumerate(messages):
            try:
                self._broker.enqueue(_message(actor, arguments))
            except BrokerAway as error:
                if self._away_until is None:
                    log.warning("wake-up not sent", actor=actor, error=str(error), **arguments)
                self._away_until = time.monotonic() + AWAY_SECONDS
                return number
            if self._away_until is not None:
                log.info("wake-ups are sent again")
                self._away_until = None
        return len(messages)


def _message(actor: str, arguments: Arguments) -> dramatiq.Message[None]:
    """The same wake-up has the same id whenever it is sent."""
    same = uuid5(SAME_WAKEUP, f"{actor} {sorted(arguments.items())}")
    return dramatiq.Message(
        queue_name=actor, actor_name=actor, args=(), kwargs=dict(arguments), options={}, message_id=str(same)
    )
