"""Group commit: batches, poisonous rows, a database that goes away and comes back, and the end."""

import asyncio

import psycopg
import pytest
from psycopg import sql

from db.errors import DatabaseAway
from db.updates import StoredUpdate
from tests.webhooks.receiver import DEADLINE, message, rows, running
from webhooks import group_commit
from webhooks.group_commit import GroupCommit

READY = '{"status":"ready"}'


@pytest.fixture
async def administrator(database_server):
    connection = await psycopg.AsyncConnection.connect(database_server, autocommit=True)
    yield connection
    await connection.close()


def update(number: int, order_key: int | None = 5) -> StoredUpdate:
    return StoredUpdate(1, number, order_key, b"{}")


async def stop_connections(administrator, database) -> None:
    name = psycopg.conninfo.conninfo_to_dict(database.dsn)["dbname"]
    await administrator.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s and pid <> pg_backend_pid()", (name,)
    )


class Outage:
    """Nobody can connect to the database, and whoever was connected is not any more."""

    def __init__(self, administrator, database) -> None:
        self._administrator, self._database = administrator, database
        self._name = str(psycopg.conninfo.conninfo_to_dict(database.dsn)["dbname"])

    async def __aenter__(self) -> None:
        await self._allow(False)
        await stop_connections(self._administrator, self._database)

    async def __aexit__(self, *_: object) -> None:
        await self._allow(True)

    async def _allow(self, is_allowed: bool) -> None:
        statement = sql.SQL("alter database {} with allow_connections {}")
        await self._administrator.execute(statement.format(sql.Identifier(self._name), sql.Literal(is_allowed)))


async def ready(receiver) -> None:
    async with asyncio.timeout(DEADLINE):
        while await receiver.get("/readyz") != (200, READY):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_200_posts_at_once_are_all_stored_in_few_commits(receiver, table) -> None:
    statuses = await asyncio.gather(*(receiver.status(message(number)) for number in range(1, 201)))

    assert statuses == [200] * 200
    assert len(await rows(table)) == 200
    cursor = await table.execute("select count(distinct xmin::text) from updates")
    assert await cursor.fetchone() < (100,)
    assert sorted(update.update_id for update in receiver.handed_over) == list(range(1, 201))


async def test_updates_are_handed_over_in_the_order_they_came(database) -> None:
    handed_over: list[int] = []
    commit = GroupCommit(database.dsn, lambda stored: handed_over.extend(one.update_id for one in stored))
    await commit.start()

    order = [3, 1, 2, *range(10, 1200)]
    await asyncio.gather(*(commit.store(update(number)) for number in order))
    await commit.stop()

    assert handed_over == order


async def test_a_number_twice_in_one_batch_is_one_update(database, table) -> None:
    handed_over: list[StoredUpdate] = []
    commit = GroupCommit(database.dsn, handed_over.extend)
    await commit.start()

    await asyncio.gather(*(commit.store(update(7)) for _ in range(5)))
    await commit.stop()

    assert len(handed_over) == 1
    assert len(await rows(table)) == 1


async def test_a_row_that_the_database_refuses_does_not_take_its_batch_with_it(database, table) -> None:
    handed_over: list[int] = []
    commit = GroupCommit(database.dsn, lambda stored: handed_over.extend(one.update_id for one in stored))
    await commit.start()

    results = await asyncio.gather(
        *(commit.store(update(number, 2**70 if number == 3 else 5)) for number in range(1, 6)), return_exceptions=True
    )
    await commit.stop()

    assert [number for number, result in enumerate(results, 1) if isinstance(result, psycopg.DataError)] == [3]
    assert [row[1] for row in await rows(table)] == [1, 2, 4, 5]
    assert sorted(handed_over) == [1, 2, 4, 5]


async def test_an_update_that_arrives_while_the_database_is_away_is_left_to_telegram(
    receiver, table, database, administrator
) -> None:
    async with Outage(administrator, database):
        status, headers = await receiver.post(message(1))

        assert status == 503
        assert int(headers["Retry-After"]) > 0
        assert await receiver.get("/readyz") == (
            503,
            '{"status":"not ready","reasons":{"receiver":"the receiver has no connection to the database"}}',
        )
        assert (await receiver.get("/healthz"))[0] == 200

    await ready(receiver)  # by itself: a balancer sends nothing to who is not ready
    assert await receiver.status(message(1)) == 200
    assert [one.update_id for one in receiver.handed_over] == [1]


async def test_a_restart_of_the_database_costs_no_update_an_error(receiver, database, administrator) -> None:
    assert await receiver.status(message(1)) == 200

    await stop_connections(administrator, database)

    assert await receiver.status(message(2)) == 200


