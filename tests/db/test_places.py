"""Places in the queue, counted without reading it all."""

from collections.abc import AsyncIterator

import pytest
from psycopg import AsyncConnection

from db import jobs, statuses
from tests.conftest import Database
from tests.db.test_order import ask


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[AsyncConnection]:
    async with await database.connect() as connection:
        yield connection


async def test_places_are_counted_to_a_hundred_whatever_waits_behind(connection: AsyncConnection) -> None:
    numbers = [await ask(connection, user) for user in range(1, 106)]
    assert [await jobs.position(connection, numbers[place - 1]) for place in (1, 99, 100, 101, 105)] == [
        1,
        99,
        100,
        jobs.COUNTED + 1,
        jobs.COUNTED + 1,
    ]
    await connection.execute("update jobs set status_message_id = id, chat_id = 7")

    counted = await statuses.positions(connection)
    watched = {shown.job_id: shown.position for shown in await statuses.watched(connection)}

    assert counted == {number: place for place, number in enumerate(numbers[:100], 1)}
    assert [watched[number] for number in numbers] == [*range(1, 101), *[jobs.COUNTED + 1] * 5]


async def test_no_place_is_found_by_reading_the_backlog(connection: AsyncConnection) -> None:
    await ask(connection)
    await connection.execute(
        """insert into jobs (command_id, command, arguments, user_id, rank_at)
           select command_id, 'command-' || n % 5, '{}', n, now() + n * interval '1 second'
           from jobs, generate_series(1, 20000) as n where id = 1"""
    )
    await connection.execute("vacuum analyze jobs")
    ((last,),) = await (await connection.execute("select max(id) from jobs")).fetchall()

    async def pages(statement: str, values: dict[str, int]) -> int:
        cursor = await connection.execute(f"explain (analyze, buffers, format json) {statement}", values)
        ((found,),) = await cursor.fetchall()
        plan = found[0]["Plan"]
        return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])

    assert await pages(jobs.POSITION, {"job_id": last, "most": jobs.COUNTED + 1}) < 1500
    assert await pages(f"{statuses.LINE} select * from line", {"counted": jobs.COUNTED}) < 1500
