"""dramatiq-postgres, tuned for wake-ups: prompt, and without what only delayed or retried messages need."""

from collections.abc import Mapping
from typing import Any

from dramatiq import Message, MessageProxy
from dramatiq_postgres import PostgresBroker
from dramatiq_postgres.broker import CLAIM_BATCH_MAX, QUERIES, PostgresConsumer
from dramatiq_postgres.utils import raise_connection_error
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import ConnectionPool

CONNECTIONS = 16
CONNECTION: Mapping[str, str | int] = {
    "application_name": "veilrun-broker",
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 10_000,
}


class WakeupBroker(PostgresBroker):  # type: ignore[misc]
    """A PostgresBroker whose messages start at once.

    - It has no delay queues, whose consumers would cost a connection and a query a second each.
    - A message costs one statement to send and one to take, none of which waits for the disk: what a crash of the
      database server loses, the sweeper sends again.
    - One that cannot be sent is not tried again for minutes in the sender's thread.
    """

    def __init__(self, dsn: str, **options: object) -> None:
        self._connections = ConnectionPool(
            kwargs={**CONNECTION, **conninfo_to_dict(dsn), "autocommit": True},
            configure=_do_not_wait_for_the_disk,
            min_size=0,
            max_size=CONNECTIONS,
            open=True,
        )
        super().__init__(pool=self._connections, results=False, **options)

    def enqueue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        """Send the message. Raises: psycopg.Error, ValueError for a delay, which belongs into the table of jobs."""
        if delay:
            raise ValueError("this broker knows no delays")
        self.emit_before("enqueue", message, delay)
        values = (message.queue_name, message.message_id, message.encode().decode(), 0)
        with self._connections.connection() as connection:
            connection.execute(QUERIES.ENQUEUE, values)
        self.emit_after("enqueue", message, delay)
        return message

    def declare_queue(self, queue_name: str) -> None:
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues[queue_name] = True
            self.emit_after("declare_queue", queue_name)

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 30_000) -> "WakeupConsumer":
        return WakeupConsumer(broker=self, queue_name=queue_name, prefetch=prefetch, timeout=timeout)

    def close(self) -> None:
        super().close()
        self._connections.close()


def _do_not_wait_for_the_disk(connection: Connection) -> None:
    connection.execute("set synchronous_commit = off")


class WakeupConsumer(PostgresConsumer):  # type: ignore[misc]
    """A PostgresConsumer that never sleeps through a notification."""

    @raise_connection_error  # type: ignore[untyped-decorator]
    def __next__(self) -> MessageProxy | None:
        """The next message, or None after the poll interval.

        The wake-up is forgotten before the queue is looked at. dramatiq-postgres 1.4.0 forgets it after that, and a
        message that arrives in between waits for the next poll, up to a second later.
        """
        connection: Connection = self.get_consume_conn()
        self.broker.maybe_heartbeat(connection)
        self.broker.maybe_maintenance(connection)
        if not self.buffer:
            self.wakeup.clear()
            capacity = self.prefetch - len(self.in_processing)
            if capacity > 0:
                limit = min(capacity, CLAIM_BATCH_MAX)
                claimed = connection.execute(QUERIES.CLAIM, (self.queue_name, limit, self.broker.worker_id))
                self.buffer.extend(Message.decode(payload.encode()) for (payload,) in claimed)
        if self.buffer:
            message = self.buffer.pop(0)
            self.in_processing.add(message.message_id)
            return MessageProxy(message)
        self.wakeup.wait(min(self.timeout_s, self.broker.poll_interval))
        return None
