"""The places of jobs in the queue: turns among users, priority within one user, jobs for later."""

import pytest
from psycopg import AsyncConnection

from db import jobs, placement
from db.jobs import TURN_SECONDS
from tests.conftest import Database
from tests.db.test_jobs import new_job

ADA, BOB = 11, 12


@pytest.fixture
async def connection(database: Database):  # type: ignore[no-untyped-def]
    async with await database.connect() as connection:
        yield connection


async def ask(connection: AsyncConnection, user_id: int = ADA, **values: object) -> int:
    job_id = await jobs.insert(connection, await new_job(connection, user_id=user_id, **values))
    assert job_id is not None
    return job_id


async def order(connection: AsyncConnection) -> list[int]:
    """As the scheduler sees it."""
    async with connection.transaction():
        return [job.id for job in (await placement.snapshot(connection, 100)).waiting]


async def rank_seconds(connection: AsyncConnection, job_id: int) -> float:
    """Of its rank after its run_at."""
    job = await jobs.get(connection, job_id)
    assert job is not None
    return (job.rank_at - job.run_at).total_seconds()


async def test_who_comes_with_a_first_job_goes_before_who_has_some_waiting(connection: AsyncConnection) -> None:
    first, second, third = [await ask(connection) for _ in range(3)]
    bobs = await ask(connection, BOB)

    assert await order(connection) == [first, bobs, second, third]


async def test_a_job_of_higher_priority_goes_before_my_waiting_ones_of_lower(connection: AsyncConnection) -> None:
    low, plain, other = await ask(connection, priority=-1), await ask(connection), await ask(connection)
    urgent = await ask(connection, priority=1)

    assert await order(connection) == [urgent, plain, other, low]


async def test_among_equals_the_order_is_that_in_which_they_came(connection: AsyncConnection) -> None:
    asked = [await ask(connection, priority=3) for _ in range(4)]

    assert await order(connection) == asked


async def test_a_job_of_lower_priority_pushes_nobody(connection: AsyncConnection) -> None:
    asked = [await ask(connection) for _ in range(3)] + [await ask(connection, priority=-10)]

    assert await order(connection) == asked


async def test_priority_moves_my_jobs_among_their_own_places_only(connection: AsyncConnection) -> None:
    mine = [await ask(connection) for _ in range(3)]
    bobs = [await ask(connection, BOB) for _ in range(3)]
    before = await order(connection)

    urgent = await ask(connection, priority=5)

    places = [
        index
        for index, job_id in enumerate(job for job in await order(connection) if job != mine[-1])
        if job_id in bobs
    ]
    assert places == [index for index, job_id in enumerate(before) if job_id in bobs]
    assert [job for job in await order(connection) if job not in bobs] == [urgent, *mine]


async def test_what_runs_already_is_not_pushed(connection: AsyncConnection) -> None:
    running = await ask(connection)
    waiting = await ask(connection)
    await connection.execute("update jobs set state = 'running' where id = %s", (running,))
    rank = await rank_seconds(connection, running)

    urgent = await ask(connection, priority=2)

    assert await rank_seconds(connection, running) == rank
    assert await order(connection) == [urgent, waiting]


async def test_a_doubled_request_pushes_nobody(connection: AsyncConnection) -> None:
    waiting = await ask(connection)
    await connection.execute("update jobs set dedupe_key = 'update:1:2' where id = %s", (waiting,))
    rank = await rank_seconds(connection, waiting)

    again = await new_job(connection, user_id=ADA, priority=9, dedupe_key="update:1:2")
    assert await jobs.insert(connection, again) is None

    assert await rank_seconds(connection, waiting) == rank


async def test_a_job_for_later_is_out_of_sight_until_its_time_comes(connection: AsyncConnection) -> None:
    later = await ask(connection, delay_seconds=3600)
    now = await ask(connection)

    assert await order(connection) == [now]
    assert await jobs.position(connection, later) is None
    assert await jobs.position(connection, now) == 1

    await connection.execute("update jobs set run_at = now() where id = %s", (later,))
    assert await order(connection) == [now, later]
    assert await jobs.position(connection, later) == 2


async def test_a_job_for_later_takes_no_turn_from_those_of_now_nor_they_from_it(connection: AsyncConnection) -> None:
    for _ in range(5):
        await ask(connection, delay_seconds=2 * 3600)
    now = [await ask(connection) for _ in range(3)]
    later = await ask(connection, delay_seconds=24 * 3600)

    ranks = [await rank_seconds(connection, job_id) for job_id in (*now, later)]
    assert ranks == pytest.approx([0, TURN_SECONDS, 2 * TURN_SECONDS, 0], abs=5)


async def test_jobs_for_the_same_hour_take_turns(connection: AsyncConnection) -> None:
    asked = [await ask(connection, delay_seconds=3600) for _ in range(3)]
    bobs = await ask(connection, BOB, delay_seconds=3600)
    await connection.execute("update jobs set run_at = now()")

    assert await order(connection) == [asked[0], bobs, *asked[1:]]


async def test_a_crowd_of_mine_that_lasts_until_then_is_counted(connection: AsyncConnection) -> None:
    for _ in range(10):
        await ask(connection)
    later = await ask(connection, delay_seconds=3 * TURN_SECONDS)

    assert await rank_seconds(connection, later) == pytest.approx(7 * TURN_SECONDS, abs=5), "a turn after the tenth"
