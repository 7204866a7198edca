"""The three limits of a job, waiting, loading, running, each by itself; what is over one frees the GPU."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from db import placement
from db.jobs import Job
from runtime.api import Limits
from runtime.sandbox.comfyui import SandboxComfyUI
from runtime.worker.attempt import LEAST_QUEUE_SECONDS, limits_left
from runtime.worker.execute import execute
from tests.conftest import Database
from tests.worker.yard import Yard, open_yard, write_registry

LONG = {"queue_seconds": 60.0, "load_seconds": 60.0, "run_seconds": 60.0}
SHORT = 0.3


@pytest.fixture
async def make_yard(
    database: Database, comfyui: SandboxComfyUI, tmp_path: Path
) -> AsyncIterator[Callable[..., Awaitable[Yard]]]:
    """A yard with these limits of flux, the others as they are."""
    async with AsyncExitStack() as stack:

        async def make(**limits: float) -> Yard:
            path = write_registry(tmp_path, [comfyui], flux={**LONG, **limits})
            return await stack.enter_async_context(open_yard(database.dsn, path))

        yield make


async def start(yard: Yard, job_id: int, position: int) -> asyncio.Task[None]:
    """Place the job there and let a worker begin with it."""
    async with yard.pool.connection() as connection:
        fence = await placement.place(connection, job_id, "gpu-1", position, "for a test")
    assert fence is not None
    return asyncio.create_task(execute(yard.workplace, job_id, fence))


async def behind_another(
    yard: Yard, comfyui: SandboxComfyUI
) -> tuple[asyncio.Task[None], int, asyncio.Task[None], int]:
    """A job that runs and takes its time, and a flux behind it in the backend's own queue."""
    comfyui.faults.hold = {"sampler"}
    first, second = await yard.queue("sd3"), await yard.queue("flux")
    running = await start(yard, first, 0)
    await comfyui.wait_for(lambda backend: backend.held == {"sampler"})
    waiting = await start(yard, second, 1)
    await comfyui.wait_for(lambda backend: len(backend.pending) == 1)
    return running, first, waiting, second


async def slots(yard: Yard) -> list[tuple[Any, ...]]:
    return await yard.rows("select job_id from slots where job_id is not null")


def said(job: Job) -> tuple[str, str | None]:
    return job.state, job.error


async def test_what_waits_behind_another_job_neither_loads_nor_runs(make_yard, comfyui: SandboxComfyUI):
    yard = await make_yard(load_seconds=SHORT, run_seconds=SHORT)
    running, first, waiting, second = await behind_another(yard, comfyui)

    done, _ = await asyncio.wait({waiting}, timeout=4 * SHORT)

    assert not done, (await yard.job(second)).error
    comfyui.faults.hold = set()
    await asyncio.gather(running, waiting)
    assert [(await yard.job(number)).state for number in (first, second)] == ["collected", "collected"]


async def test_who_waits_too_long_behind_another_leaves_its_queue_and_the_other_is_not_disturbed(make_yard, comfyui):
    yard = await make_yard(queue_seconds=SHORT)
    running, first, waiting, second = await behind_another(yard, comfyui)

    await waiting

    assert said(await yard.job(second)) == ("failed", "QueueTimeout")
    assert comfyui.pending == []
    assert await slots(yard) == [(first,)]
    comfyui.faults.hold = set()
    await running
    assert (await yard.job(first)).state == "collected"
    assert comfyui.posts.total() == 2


async def test_a_load_over_its_limit_is_stopped_and_tried_again_later(make_yard, comfyui):
    yard = await make_yard(load_seconds=SHORT)
    comfyui.faults.hold = {"model"}
    job_id = await yard.queue("flux")

    await (await start(yard, job_id, 0))

    assert said(await yard.job(job_id)) == ("queued", "LoadTimeout")
    assert comfyui.running is None
    assert await slots(yard) == []


async def test_a_run_over_its_limit_is_stopped_and_not_tried_again(make_yard, comfyui):
    yard = await make_yard(run_seconds=SHORT)
    comfyui.faults.hold = {"decode"}
    job_id = await yard.queue("flux")

    await (await start(yard, job_id, 0))

    job = await yard.job(job_id)
    assert said(job) == ("failed", "RunTimeout")
    assert job.attempt == 1
    assert comfyui.running is None
    assert await slots(yard) == []


async def test_a_long_load_takes_nothing_from_the_run(make_yard, comfyui):
    yard = await make_yard(run_seconds=SHORT)
    comfyui.faults.hold = {"model"}
    job_id = await yard.queue("flux")
    working = await start(yard, job_id, 0)
    await comfyui.wait_for(lambda backend: backend.held == {"model"})

    done, _ = await asyncio.wait({working}, timeout=3 * SHORT)

    assert not done
    comfyui.faults.hold = set()
    await working
    assert (await yard.job(job_id)).state == "collected"


async def test_the_next_job_has_the_gpu_when_one_has_hit_its_limit(make_yard, comfyui):
    yard = await make_yard(run_seconds=SHORT)
    comfyui.faults.hold = {"decode"}
    stuck, next_one = await yard.queue("flux"), await yard.queue("sd3")
    working = await start(yard, stuck, 0)
    await comfyui.wait_for(lambda backend: backend.held == {"decode"})
    after = await start(yard, next_one, 1)
    await working
    comfyui.faults.hold = set()

    await after

    assert (await yard.job(next_one)).state == "collected"


@pytest.mark.parametrize(
    ("limit", "waited", "left"),
    [
        (3600, 0, 3600),
        (3600, 600, 3000),
        (3600, 3595, LEAST_QUEUE_SECONDS),
        (3600, 9000, LEAST_QUEUE_SECONDS),
        (30, 29, 30),
        (3600, -5, 3600),
    ],
)
def test_what_a_job_waited_for_its_place_it_may_not_wait_behind_another_again(limit, waited, left):
    limits = limits_left(Limits(queue_seconds=limit, run_seconds=7), waited_seconds=waited)

    assert (limits.queue_seconds, limits.run_seconds) == (left, 7)
