"""Cancelling what a backend has: the one that is meant, wherever it is there, and no other."""

import asyncio

import pytest

from db import jobs
from runtime.sandbox.comfyui import SandboxComfyUI
from tests.worker.test_limits import behind_another, start
from tests.worker.yard import Yard


async def cancel(yard: Yard, job_id: int) -> str | None:
    async with yard.pool.connection() as connection:
        return await jobs.cancel(connection, job_id)


async def states(yard: Yard) -> list[str]:
    return [state for (state,) in await yard.rows("select state from jobs order by id")]


async def test_a_job_behind_another_leaves_the_backends_queue_and_the_other_goes_on(
    yard: Yard, comfyui: SandboxComfyUI
):
    running, first, waiting, second = await behind_another(yard, comfyui)
    before = comfyui.running

    assert await cancel(yard, second) == "running"
    await waiting

    assert (await states(yard), comfyui.pending, comfyui.running) == (["running", "cancelled"], [], before)
    assert await yard.rows("select job_id from slots where job_id is not null") == [(first,)]
    comfyui.faults.hold = set()
    await running
    assert await states(yard) == ["collected", "cancelled"]


async def test_when_the_one_that_runs_is_cancelled_the_one_behind_it_goes_on(yard: Yard, comfyui: SandboxComfyUI):
    running, first, waiting, second = await behind_another(yard, comfyui)

    assert await cancel(yard, first) == "running"
    await running
    comfyui.faults.hold = set()
    await waiting

    assert await states(yard) == ["cancelled", "collected"]
    assert (await yard.job(second)).attempt == 1, "nobody interrupted it"


async def test_both_at_once(yard: Yard, comfyui: SandboxComfyUI):
    running, first, waiting, second = await behind_another(yard, comfyui)

    await asyncio.gather(cancel(yard, first), cancel(yard, second))
    await asyncio.gather(running, waiting)

    assert (await states(yard), comfyui.pending, comfyui.running) == (["cancelled", "cancelled"], [], None)


@pytest.mark.parametrize("node", ["model", "sampler", "decode"])
async def test_in_every_part_of_a_run_the_gpu_is_free_afterwards(yard: Yard, comfyui: SandboxComfyUI, node: str):
    comfyui.faults.hold = {node}
    job_id = await yard.queue("flux")
    working = await start(yard, job_id, 0)
    await comfyui.wait_for(lambda backend: backend.held == {node})

    await cancel(yard, job_id)
    await working

    assert (await states(yard), comfyui.running) == (["cancelled"], None)
    assert await yard.rows("select job_id from slots where job_id is not null") == []


async def test_a_job_whose_result_is_written_stays_as_it_is(yard: Yard):
    job = await yard.run(await yard.queue("flux", chat_id=7, user_id=8))

    assert await cancel(yard, job.id) is None
    assert (await yard.job(job.id)).state == "collected"
    assert len(yard.delivered) == 1
