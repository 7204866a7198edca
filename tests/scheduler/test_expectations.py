"""When runs are expected to end: what is told of it, and what decisions know of run times."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from db import timings
from db.pool import Pool, open_pool
from runtime.registry import Registry, load_registry
from runtime.scheduler.expectations import Awaited, Learned, moved, weights_gb
from runtime.scheduler.schedule import place_jobs
from tests.conftest import Database
from tests.scheduler.test_schedule import job_of, prepared, queue

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def awaited(expected_seconds: float | None, key: str = "flux") -> list[Awaited]:
    return [Awaited(1, key, None if expected_seconds is None else NOW + timedelta(seconds=expected_seconds))]


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    async with open_pool(database.dsn, "test") as opened:
        yield opened


@pytest.mark.parametrize(
    ("before", "now", "is_told"),
    [(None, 10, True), (10, 14, False), (10, 16, True), (100, 119, False), (100, 126, True), (100, 79, True)],
)
def test_an_end_is_told_anew_when_it_moved_by_five_seconds_and_a_fifth(before: float, now: float, is_told: bool):
    assert moved(awaited(before), {1: now}, NOW, measured={"flux"}) == ({1: now} if is_told else {})


def test_nothing_is_promised_of_a_command_that_never_ran():
    assert moved(awaited(None), {1: 15.0}, NOW, measured={"wan"}) == {}


def test_an_end_that_nobody_knows_any_more_is_taken_back():
    assert moved(awaited(30), {}, NOW, measured={"flux"}) == {1: None}
    assert moved(awaited(None), {}, NOW, measured={"flux"}) == {}


def test_a_model_set_is_as_large_as_its_files(tmp_path: Path):
    path = tmp_path / "registry.yaml"
    path.write_text("version: 1\naccess: {default: public}\nbackends: []\nplugins: {flux: {enabled: true}}\n")
    found = weights_gb(load_registry(path))
    assert found == {"flux-schnell": pytest.approx(31.82), "flux-dev": pytest.approx(31.84)}


async def learn(pool: Pool, seconds: float = 40.0) -> None:
    async with pool.connection() as connection:
        await connection.execute("insert into run_times values ('flux', 'gpu-a', '', %s)", (seconds,))
        await connection.execute("insert into load_times values ('flux', 'gpu-a', 20)")


async def expected_in(pool: Pool, job_id: int) -> float | None:
    async with pool.connection() as connection:
        cursor = await connection.execute(
            "select extract(epoch from expected_at - now())::float8 from jobs where id = %s", (job_id,)
        )
        found = await cursor.fetchone()
    assert found is not None
    return found[0]


async def test_placed_and_waiting_jobs_are_told_when_they_will_be_done(pool: Pool, tmp_path: Path):
    registry = await prepared(pool, tmp_path)
    await learn(pool)
    first, second = await queue(pool), await queue(pool)

    await place_jobs(pool, registry)

    assert await expected_in(pool, first) == pytest.approx(60, abs=2), "a load and a run"
    assert await expected_in(pool, second) == pytest.approx(100, abs=2), "and another run"


async def test_without_a_measured_run_nobody_is_told_anything(pool: Pool, tmp_path: Path):
    registry = await prepared(pool, tmp_path)
    job_id = await queue(pool)
    await place_jobs(pool, registry)
    assert await expected_in(pool, job_id) is None


async def test_a_placed_job_that_begins_is_left_to_its_worker(pool: Pool, tmp_path: Path):
    registry = await prepared(pool, tmp_path)
    await learn(pool)
    running = await queue(pool)
    await place_jobs(pool, registry)
    async with pool.connection() as connection:
        await connection.execute("update jobs set began_at = now(), expected_at = now() + interval '7 seconds'")
    await queue(pool)

    await place_jobs(pool, registry)

    assert await expected_in(pool, running) == pytest.approx(7, abs=2)


async def test_an_unchanged_expectation_is_not_written_again(pool: Pool, tmp_path: Path):
    registry = await prepared(pool, tmp_path)
    await learn(pool)
    numbers = [await queue(pool) for _ in range(3)]
    await place_jobs(pool, registry)
    before = [(await job_of(pool, number)).expected_at for number in numbers]
    await place_jobs(pool, registry)
    assert [(await job_of(pool, number)).expected_at for number in numbers] == before


async def test_what_was_learned_is_read_once_a_second_and_for_another_registry(pool: Pool, tmp_path: Path):
    registry: Registry = await prepared(pool, tmp_path)
    learned = Learned()
    async with pool.connection() as connection:
        first = await learned.timings(connection, registry)
    await learn(pool, 3.0)
    async with pool.connection() as connection:
        assert await learned.timings(connection, registry) is first
        other = await learned.timings(connection, load_registry(registry.path))
        assert other.run_seconds("flux", "gpu-a") == 3.0
        assert (await timings.read(connection)).loads == {("flux", "gpu-a"): 20.0}