async def test_a_receiver_that_starts_before_the_database_becomes_ready(database, administrator) -> None:
    async with Outage(administrator, database):
        context = running(database.dsn)
        receiver = await context.__aenter__()
        assert await receiver.status(message(1)) == 503
    try:
        await ready(receiver)
        assert await receiver.status(message(1)) == 200
    finally:
        await context.__aexit__(None, None, None)


async def test_a_schema_that_is_not_there_yet_is_a_database_that_is_away(receiver, table) -> None:
    await table.execute("alter table updates rename to elsewhere")
    assert await receiver.status(message(1)) == 503

    await table.execute("alter table elsewhere rename to updates")
    assert await receiver.status(message(1)) == 200


async def test_a_database_that_only_reads_is_one_that_is_away(receiver, table, database, administrator) -> None:
    name = sql.Identifier(psycopg.conninfo.conninfo_to_dict(database.dsn)["dbname"])
    await administrator.execute(sql.SQL("alter database {} set default_transaction_read_only = on").format(name))
    await stop_connections(administrator, database)
    assert await receiver.status(message(1)) == 503

    await administrator.execute(sql.SQL("alter database {} reset default_transaction_read_only").format(name))
    assert await receiver.status(message(1)) == 200


async def test_a_table_that_is_locked_for_long_does_not_hold_telegram_up(database, table, monkeypatch) -> None:
    monkeypatch.setattr(group_commit, "COMMIT_SECONDS", 1)
    async with running(database.dsn) as receiver, table.transaction():
        await table.execute("lock table updates in access exclusive mode")

        assert await receiver.status(message(1)) == 503


async def test_too_many_that_wait_are_refused_at_once(database, monkeypatch) -> None:
    monkeypatch.setattr(group_commit, "WAITING", 3)
    commit = GroupCommit(database.dsn, lambda _: None)
    await commit.start()

    waiting = [commit.store(update(number)) for number in range(3)]
    with pytest.raises(DatabaseAway):
        commit.store(update(4))
    await asyncio.gather(*waiting)
    await commit.store(update(4))
    await commit.stop()


async def test_large_updates_that_wait_do_not_fill_the_memory(database, monkeypatch) -> None:
    monkeypatch.setattr(group_commit, "WAITING_BYTES", 1000)
    commit = GroupCommit(database.dsn, lambda _: None)
    await commit.start()

    waiting = [commit.store(StoredUpdate(1, number, 5, b"x" * 400)) for number in range(2)]
    with pytest.raises(DatabaseAway):
        commit.store(StoredUpdate(1, 3, 5, b"x" * 400))
    await asyncio.gather(*waiting)
    await commit.store(StoredUpdate(1, 3, 5, b"x" * 400))
    await commit.stop()


async def test_what_waits_at_the_end_is_written_first(database, table) -> None:
    commit = GroupCommit(database.dsn, lambda _: None)
    await commit.start()
    stored = [commit.store(update(number)) for number in range(1500)]
    await asyncio.sleep(0)  # the first batch is in flight now

    await commit.stop()

    assert all(one.done() and one.exception() is None for one in stored)
    assert len(await rows(table)) == 1500
    with pytest.raises(DatabaseAway):
        commit.store(update(2000))


async def test_the_end_does_not_wait_for_a_database_that_is_away(receiver, database, administrator) -> None:
    async with Outage(administrator, database):
        posts = [asyncio.create_task(receiver.status(message(number))) for number in range(20)]
        await asyncio.sleep(0)
        async with asyncio.timeout(DEADLINE):
            await receiver.commit.stop()
            assert set(await asyncio.gather(*posts)) == {503}


async def test_requests_in_flight_are_answered_when_the_server_is_told_to_end(database, table) -> None:
    async with running(database.dsn) as receiver:
        posts = [asyncio.create_task(receiver.status(message(number))) for number in range(50)]
        done, _ = await asyncio.wait(posts, timeout=DEADLINE, return_when=asyncio.FIRST_COMPLETED)
        receiver.server.should_exit = True
        results = await asyncio.gather(*posts, return_exceptions=True)

    stored = {row[1] for row in await rows(table)}
    assert done
    assert {number for number, result in enumerate(results) if result == 200} <= stored


async def test_a_handover_that_fails_does_not_end_the_writing(database, table) -> None:
    def fails(_: object) -> None:
        raise RuntimeError("dispatch is broken")

    commit = GroupCommit(database.dsn, fails)
    await commit.start()

    await commit.store(update(1))
    await commit.store(update(2))
    await commit.stop()

    assert len(await rows(table)) == 2


async def test_a_request_that_is_cancelled_while_it_waits_harms_no_other(database, table) -> None:
    commit = GroupCommit(database.dsn, lambda _: None)
    await commit.start()
    first, second = commit.store(update(1)), commit.store(update(2))

    first.cancel()
    await second
    await commit.stop()

    assert len(await rows(table)) == 2
