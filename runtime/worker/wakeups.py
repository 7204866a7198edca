"""Brokers for wake-ups: a message is gone as soon as somebody takes it, and nobody takes one that has to wait.

Dramatiq's own brokers keep a message until its actor has ended, and let each process fetch more than it can work on.
For wake-ups both do harm. A message that is held through a job of an hour breaks RabbitMQ's channel (consumer_timeout,
30 minutes), and one that waits behind a busy process could have started elsewhere. A wake-up that is lost between its
taking and the claim of the job costs seconds: the sweepers send it again.
"""

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from dramatiq import Broker, Message, MessageProxy
from dramatiq.broker import Consumer
from dramatiq.errors import DecodeError
from dramatiq.middleware import TimeLimit

from runtime.api import VeilrunError

log = structlog.get_logger("veilrun.broker")

RETRY_SECONDS = 1.0
"""From one try to reach a broker that is away to the next."""


class BrokerAway(VeilrunError):
    """The broker does not answer. Wake-ups that it should have carried are found in the tables."""


class Mailbox(Protocol):
    """One consumer's connection to one queue, used by one thread. It connects by itself, also after it broke."""

    def take(self, seconds: float) -> bytes | None:
        """The next message, which no other process gets; None if there is none for so long. Raises: BrokerAway."""

    def rest(self) -> None:
        """Nothing can be taken just now: hold no message, and keep the connection alive. Raises: BrokerAway."""

    def close(self) -> None:
        """Give everything back."""


@dataclass(frozen=True, slots=True)
class Condition:
    """How a broker's server is. server: what it is, with its version.

    waiting: queue -> messages that nobody has taken yet, for the queues that are there. faults, doubts: what keeps it
    from serving and what may, each with its cure.
    """

    server: str
    waiting: Mapping[str, int]
    faults: tuple[tuple[str, str], ...] = ()
    doubts: tuple[tuple[str, str], ...] = ()


class Places:
    """How many messages of one queue a process may have in hand at once. For any thread."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._change = threading.Condition()

    @property
    def is_free(self) -> bool:
        return self._free > 0

    def wait(self, seconds: float) -> bool:
        """Whether a place is free, within so many seconds."""
        with self._change:
            return self._change.wait_for(lambda: self._free > 0, seconds)

    def enter(self) -> None:
        with self._change:
            self._free -= 1

    def leave(self) -> None:
        with self._change:
            self._free += 1
            self._change.notify_all()


class WakeupBroker(Broker):
    """What the three brokers share. It has no delay queues: what is for later is in the tables."""

    queues: dict[str, Places]

    def __init__(self) -> None:
        super().__init__(middleware=[TimeLimit()])
        self.queues = {}

    def declare_queue(self, queue_name: str, places: int = 1) -> None:
        """Know the queue. places: how many of its messages this process may have in hand at once."""
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues[queue_name] = Places(places)
            self.emit_after("declare_queue", queue_name)

    def enqueue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        """Send the message; blocks for some seconds at most.

        Raises: BrokerAway; ValueError for a delay, which belongs into the table of jobs.
        """
        if delay:
            raise ValueError("this broker knows no delays")
        self.emit_before("enqueue", message, delay)
        self.send(message)
        self.emit_after("enqueue", message, delay)
        return message

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 30_000) -> "WakeupConsumer":
        return WakeupConsumer(self, self.mailbox(queue_name), self.queues[queue_name], timeout / 1000)

    def send(self, message: Message[Any]) -> None:
        """Raises: BrokerAway."""
        raise NotImplementedError

    def mailbox(self, queue_name: str) -> Mailbox:
        """Opens no connection yet."""
        raise NotImplementedError

    def wipe(self, queue_name: str) -> None:
        """Drop all messages of the queue. Raises: BrokerAway."""
        raise NotImplementedError

    def condition(self) -> Condition:
        """How the server is, on a connection of its own; changes nothing there. Raises: BrokerAway."""
        raise NotImplementedError


class WakeupConsumer(Consumer):
    """Takes a message when there is a thread for it, and not before. Outlives a broker that goes away."""

    def __init__(self, broker: WakeupBroker, mailbox: Mailbox, places: Places, seconds: float) -> None:
        self._broker = broker
        self._mailbox = mailbox
        self._places = places
        self._seconds = seconds
        self._is_away = False

    def __next__(self) -> MessageProxy | None:
        """The next message, or None for now."""
        try:
            body = self._take()
        except BrokerAway as error:
            if not self._is_away:
                log.warning("broker away", error=str(error))
            self._is_away = True
            time.sleep(RETRY_SECONDS)
            return None
        if self._is_away:
            log.info("broker back")
            self._is_away = False
        return self._opened(body) if body is not None else None

    def _take(self) -> bytes | None:
        if not self._places.wait(0):
            self._mailbox.rest()
            if not self._places.wait(self._seconds):
                return None
        return self._mailbox.take(self._seconds)

    def _opened(self, body: bytes) -> MessageProxy | None:
        try:
            message: Message[Any] = Message.decode(body)
        except DecodeError:
            log.warning("message of somebody else dropped")
            return None
        self._places.enter()
        return MessageProxy(message)

    def ack(self, message: MessageProxy) -> None:
        self._places.leave()

    def nack(self, message: MessageProxy) -> None:
        self._places.leave()

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Send again what was taken and not begun: this process ends."""
        for message in messages:
            self._places.leave()
            try:
                self._broker.enqueue(message._message)
            except BrokerAway:
                log.warning("wake-up left to the sweepers")

    def close(self) -> None:
        self._mailbox.close()
