"""What a database server says of itself, for whoever looks for what is wrong with it."""

import time
from dataclasses import dataclass
from typing import Any

import psycopg

from db.pool import named

OLDEST = 130_000
"""server_version_num of the oldest PostgreSQL that the schema can be made on."""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """One look at a server.

    connections: of clients, of all databases; most_connections: how many it lets an ordinary user have.
    is_durable: whether what it has committed outlives a crash (fsync, synchronous_commit). is_read_only: a standby, or
    set so. database_time: its clock, in seconds of the epoch, read between asked_at and answered_at of ours.
    """

    version: str
    version_number: int
    size_bytes: int
    connections: int
    most_connections: int
    is_durable: bool
    is_read_only: bool
    encoding: str
    database_time: float
    asked_at: float
    answered_at: float


FACTS = """
    select current_setting('server_version'), current_setting('server_version_num')::int,
        pg_database_size(current_database()),
        (select count(*)::int from pg_stat_activity where backend_type = 'client backend'),
        current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
            - coalesce(current_setting('reserved_connections', true), '0')::int,
        current_setting('fsync') = 'on' and current_setting('synchronous_commit') <> 'off',
        pg_is_in_recovery() or current_setting('transaction_read_only') = 'on',
        current_setting('server_encoding')
"""


def look(dsn: str) -> ServerFacts:
    """Ask the server at `dsn`. Raises: psycopg.OperationalError if it does not answer."""
    with psycopg.connect(named(dsn, "doctor"), autocommit=True) as connection:
        facts: tuple[Any, ...] | None = connection.execute(FACTS).fetchone()
        asked_at = time.time()
        clock = connection.execute("select extract(epoch from clock_timestamp())::float8").fetchone()
        answered_at = time.time()
    assert facts is not None
    assert clock is not None
    return ServerFacts(*(*facts, clock[0], asked_at, answered_at))
