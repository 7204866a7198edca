"""A drained backend: nothing new is placed there, whatever happens to it, until it is resumed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from db import backends, placement, views
from db.pool import Pool, open_pool
from runtime.scheduler.schedule import place_jobs
from runtime.scheduler.sync import sync_registry
from tests.conftest import Database
from tests.scheduler.test_schedule import job_of, prepared, queue


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    async with open_pool(database.dsn, "test") as opened:
        yield opened


async def drain(pool: Pool, name: str = "gpu-a", reason: str | None = "new driver") -> list[int] | None:
    async with pool.connection() as connection:
        return await backends.drain(connection, name, reason)


async def resume(pool: Pool, name: str = "gpu-a") -> bool | None:
    async with pool.connection() as connection:
        return await backends.resume(connection, name)


async def test_nothing_new_is_placed_and_those_who_wait_read_the_reason(pool: Pool, tmp_path: Path):
    registry = await prepared(pool, tmp_path)
    await drain(pool)
    number = await queue(pool)

    assert await place_jobs(pool, registry) == []

    job = await job_of(pool, number)
    assert (job.state, job.placement) == ("queued", "waiting for gpu-a, which takes no new jobs: new driver")
    assert await resume(pool) is True
    assert len(await place_jobs(pool, registry)) == 1


async def test_without_a_reason_it_says_only_that(pool: Pool, tmp_path: Path):
    registry = await prepared(pool, tmp_path)
    await drain(pool, reason=None)
    number = await queue(pool)

    await place_jobs(pool, registry)

    assert (await job_of(pool, number)).placement == "waiting for gpu-a, which takes no new jobs"


async def test_it_outlasts_checks_and_a_new_start_with_the_registry(pool: Pool, tmp_path: Path):
    registry = await prepared(pool, tmp_path)
    await drain(pool)
    for health in ("away", "ready"):
        async with pool.connection() as connection:
            await views.report(connection, "gpu-a", health=health, missing={})
    await sync_registry(pool, registry)
    await queue(pool)

    assert await place_jobs(pool, registry) == []


async def test_a_backend_that_was_taken_out_of_the_registry_comes_back_drained(pool: Pool, tmp_path: Path):
    registry = await prepared(pool, tmp_path)
    await drain(pool)
    async with pool.connection() as connection:
        await placement.sync_backends(connection, [])
    await sync_registry(pool, registry)
    await queue(pool)

    async with pool.connection() as connection:
        states = {state.name: state for state in await placement.backends(connection)}
    assert await place_jobs(pool, registry) == []
    assert (states["gpu-a"].health, states["gpu-a"].health_reason) == ("drained", "new driver")
    assert states["gpu-b"].health == "unknown"


async def test_jobs_that_wait_behind_another_are_asked_back_and_the_one_in_front_stays(pool: Pool, tmp_path: Path):
    registry = await prepared(pool, tmp_path, lookahead=3)
    numbers = [await queue(pool) for _ in range(4)]
    await place_jobs(pool, registry)
    async with pool.connection() as connection:
        await connection.execute(
            "update jobs set state = 'running', prompt_id = 'p' where id = any(%s)", (numbers[1:3],)
        )

    recalled = await drain(pool)

    async with pool.connection() as connection:
        found = await (await connection.execute("select id, state, recall_requested from jobs order by id")).fetchall()
        kinds = await (await connection.execute("select job_id from events where kind = 'recall_requested'")).fetchall()
    assert recalled == numbers[1:]
    assert found == [
        (numbers[0], "placed", False),
        (numbers[1], "running", True),
        (numbers[2], "running", True),
        (numbers[3], "queued", False),  # no worker had it
    ]
    assert sorted(kinds) == [(numbers[1],), (numbers[2],)]
    assert await drain(pool, reason="another reason") == [], "they are asked once"


async def test_jobs_that_have_begun_stay(pool: Pool, tmp_path: Path):
    registry = await prepared(pool, tmp_path, lookahead=1)
    await queue(pool)
    await queue(pool)
    await place_jobs(pool, registry)
    async with pool.connection() as connection:
        await connection.execute("update jobs set began_at = now()")

    assert await drain(pool) == []


async def test_a_backend_that_is_not_there_cannot_be_drained_or_resumed(pool: Pool, tmp_path: Path):
    await prepared(pool, tmp_path)

    assert await drain(pool, "gpu-x") is None
    assert await resume(pool, "gpu-x") is None
    assert await resume(pool, "gpu-a") is False
