"""Connections come back by themselves, and a database that is away is one typed error."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg_pool import PoolTimeout

from db.errors import DatabaseAway
from db.pool import Pool, listen, named, open_pool, reaching_database
from tests.conftest import Database


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    async with open_pool(database.dsn, "test") as opened:
        yield opened


@pytest.fixture
async def operator(database: Database) -> AsyncIterator[AsyncConnection]:
    """Somebody else who is connected to the same database."""
    async with await database.connect() as connection:
        yield connection


async def end_connections(operator: AsyncConnection, name: str) -> None:
    """Have the server end those connections, and wait until they are gone."""
    async with asyncio.timeout(10):
        while True:
            found = await operator.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where application_name = %s and datname = current_database()",
                (name,),
            )
            if not await found.fetchall():
                return


async def test_what_ends_well_is_committed_and_what_does_not_is_rolled_back(
    pool: Pool, operator: AsyncConnection
) -> None:
    async with pool.connection() as connection:
        await connection.execute("create table words (word text)")
        await connection.execute("insert into words values ('kept')")
    with pytest.raises(psycopg.DataError):
        async with pool.connection() as connection:
            await connection.execute("insert into words values ('lost'); select 1 / 0")

    assert await (await operator.execute("select word from words")).fetchall() == [("kept",)]


async def test_the_server_is_to_notice_soon_that_a_machine_is_gone_and_held_locks(pool: Pool) -> None:
    async with pool.connection() as connection:
        await connection.rollback()
        cursor = await connection.execute("select name from pg_settings where source = 'session' order by name")
        chosen = [name for (name,) in await cursor.fetchall()]

    assert chosen == ["tcp_keepalives_count", "tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_user_timeout"]


async def test_a_connection_that_the_server_ended_meanwhile_is_not_handed_out(
    pool: Pool, operator: AsyncConnection
) -> None:
    async with pool.connection() as connection:
        first = connection.info.backend_pid
    await end_connections(operator, "veilrun-test")

    async with pool.connection() as connection:
        assert (await (await connection.execute("select 1")).fetchone()) == (1,)
        assert connection.info.backend_pid != first


@pytest.mark.parametrize(
    "error", [psycopg.OperationalError("gone"), psycopg.errors.ReadOnlySqlTransaction("standby"), PoolTimeout("full")]
)
async def test_a_database_that_is_away_is_one_typed_error(error: Exception) -> None:
    with pytest.raises(DatabaseAway, match=type(error).__name__):
        async with reaching_database():
            raise error


async def test_other_errors_pass_as_they_are() -> None:
    with pytest.raises(psycopg.DataError):
        async with reaching_database():
            raise psycopg.DataError


def test_timeouts_are_set_unless_the_address_says_otherwise() -> None:
    assert psycopg.conninfo.conninfo_to_dict(named("postgresql:///veilrun", "web"))["connect_timeout"] == "5"
    patient = named("postgresql:///veilrun?connect_timeout=60", "web")
    assert psycopg.conninfo.conninfo_to_dict(patient)["connect_timeout"] == "60"


async def test_notifications_arrive_and_start_over_when_the_connection_breaks(
    database: Database, operator: AsyncConnection
) -> None:
    async with asyncio.timeout(20), aclosing(notices(database)) as heard:
        assert await anext(heard) is None
        await operator.execute("select pg_notify('words', '{\"word\": 1}')")
        assert await anext(heard) == {"word": 1}

        await end_connections(operator, "veilrun-listen")

        assert await anext(heard) is None
        await operator.execute("select pg_notify('words', '{\"word\": 2}')")
        assert await anext(heard) == {"word": 2}


async def test_a_notification_of_another_kind_is_left_out(database: Database, operator: AsyncConnection) -> None:
    async with asyncio.timeout(20), aclosing(notices(database)) as heard:
        assert await anext(heard) is None
        await operator.execute("select pg_notify('words', 'no json')")
        await operator.execute("select pg_notify('words', '{}')")

        assert await anext(heard) == {}


async def notices(database: Database) -> AsyncIterator[dict[str, Any] | None]:
    async for notice in listen(database.dsn, "words"):
        yield notice
