"""What workers tell of the runs that they see: begun, warm or cold, how long; and of which they tell nothing."""

import asyncio
from pathlib import Path

from runtime.sandbox.comfyui import Pace, SandboxComfyUI
from runtime.scheduler.schedule import place_jobs
from runtime.worker.execute import execute
from tests.conftest import Database
from tests.worker.test_execute import keep, picture
from tests.worker.yard import Yard, eventually, open_yard, write_registry


async def tries(yard: Yard) -> list[tuple[object, ...]]:
    return await yard.rows("select was_warm from attempts order by job_id")


async def learned(yard: Yard) -> list[tuple[object, ...]]:
    return await yard.rows("select bucket, device, size_class, runs from run_times where runs > 0")


async def test_a_second_run_is_warm_and_counts(yard: Yard):
    for seed in (1, 2, 3):
        assert (await yard.run(await yard.queue("flux", seed=seed))).state == "collected"

    assert await tries(yard) == [(False,), (True,), (True,)]
    assert await learned(yard) == [("flux", "sandbox", "0.016x", 2)]
    assert await yard.rows("select warm_model_set, warm_since is null from backends") == [("flux-schnell", False)]


async def test_other_weights_make_it_cold_again_and_tell_what_a_load_is(yard: Yard):
    for command in ("flux", "flux", "sd3", "flux"):
        await yard.run(await yard.queue(command))

    assert await tries(yard) == [(False,), (True,), (False,), (False,)]
    assert ("flux-schnell", "sandbox") in await yard.rows("select model_set, device from load_times")


async def test_an_answer_from_the_cache_tells_nothing(yard: Yard, comfyui):
    for _ in range(3):
        assert (await yard.run(await yard.queue("flux", seed=5))).state == "collected"

    assert await learned(yard) == []


async def test_a_run_is_known_to_have_begun_while_it_runs(yard: Yard, comfyui):
    comfyui.faults.hold = {"sampler"}
    job_id = await yard.queue("flux")
    await place_jobs(yard.pool, yard.registry)
    working = asyncio.create_task(execute(yard.workplace, job_id, (await yard.job(job_id)).fence))

    async def has_begun() -> bool:
        return await yard.rows("select began_at is not null from jobs") == [(True,)]

    await eventually(has_begun)

    assert await yard.rows("select warm_model_set from backends") == [("flux-schnell",)]
    comfyui.faults.hold = set()
    await working


async def test_when_memory_ran_out_nothing_is_loaded_any_more(yard: Yard, comfyui):
    await yard.run(await yard.queue("flux"))
    comfyui.faults.out_of_memory = {"sampler"}
    job_id = await yard.queue("flux", max_attempts=1)
    assert (await yard.run(job_id)).state in ("failed", "dead")

    assert await yard.rows("select warm_model_set from backends") == [(None,)]


async def test_further_pictures_of_an_album_count_though_the_job_was_queued_without_them(yard: Yard):
    one, *more = [await keep(yard, picture(colour)) for colour in ("red", "green", "blue")]
    await yard.run(await yard.queue("qwen", inputs=[one]))
    await yard.run(await yard.queue("qwen", inputs=[one], prompt="again"))
    await yard.run(await yard.queue("qwen", inputs=[one, *more], prompt="three"))

    assert sorted(size for _, _, size, _ in await learned(yard)) == ["1x", "2x"]


async def test_a_first_run_is_expected_to_end_by_the_pace_of_its_steps(database: Database, tmp_path: Path):
    pace = Pace(load_seconds=0.1, step_seconds=0.5, class_seconds={})
    async with (
        SandboxComfyUI(pace=pace) as slow,
        open_yard(database.dsn, write_registry(tmp_path, [slow])) as yard,
    ):
        job_id = await yard.queue("flux", steps=8)
        await place_jobs(yard.pool, yard.registry)
        working = asyncio.create_task(execute(yard.workplace, job_id, (await yard.job(job_id)).fence))

        running = await yard.until(job_id, lambda job: job.expected_at is not None)

        assert running.state == "running"
        await working
        ended = await yard.job(job_id)
        assert ended.ended_at is not None
        assert running.expected_at is not None
        assert abs((ended.ended_at - running.expected_at).total_seconds()) < 2.5, "of four seconds of steps"
