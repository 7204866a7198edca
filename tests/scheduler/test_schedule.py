"""From the tables to the decision and back: slots, reasons, wake-ups, limits, and callers in a crowd."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from db import backends, jobs, placement, views
from db.jobs import NewJob
from db.pool import Pool, open_pool
from runtime.registry import Registry, load_registry
from runtime.scheduler.schedule import place_jobs
from runtime.scheduler.sync import sync_registry
from tests.conftest import Database

YAML = """\
version: 1
access: {{default: public}}
backends:
  - {{name: gpu-a, url: "http://127.0.0.1:9", vram_gb: 32, labels: [fast], lookahead: {lookahead}{gpu_a}}}
  - {{name: gpu-b, url: "http://127.0.0.1:19", vram_gb: 16, lookahead: {lookahead}}}
plugins:
  flux: {{enabled: true, limits: {flux}}}
  sd3: {{enabled: true, limits: {sd3}}}
"""


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    async with open_pool(database.dsn, "test") as opened:
        yield opened


async def prepared(
    pool: Pool, folder: Path, *, lookahead: int = 0, ready: bool = True, gpu_a: str = "", **limits: Mapping[str, Any]
) -> Registry:
    """gpu-a fits flux and sd3, gpu-b only sd3."""
    path = folder / "registry.yaml"
    shown = {name: str(dict(limits.get(name, {}))) for name in ("flux", "sd3")}
    path.write_text(YAML.format(lookahead=lookahead, gpu_a=gpu_a, **shown), encoding="utf-8")
    registry = load_registry(path)
    await sync_registry(pool, registry)
    if ready:
        async with pool.connection() as connection:
            for name in ("gpu-a", "gpu-b"):
                await views.report(connection, name, health="ready", missing={})
    return registry


async def queue(pool: Pool, command: str = "flux", *, chat_id: int | None = None, **more: Any) -> int:
    async with pool.connection() as connection:
        (command_id,) = await (
            await connection.execute("select id from commands where name = %s", (command,))
        ).fetchone()
        job = NewJob(command_id, command, {"prompt": "x"}, chat_id=chat_id, **{"model_set": command, **more})
        job_id = await jobs.insert(connection, job)
    assert job_id is not None
    return job_id


async def job_of(pool: Pool, job_id: int) -> jobs.Job:
    async with pool.connection() as connection:
        found = await jobs.get(connection, job_id)
    assert found is not None
    return found


async def test_a_waiting_job_gets_a_slot_and_a_wake_up_with_its_fence(pool: Pool, tmp_path: Path):
    registry = await prepared(pool, tmp_path)
    job_id = await queue(pool)

    (wakeup,) = await place_jobs(pool, registry)

    job = await job_of(pool, job_id)
    assert (job.state, job.backend, job.placement) == ("placed", "gpu-a", "gpu-a is free")
    assert (wakeup.job_id, wakeup.fence) == (job.id, job.fence)
    assert await place_jobs(pool, registry) == []


async def test_a_job_that_has_to_wait_is_told_why(pool: Pool, tmp_path: Path):
    registry = await prepared(pool, tmp_path)
    first, second = await queue(pool), await queue(pool)

    await place_jobs(pool, registry)

    assert (await job_of(pool, first)).state == "placed"
    waiting = await job_of(pool, second)
    assert waiting.state == "queued"
    assert waiting.placement == "waiting for gpu-a, which is busy and has its model loaded"


async def test_a_backend_takes_no_job_before_its_first_good_check(pool: Pool, tmp_path: Path):
    registry = await prepared(pool, tmp_path, ready=False)
    job_id = await queue(pool)

    assert await place_jobs(pool, registry) == []
    assert (await job_of(pool, job_id)).placement == "waiting for gpu-a, which has not been checked yet"
    async with pool.connection() as connection:
        await views.report(connection, "gpu-a", health="ready", missing={})

    assert len(await place_jobs(pool, registry)) == 1


async def test_a_crowd_before_one_gpu_does_not_hide_a_job_for_another(pool: Pool, tmp_path: Path):
    registry = await prepared(pool, tmp_path)
    for _ in range(150):
        await queue(pool, "flux")
    small = await queue(pool, "sd3")

    await place_jobs(pool, registry)

    assert (await job_of(pool, small)).backend == "gpu-b"


async def test_a_job_over_its_queue_limit_fails_and_its_chat_is_told(pool: Pool, tmp_path: Path):
    registry = await prepared(pool, tmp_path, flux={"queue_seconds": 30})
    await queue(pool)
    late = await queue(pool, chat_id=7)
    async with pool.connection() as connection:
        await connection.execute("update jobs set run_at = now() - interval '31 seconds' where id = %s", (late,))
        await connection.execute("update jobs set priority = 1 where id <> %s", (late,))

    await place_jobs(pool, registry)

    job = await job_of(pool, late)
    assert (job.state, job.error) == ("failed", "QueueTimeout")
    assert job.error_detail == "No GPU became free within 30 seconds. Please try again later."
    async with pool.connection() as connection:
        rows = await (await connection.execute("select kind, chat_id, job_id from deliveries")).fetchall()
    assert rows == [("failure", 7, late)]


async def test_a_job_that_no_backend_can_run_fails_at_once_and_its_chat_is_told(pool: Pool, tmp_path: Path):
    registry = await prepared(pool, tmp_path)
    async with pool.connection() as connection:
        await views.report(connection, "gpu-a", health="ready", missing={"flux": "ae.safetensors is missing"})
    hopeless = await queue(pool, chat_id=7)

    await place_jobs(pool, registry)

    job = await job_of(pool, hopeless)
    assert (job.state, job.error) == ("failed", "NoBackendFits")
    assert job.error_detail == "gpu-a cannot run it: ae.safetensors is missing"
    async with pool.connection() as connection:
        rows = await (await connection.execute("select kind, chat_id, job_id from deliveries")).fetchall()
    assert rows == [("failure", 7, hopeless)]


async def test_a_slot_of_a_job_that_is_over_is_given_to_the_next(pool: Pool, tmp_path: Path):
    registry = await prepared(pool, tmp_path)
    first, second = await queue(pool), await queue(pool)
    await place_jobs(pool, registry)
    async with pool.connection() as connection:
        await connection.execute("update jobs set state = 'failed' where id = %s", (first,))

    await place_jobs(pool, registry)

    assert (await job_of(pool, second)).state == "placed"


async def test_many_callers_at_once_decide_few_times_and_lose_no_job(pool: Pool, tmp_path: Path):
    registry = await prepared(pool, tmp_path, lookahead=7)
    numbers = [await queue(pool) for _ in range(8)]

    answers = await asyncio.gather(*(place_jobs(pool, registry) for _ in range(50)))

    assert sorted(wakeup.job_id for answer in answers for wakeup in answer) == numbers
    assert [answer for answer in answers if answer] == [answers[0]]


async def test_a_job_committed_while_another_decision_runs_is_seen_by_the_next(pool: Pool, tmp_path: Path):
    registry = await prepared(pool, tmp_path, lookahead=7)

    async def queue_and_place() -> list[int]:
        await queue(pool)
        return [wakeup.job_id for wakeup in await place_jobs(pool, registry)]

    answers = await asyncio.gather(*(queue_and_place() for _ in range(8)))

    assert len({job_id for answer in answers for job_id in answer}) == 8


async def test_schedulers_of_several_processes_never_give_one_slot_twice(database, pool: Pool, tmp_path: Path):
    registry = await prepared(pool, tmp_path, lookahead=3)
    async with open_pool(database.dsn, "second") as second, open_pool(database.dsn, "third") as third:
        for _ in range(12):
            await queue(pool, "sd3")
        answers = await asyncio.gather(
            *(place_jobs(each, registry) for each in (pool, second, third) for _ in range(3))
        )

    placed = [wakeup.job_id for answer in answers for wakeup in answer]
    assert len(placed) == len(set(placed)) == 8
    async with pool.connection() as connection:
        taken = await (await connection.execute("select job_id from slots where job_id is not null")).fetchall()
    assert sorted(job_id for (job_id,) in taken) == sorted(placed)


async def test_a_caller_that_gives_up_waiting_does_not_block_the_next(pool: Pool, tmp_path: Path):
    registry = await prepared(pool, tmp_path)
    async with pool.connection() as connection:
        await connection.execute("select pg_advisory_xact_lock(%s)", (placement.LOCK,))
        running = asyncio.create_task(place_jobs(pool, registry))
        await asyncio.sleep(0)
        waiting = asyncio.create_task(place_jobs(pool, registry))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
    await running
    await queue(pool)

    assert len(await place_jobs(pool, registry)) == 1


async def test_the_tables_follow_the_registry(pool: Pool, tmp_path: Path):
    registry = await prepared(pool, tmp_path, lookahead=2)
    smaller = Registry(
        registry.path, registry.backends[:1], commands={"flux": registry.commands["flux"]}, loaded=registry.loaded
    )

    ids = await sync_registry(pool, smaller)

    async with pool.connection() as connection:
        states = await (await connection.execute("select name, health from backends order by name")).fetchall()
        slots = await (await connection.execute("select backend, count(*) from slots group by backend")).fetchall()
        commands = await (await connection.execute("select name, enabled from commands order by name")).fetchall()
        (graph,) = await (
            await connection.execute("select workflow -> 'dev' -> 'graph' from commands where id = %s", (ids["flux"],))
        ).fetchone()
    assert states == [("gpu-a", "ready"), ("gpu-b", "drained")]
    assert slots == [("gpu-a", 3)]
    assert commands == [("flux", True), ("sd3", False)]
    assert "sampler" in graph


async def test_a_place_that_the_registry_took_away_in_use_is_given_to_no_other_job(pool: Pool, tmp_path: Path):
    registry = await prepared(pool, tmp_path, lookahead=1)
    first, behind = [await queue(pool) for _ in range(2)]
    await place_jobs(pool, registry)
    async with pool.connection() as connection:
        assert await backends.busy_with(connection, "gpu-a") == [first, behind]

    registry = await prepared(pool, tmp_path, lookahead=0)
    async with pool.connection() as connection:
        for job_id in (first, behind):
            await jobs.cancel(connection, job_id)
    following = [await queue(pool) for _ in range(2)]
    await place_jobs(pool, registry)

    async with pool.connection() as connection:
        assert await backends.busy_with(connection, "gpu-a") == following[:1]


async def test_a_gpu_with_a_pinned_command_runs_no_other(pool: Pool, tmp_path: Path):
    registry = await prepared(pool, tmp_path, gpu_a=", pin: [sd3]")
    for command in registry.commands.values():  # as dispatch queues them
        model_set = command.command.affinity.model_set
        await queue(pool, command.command.name, model_set=model_set)

    await place_jobs(pool, registry)

    async with pool.connection() as connection:
        rows = await jobs.newest(connection)
    assert {(row.command, row.state, row.backend) for row in rows} >= {("flux", "failed", None)}
    assert "kept for other commands" in str([row.error_detail for row in rows])
