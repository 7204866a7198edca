"""The Dramatiq broker, and how it is told that there is work.

A message is a wake-up and no more: `execute` carries a job id and its fence, `deliver` the id of a delivery. The tables
hold the truth, so a message may be lost, doubled or late; the sweeper sends it again. Retries, delays and dead letters
are in the tables too, and so Dramatiq's own are off.
"""

import asyncio
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import dramatiq
import structlog
from dramatiq.middleware import TimeLimit

from db.leases import Wakeup
from runtime.api import VeilrunError
from runtime.worker.postgres_broker import WakeupBroker

log = structlog.get_logger("veilrun.broker")

EXECUTE, DELIVER = "execute", "deliver"
"""Names of the two actors, and of the queue of each."""

SENDERS = 2


class BrokerUnsupported(VeilrunError):
    """BROKER_URL names a broker that is not known, or whose client is not installed. The text says what to do."""


def make_broker(broker_url: str, dsn: str) -> dramatiq.Broker:
    """The broker named by `broker_url`: `postgresql` (the database at `dsn`), or a postgresql, amqp or redis URL.

    Connects when first used. Nothing is global: the broker is passed to whoever sends or works.

    Raises: BrokerUnsupported.
    """
    scheme = urlsplit(broker_url).scheme or broker_url
    if scheme in ("postgresql", "postgres"):
        broker: dramatiq.Broker = WakeupBroker(broker_url if "://" in broker_url else dsn, middleware=[TimeLimit()])
    elif scheme in ("amqp", "amqps"):
        broker = _rabbitmq(broker_url)
    elif scheme in ("redis", "rediss"):
        broker = _redis(broker_url)
    else:
        raise BrokerUnsupported("BROKER_URL must be postgresql, amqp://… or redis://…")
    for queue in (EXECUTE, DELIVER):
        broker.declare_queue(queue)
    return broker


def _rabbitmq(url: str) -> dramatiq.Broker:
    try:
        from dramatiq.brokers.rabbitmq import RabbitmqBroker
    except ImportError as error:
        raise BrokerUnsupported(
            "BROKER_URL names RabbitMQ: install its client, pip install 'dramatiq[rabbitmq]'"
        ) from error
    return RabbitmqBroker(url=url, middleware=[TimeLimit()])


def _redis(url: str) -> dramatiq.Broker:
    try:
        from dramatiq.brokers.redis import RedisBroker
    except ImportError as error:
        raise BrokerUnsupported("BROKER_URL names Redis: install its client, pip install 'dramatiq[redis]'") from error
    return RedisBroker(url=url, middleware=[TimeLimit()])  # type: ignore[no-untyped-call]


class Waker:
    """Sends wake-ups from an event loop. One that cannot be sent is logged, and left to the sweeper."""

    def __init__(self, broker: dramatiq.Broker) -> None:
        self._broker = broker
        self._threads = ThreadPoolExecutor(SENDERS, thread_name_prefix="wake")

    async def wake_execute(self, wakeups: Iterable[Wakeup]) -> None:
        """Tell a worker of each placed job."""
        await self._send(EXECUTE, [{"job_id": wakeup.job_id, "fence": wakeup.fence} for wakeup in wakeups])

    async def wake_deliver(self, delivery_ids: Iterable[int]) -> None:
        """Tell a worker of each message that is owed to a chat."""
        await self._send(DELIVER, [{"delivery_id": delivery_id} for delivery_id in delivery_ids])

    def close(self) -> None:
        """Wait for what is being sent, and send no more."""
        self._threads.shutdown()

    async def _send(self, actor: str, messages: list[dict[str, int]]) -> None:
        if messages:
            await asyncio.get_running_loop().run_in_executor(self._threads, self._send_now, actor, messages)

    def _send_now(self, actor: str, messages: list[dict[str, int]]) -> None:
        for arguments in messages:
            try:
                self._broker.enqueue(_message(actor, arguments))
            except Exception as error:  # noqa: BLE001 - each broker has errors of its own; the sweeper sends it again
                log.warning("wake-up not sent", actor=actor, error=type(error).__name__, **arguments)
                return


def _message(actor: str, arguments: Mapping[str, int]) -> dramatiq.Message[None]:
    return dramatiq.Message(queue_name=actor, actor_name=actor, args=(), kwargs=dict(arguments), options={})
