"""Wake-ups through PostgreSQL, in the table of dramatiq-postgres: nothing more to install, and a few ms on the way.

A message costs one statement to send and one to take, none of which waits for the disk: what a crash of the database
server loses, the sweepers send again. One that is sent again while it waits is there once: its id is the same.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any, LiteralString, TypeVar

import psycopg
from dramatiq import Message
from dramatiq_postgres import schema
from psycopg import Connection, sql
from psycopg.conninfo import conninfo_to_dict

from runtime.worker.wakeups import BrokerAway, Condition, Mailbox, WakeupBroker

T = TypeVar("T")

CONNECTION: Mapping[str, str | int] = {
    "application_name": "veilrun-broker",
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 10_000,
}

SEND = """
    with sent as (
        insert into dramatiq.queue (message_id, queue_name, state, message) values (%s, %s, 'queued', %s)
        on conflict (message_id) do update set state = 'queued', worker_id = null, consumed_at = null, mtime = now())
    select pg_notify(%s, '')
"""
TAKE = """
    delete from dramatiq.queue where message_id = (
        select message_id from dramatiq.queue where queue_name = %s and state = 'queued' and available_at <= now()
        order by available_at, position limit 1 for update skip locked)
    returning message::text
"""
TIDY = "delete from dramatiq.queue where queue_name = %s and mtime < now() - interval '1 hour'"
WAITING = "select queue_name, count(*) from dramatiq.queue where state = 'queued' group by queue_name"
NOT_INSTALLED = (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName)


class PostgresBroker(WakeupBroker):
    """Wake-ups through the database at `dsn`, which need not be the one with the jobs."""

    def __init__(self, dsn: str) -> None:
        super().__init__()
        self._parameters = {**CONNECTION, **conninfo_to_dict(dsn), "autocommit": True}
        self._sending = threading.Lock()
        self._connection: Connection | None = None

    def send(self, message: Message[Any]) -> None:
        queue = message.queue_name
        self._execute(SEND, (message.message_id, queue, message.encode().decode(), _channel(queue)))

    def mailbox(self, queue_name: str) -> Mailbox:
        return PostgresMailbox(self._parameters, queue_name)

    def wipe(self, queue_name: str) -> None:
        self._execute("delete from dramatiq.queue where queue_name = %s", (queue_name,))

    def condition(self) -> Condition:
        with _reaching(), closing(_connected(self._parameters)) as connection:
            version = connection.info.parameter_status("server_version")
            counted: dict[str, int] = {}
            with suppress(*NOT_INSTALLED):  # made when first used
                counted = dict(connection.execute(WAITING).fetchall())
        return Condition(f"PostgreSQL {version}", {name: counted.get(name, 0) for name in self.queues})

    def close(self) -> None:
        with self._sending:
            self._forget()

    def _execute(self, statement: LiteralString, values: Sequence[object]) -> None:
        with self._sending, _reaching():
            is_fresh = self._connection is None
            try:
                self._execute_once(statement, values)
            except psycopg.Error:
                self._forget()
                if is_fresh:
                    raise
                self._execute_once(statement, values)  # the server ended the connection, or is not the primary any more

    def _execute_once(self, statement: LiteralString, values: Sequence[object]) -> None:
        connection = self._connection = self._connection or _connected(self._parameters)
        _installed(connection, lambda: connection.execute(statement, values))

    def _forget(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class PostgresMailbox:
    """Takes from one queue, on a connection that listens for what comes into it."""

    def __init__(self, parameters: Mapping[str, Any], queue_name: str) -> None:
        self._parameters = parameters
        self._queue = queue_name
        self._connection: Connection | None = None

    def take(self, seconds: float) -> bytes | None:
        try:
            with _reaching():
                connection = self._connection = self._connection or self._listening()
                body = self._taken(connection)
                if body is None and any(True for _ in connection.notifies(timeout=seconds, stop_after=1)):
                    body = self._taken(connection)
                return body
        except BrokerAway:
            self.close()
            raise

    def rest(self) -> None:
        """It holds nothing; the notifications that come meanwhile are only a reason to look."""

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _listening(self) -> Connection:
        connection = _connected(self._parameters)
        connection.execute(sql.SQL("listen {}").format(sql.Identifier(_channel(self._queue))))
        _installed(connection, lambda: connection.execute(TIDY, (self._queue,)))
        return connection

    def _taken(self, connection: Connection) -> bytes | None:
        row = _installed(connection, lambda: connection.execute(TAKE, (self._queue,)).fetchone())
        return row[0].encode() if row else None


def _channel(queue_name: str) -> str:
    return f"dramatiq.{queue_name}.enqueue"


def _connected(parameters: Mapping[str, Any]) -> Connection:
    connection: Connection = psycopg.connect(**parameters)
    connection.execute("set synchronous_commit = off")
    return connection


def _installed(connection: Connection, work: Callable[[], T]) -> T:
    """The result of `work`, with the broker's tables made first where they are not there."""
    try:
        return work()
    except NOT_INSTALLED:
        with connection.transaction(), connection.cursor() as cursor:
            schema.init(cursor)
        return work()


@contextmanager
def _reaching() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:  # as also a role that may not make or use the tables
        raise BrokerAway(f"PostgreSQL, as BROKER_URL names it, does not serve us ({type(error).__name__})") from error
