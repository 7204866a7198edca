"""Runs, loads, waits and broken promises as metrics: counted once each, in the database, whoever is asked."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from psycopg import AsyncConnection

from db import breakers, leases, placement, tallies, timings
from db.breakers import Failure
from db.placement import BackendRow
from db.pool import Pool, open_pool
from tests.conftest import Database
from tests.db.test_timings import CARD, claim, claim_placed, queue, run
from webhooks.measure import BOUNDS, Measure


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    async with open_pool(database.dsn, "test") as pool:
        async with pool.connection() as connection:
            await placement.sync_backends(
                connection, [BackendRow("gpu-a", CARD, 24, 2), BackendRow("gpu-b", "", 24, 2)]
            )
        yield pool


@pytest.fixture
def measure(pool: Pool, tmp_path: Path) -> Measure:
    return Measure(pool, tmp_path)


def told(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


async def promised(connection: AsyncConnection, job_id: int, late_seconds: float) -> None:
    """As if the job's user had been told a time, and its run had ended so much later."""
    await connection.execute(
        """update jobs set promised_at = ended - make_interval(secs => %s)
           from (select job_id, ended_at as ended from attempts) as tries where job_id = id and id = %s""",
        (late_seconds, job_id),
    )


async def test_runs_and_loads_are_told_by_command_and_device(pool: Pool, measure: Measure) -> None:
    async with pool.connection() as connection:
        for seconds in (20.0, 4.0, 4.5, 26.0):  # the first is cold, of unknown parts
            await run(connection, seconds)
        await run(connection, 61.0, backend="gpu-b", variant="dev", load_seconds=40.0)

    await measure()

    runs = {"command": "flux", "device": CARD}
    assert told("veilrun_run_seconds_count", **runs) == 3
    assert told("veilrun_run_seconds_sum", **runs) == 34.5
    assert told("veilrun_run_seconds_bucket", **runs, le="5.0") == 2
    assert told("veilrun_run_seconds_bucket", **runs, le="+Inf") == 3
    loads = {"command": "flux --dev", "device": "gpu-b"}
    assert told("veilrun_load_seconds_sum", **loads) == 40.0
    assert told("veilrun_load_seconds_bucket", **loads, le="30.0") == 0
    assert told("veilrun_load_seconds_bucket", **loads, le="45.0") == 1
    assert told("veilrun_swaps_total", backend="gpu-a") == 1
    assert told("veilrun_warm_runs_total", backend="gpu-a") == 3
    assert told("veilrun_swaps_total", backend="gpu-b") == 1


async def test_a_promise_is_measured_against_the_end(pool: Pool, measure: Measure) -> None:
    async with pool.connection() as connection:
        for late in (-8.0, 3.0, 45.0):
            await promised(connection, await run(connection, 5), late)
        await run(connection, 5)  # nobody was told anything

    await measure()

    assert told("veilrun_eta_error_seconds_sum", command="flux") == pytest.approx(56)
    assert told("veilrun_eta_error_seconds_bucket", command="flux", le="10.0") == 2
    assert told("veilrun_eta_error_seconds_count", command="flux") == 3
    lateness = [told("veilrun_eta_lateness_seconds_bucket", command="flux", le=le) for le in ("-10.0", "0.0", "5.0")]
    assert lateness == [0, 1, 2]


async def test_the_wait_ends_when_the_run_is_seen_to_begin(pool: Pool, measure: Measure) -> None:
    async with pool.connection() as connection:
        job_id = await queue(connection)
        await connection.execute("update jobs set run_at = now() - interval '100 seconds' where id = %s", (job_id,))
        lease = await claim(connection, job_id)
        await timings.began(connection, lease, ago_seconds=10)
        handed_back = await leases.hand_back(connection, lease)
        assert handed_back is not None
    await measure()
    assert told("veilrun_queue_wait_seconds_count", command="flux") is None, "it is not over yet"

    async with pool.connection() as connection:
        again = await claim_placed(connection, job_id, handed_back.fence)
        assert await leases.end(connection, again, "collected")
    await measure()

    assert told("veilrun_queue_wait_seconds_count", command="flux") == 1
    assert told("veilrun_queue_wait_seconds_sum", command="flux") == pytest.approx(90, abs=1)


async def test_each_try_is_counted_once_however_many_processes_are_asked(pool: Pool, measure: Measure) -> None:
    async with pool.connection() as connection:
        for _ in range(12):
            await run(connection, 5, model_set="")

    async def count() -> int:
        async with pool.connection() as connection:
            return await tallies.tally(connection, BOUNDS, at_most=4)

    assert sum(await asyncio.gather(*(count() for _ in range(6)))) == 12
    await measure()
    await measure()

    assert told("veilrun_run_seconds_count", command="flux", device=CARD) == 12


async def test_what_was_counted_outlasts_the_jobs(pool: Pool, measure: Measure) -> None:
    async with pool.connection() as connection:
        await run(connection, 5, model_set="")
    await measure()
    async with pool.connection() as connection:
        await connection.execute("delete from jobs")
    await measure()

    assert told("veilrun_run_seconds_count", command="flux", device=CARD) == 1


async def test_counting_does_not_read_what_was_counted_before(pool: Pool, measure: Measure) -> None:
    async with pool.connection() as connection:
        job_id = await run(connection, 5, model_set="")
        await connection.execute(
            """insert into attempts (job_id, number, fence, command_id, backend, worker, ended_at, is_tallied)
               select job_id, 1 + n, fence, command_id, backend, worker, now(), true
               from attempts, generate_series(1, 20000) as n where job_id = %s""",
            (job_id,),
        )
        await connection.execute("analyze attempts")
        plan = await connection.execute(
            "explain select from attempts where ended_at is not null and not is_tallied order by ended_at limit 1000"
        )
        assert "attempts_untallied" in "\n".join([line async for (line,) in plan])


async def test_open_breakers_are_counted_by_backend(pool: Pool, measure: Measure) -> None:
    async with pool.connection() as connection:
        for bucket in ("flux", "wan"):
            for _ in range(breakers.FAILURES):
                await breakers.failed(connection, Failure("gpu-a", bucket, "OutOfMemory", is_certain=True, others=()))
    await measure()
    assert told("veilrun_open_breakers", backend="gpu-a") == 2

    async with pool.connection() as connection:
        await breakers.reset(connection, "gpu-a")
    await measure()

    assert told("veilrun_open_breakers", backend="gpu-a") is None
