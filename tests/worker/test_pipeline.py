"""One job runs, the next one is ready behind it, the last one's files are on their way: nothing waits for anything."""

import asyncio

from tests.worker.test_execute import keep, picture
from tests.worker.test_limits import behind_another, start
from tests.worker.yard import Yard, eventually

FETCH_SECONDS = 1.0


async def test_pictures_of_the_next_job_are_uploaded_while_this_one_runs(yard: Yard, comfyui):
    comfyui.faults.hold = {"sampler"}
    first = await yard.queue("sd3")
    running = await start(yard, first, 0)
    await comfyui.wait_for(lambda backend: backend.held == {"sampler"})
    second = await yard.queue("qwen", inputs=[await keep(yard, picture())])

    waiting = await start(yard, second, 1)
    await comfyui.wait_for(lambda backend: len(backend.pending) == 1)

    assert comfyui.held == {"sampler"}, "the first one runs still"
    assert "POST /upload/image" in [seen.route for seen in comfyui.requests]
    comfyui.faults.hold = set()
    await asyncio.gather(running, waiting)
    assert [(await yard.job(number)).state for number in (first, second)] == ["collected", "collected"]


async def test_files_are_fetched_while_the_next_job_runs_and_their_slot_is_free_by_then(yard: Yard, comfyui):
    running, first, waiting, second = await behind_another(yard, comfyui)
    comfyui.faults.latency["GET /view"] = FETCH_SECONDS

    comfyui.faults.hold = set()
    await eventually(lambda: is_free(yard, first))

    assert (await yard.job(first)).state == "running", "its files are not here yet"
    await asyncio.gather(running, waiting)
    overlap = "select next.began_at < job.ended_at from jobs job, jobs next where job.id = %s and next.id = %s"
    assert await yard.rows(overlap, first, second) == [(True,)]
    assert [(await yard.job(number)).state for number in (first, second)] == ["collected", "collected"]


async def is_free(yard: Yard, job_id: int) -> bool:
    return not await yard.rows("select from slots where job_id = %s", job_id)
