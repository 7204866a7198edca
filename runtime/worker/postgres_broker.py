"""dramatiq-postgres, tuned for wake-ups: prompt, and without what only delayed or retried messages need."""

from collections.abc import Mapping

from dramatiq import MessageProxy
from dramatiq_postgres import PostgresBroker
from dramatiq_postgres.broker import CLAIM_BATCH_MAX, PostgresConsumer
from dramatiq_postgres.utils import raise_connection_error
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

    It has no delay queues, whose consumers would cost a connection and a query a second each. A message that cannot be
    sent is not tried again for minutes in the sender's thread.
    """

    enqueue = PostgresBroker.enqueue.__wrapped__  # without its ten attempts

    def __init__(self, dsn: str, **options: object) -> None:
        parameters = {**CONNECTION, **conninfo_to_dict(dsn)}
        self._connections = ConnectionPool(kwargs=parameters, min_size=0, max_size=CONNECTIONS, open=True)
        super().__init__(pool=self._connections, results=False, **options)

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


class WakeupConsumer(PostgresConsumer):  # type: ignore[misc]
    """A PostgresConsumer that never sleeps through a notification."""

    @raise_connection_error  # type: ignore[untyped-decorator]
    def __next__(self) -> MessageProxy | None:
        """The next message, or None after the poll interval.

        The wake-up is forgotten before the queue is looked at. dramatiq-postgres 1.4.0 forgets it after that, and a
        message that arrives in between waits for the next poll, up to a second later.
        """
        connection = self.get_consume_conn()
        self.broker.maybe_heartbeat(connection)
        self.broker.maybe_maintenance(connection)
        if not self.buffer:
            self.wakeup.clear()
            capacity = self.prefetch - len(self.in_processing)
            if capacity > 0:
                self.claim(min(capacity, CLAIM_BATCH_MAX))
        if self.buffer:
            message = self.buffer.pop(0)
            self.in_processing.add(message.message_id)
            return MessageProxy(message)
        self.wakeup.wait(min(self.timeout_s, self.broker.poll_interval))
        return None
