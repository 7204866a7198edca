"""Wake-ups through RabbitMQ: pushed to whoever has a thread free, and acknowledged when they are taken.

consumer_timeout (30 minutes by default) breaks the channel of whoever holds a message for so long. Here nobody does:
the job goes on without its message. A process that is busy cancels its consumer, so that RabbitMQ pushes to others.
"""

import queue
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any

import pika
from dramatiq import Message
from pika.adapters.blocking_connection import BlockingChannel
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPError, ChannelClosedByBroker

from runtime.worker.wakeups import BrokerAway, Condition, Mailbox, WakeupBroker

PATIENCE_SECONDS = 5.0
HEARTBEAT_SECONDS = 20
IDLE_SECONDS = 2.0  # well within a heartbeat
ALARM_SECONDS = 0.3
NOT_FOUND, PRECONDITION_FAILED = 404, 406  # reply codes of AMQP 0-9-1

ARGUMENTS = {"x-message-ttl": 60_000, "x-max-length": 10_000}
"""Of each queue: what nobody took for a minute was sent again ten times by then."""


class RabbitmqBroker(WakeupBroker):
    """Wake-ups through the server at `url`. Raises: ValueError, TypeError if the URL is none."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._parameters = pika.URLParameters(url)
        self._parameters.heartbeat = HEARTBEAT_SECONDS
        self._parameters.blocked_connection_timeout = PATIENCE_SECONDS
        self._parameters.socket_timeout = PATIENCE_SECONDS
        self._parameters.stack_timeout = PATIENCE_SECONDS
        self._parameters.client_properties = {"connection_name": "veilrun"}
        self._sender = _Sender(self._parameters)

    def send(self, message: Message[Any]) -> None:
        self._sender.send(message.queue_name, message.encode())

    def mailbox(self, queue_name: str) -> Mailbox:
        return RabbitmqMailbox(self._parameters, queue_name)

    def wipe(self, queue_name: str) -> None:
        with _reaching(), pika.BlockingConnection(self._parameters) as connection:
            _declared(connection, queue_name).queue_purge(_name(queue_name))

    def condition(self) -> Condition:
        with _reaching():
            connection = pika.BlockingConnection(self._parameters)
            try:
                return _condition(connection, list(self.queues))
            finally:
                _closed(connection)  # in alarm the server reads nothing any more, a good-bye neither

    def close(self) -> None:
        self._sender.close()


class _Sender:
    """One connection for all that a process sends, on a thread of its own that keeps it alive between two messages."""

    def __init__(self, parameters: pika.URLParameters) -> None:
        self._parameters = parameters
        self._waiting: queue.SimpleQueue[tuple[str, bytes, Future[None]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._connection: pika.BlockingConnection | None = None
        self._channels: dict[str, BlockingChannel] = {}

    def send(self, queue_name: str, body: bytes) -> None:
        """Returns when RabbitMQ has the message. Raises: BrokerAway."""
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="rabbitmq-sender", daemon=True)
                self._thread.start()
        sent: Future[None] = Future()
        self._waiting.put((queue_name, body, sent))
        try:
            sent.result(PATIENCE_SECONDS)
        except TimeoutError:
            sent.cancel()
            raise BrokerAway("RabbitMQ, as BROKER_URL names it, does not confirm") from None

    def close(self) -> None:
        """What is being sent may be lost if the server does not answer."""
        self._waiting.put(None)
        if self._thread is not None:
            self._thread.join(PATIENCE_SECONDS)

    def _run(self) -> None:
        while True:
            try:
                order = self._waiting.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                self._stay()
                continue
            if order is None:
                self._forget()
                return
            queue_name, body, sent = order
            if not sent.set_running_or_notify_cancel():
                continue
            try:
                self._publish(queue_name, body)
            except BrokerAway as error:
                sent.set_exception(error)
            else:
                sent.set_result(None)

    def _publish(self, queue_name: str, body: bytes) -> None:
        try:
            self._publish_once(queue_name, body)
        except BrokerAway:  # the queue was deleted, or the connection broke while it was idle
            self._publish_once(queue_name, body)

    def _publish_once(self, queue_name: str, body: bytes) -> None:
        try:
            with _reaching():
                if self._connection is None:
                    self._connection = pika.BlockingConnection(self._parameters)
                if queue_name not in self._channels:
                    self._channels[queue_name] = _declared(self._connection, queue_name)
                    self._channels[queue_name].confirm_delivery()
                self._channels[queue_name].basic_publish("", _name(queue_name), body, mandatory=True)
        except BrokerAway:
            self._forget()
            raise

    def _stay(self) -> None:
        """Answer heartbeats."""
        if self._connection is not None:
            try:
                with _reaching():
                    self._connection.process_data_events(0)
            except BrokerAway:
                self._forget()

    def _forget(self) -> None:
        connection, self._connection = self._connection, None
        self._channels = {}
        _closed(connection)


class RabbitmqMailbox:
    """Takes from one queue, on a connection of its own."""

    def __init__(self, parameters: pika.URLParameters, queue_name: str) -> None:
        self._parameters = parameters
        self._queue = queue_name
        self._connection: pika.BlockingConnection | None = None
        self._channel: BlockingChannel | None = None
        self._is_consuming = False

    def take(self, seconds: float) -> bytes | None:
        with self._closing_when_away():
            channel = self._channel or self._connected()
            self._is_consuming = True
            # None: RabbitMQ cancelled the consumer, since the queue was deleted
            found = next(channel.consume(_name(self._queue), inactivity_timeout=seconds), None)
            if found is None:
                raise BrokerAway("RabbitMQ, as BROKER_URL names it, deleted our queue")
            method, _, body = found
            if method is None or body is None:
                return None
            channel.basic_ack(method.delivery_tag or 0)
            return bytes(body)

    def rest(self) -> None:
        if self._connection is None or self._channel is None:
            return
        with self._closing_when_away():
            if self._is_consuming:
                self._channel.cancel()
                self._is_consuming = False
            self._connection.process_data_events(0)

    def close(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        self._is_consuming = False
        _closed(connection)

    def _connected(self) -> BlockingChannel:
        self._connection = pika.BlockingConnection(self._parameters)
        channel = self._channel = _declared(self._connection, self._queue)
        channel.basic_qos(prefetch_count=1)
        return channel

    @contextmanager
    def _closing_when_away(self) -> Iterator[None]:
        try:
            with _reaching():
                yield
        except BrokerAway:
            self.close()
            raise


def _condition(connection: pika.BlockingConnection, queue_names: list[str]) -> Condition:
    told: dict[str, Any] = connection._impl.server_properties or {}  # pika tells it nowhere else
    waiting: dict[str, int] = {}
    faults: list[tuple[str, str]] = []
    for name in queue_names:
        try:
            found = connection.channel().queue_declare(_name(name), passive=True)
            waiting[name] = found.method.message_count
            _declared(connection, name)  # the queue is there: this only compares
        except ChannelClosedByBroker as error:
            if error.reply_code == PRECONDITION_FAILED:
                cure = f"stop all processes, then delete it (rabbitmqctl delete_queue {_name(name)})"
                faults.append((f"queue {_name(name)} was declared with other arguments", cure))
            elif error.reply_code != NOT_FOUND:
                raise
    if _is_blocked(connection):
        faults.append(("an alarm is on: it takes no messages", "make room in its memory or on its disk"))
    return Condition(f"RabbitMQ {_text(told.get('version'))}", waiting, tuple(faults))


def _is_blocked(connection: pika.BlockingConnection) -> bool:
    """A server in alarm says so to whoever publishes. What goes to no queue is dropped."""
    told = []
    connection.add_on_connection_blocked_callback(lambda *_: told.append(True))
    connection.channel().basic_publish("", "veilrun.nowhere", b"")
    deadline = time.monotonic() + ALARM_SECONDS
    while not told and time.monotonic() < deadline:
        connection.process_data_events(ALARM_SECONDS / 3)
    return bool(told)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value or "?")


def _name(queue_name: str) -> str:
    return f"veilrun.{queue_name}"


def _declared(connection: pika.BlockingConnection, queue_name: str) -> BlockingChannel:
    channel = connection.channel()
    channel.queue_declare(_name(queue_name), durable=True, arguments=ARGUMENTS)
    return channel


def _closed(connection: pika.BlockingConnection | None) -> None:
    if connection is not None and connection.is_open:
        with suppress(AMQPError, OSError):
            connection.close()


@contextmanager
def _reaching() -> Iterator[None]:
    try:
        yield
    except (AMQPError, AMQPConnectorException, OSError) as error:
        raise BrokerAway(f"RabbitMQ, as BROKER_URL names it, does not serve us ({type(error).__name__})") from error
