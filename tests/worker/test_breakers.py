"""Commands that fail on one backend again and again, with real ones: the others take them over."""

from db import breakers
from db.breakers import Breaker
from runtime.worker.execute import execute
from tests.worker.yard import Yard


async def not_closed(yard: Yard) -> list[Breaker]:
    async with yard.pool.connection() as connection:
        return await breakers.not_closed(connection)


async def run_on(yard: Yard, backend: str, command: str = "flux", **arguments: object) -> str:
    """The end of one job that finds no other backend than that one."""
    others = "update backends set health = %s where name <> %s"
    job_id = await yard.queue(command, **arguments)
    await yard.execute_sql(others, "away", backend)
    await yard.place()
    await yard.execute_sql(others, "ready", backend)
    placed = await yard.job(job_id)
    assert placed.backend == backend, placed.placement
    await execute(yard.workplace, job_id, placed.fence)
    await yard.workplace.settled()
    return (await yard.job(job_id)).state


async def test_after_three_failures_on_one_backend_the_next_jobs_run_on_the_other(wide_yard: Yard, comfyui):
    comfyui.faults.fail = {"sampler": "a broken custom node"}
    assert [await run_on(wide_yard, "gpu-1") for _ in range(3)] == ["failed"] * 3

    assert [breaker.backend for breaker in await not_closed(wide_yard)] == ["gpu-1"]
    done = [await wide_yard.run(await wide_yard.queue()) for _ in range(2)]
    assert [(job.state, job.backend) for job in done] == [("collected", "gpu-2")] * 2
    assert await run_on(wide_yard, "gpu-1", "sd3") == "failed", "other commands are none of its business"


async def test_a_probe_that_works_closes_it_and_one_that_fails_opens_it_again(wide_yard: Yard, comfyui):
    comfyui.faults.fail = {"sampler": "a broken custom node"}
    for _ in range(3):
        await run_on(wide_yard, "gpu-1")
    await wide_yard.execute_sql("update breakers set retry_at = now()")
    await run_on(wide_yard, "gpu-1")
    (opened,) = await not_closed(wide_yard)
    assert (opened.failures, opened.is_probing) == (4, False)

    comfyui.faults.fail = {}
    await wide_yard.execute_sql("update breakers set retry_at = now()")

    assert await run_on(wide_yard, "gpu-1") == "collected"
    assert await not_closed(wide_yard) == []


async def test_a_command_that_fails_everywhere_goes_on_failing_at_once(wide_yard: Yard, comfyui, other):
    comfyui.faults.fail = other.faults.fail = {"sampler": "the graph is no good"}
    for backend in ("gpu-1", "gpu-2") * 4:
        assert await run_on(wide_yard, backend) == "failed"

    assert await not_closed(wide_yard) == []


async def test_a_single_backend_that_fails_a_command_tells_its_users_so_each_time(yard: Yard, comfyui):
    comfyui.faults.fail = {"sampler": "a broken picture"}
    states = [(await yard.run(await yard.queue())).state for _ in range(5)]

    assert states == ["failed"] * 5


async def test_files_that_are_gone_each_time_keep_the_command_away_even_from_the_only_backend(yard: Yard, comfyui):
    comfyui.faults.answers = {"GET /view": [404] * 40}
    job_id = await yard.queue(max_attempts=9)
    for _ in range(3):
        await yard.execute_sql("update jobs set run_at = now(), is_due = true")
        job = await yard.run(job_id)
    assert (job.state, job.error) == ("queued", "OutputMissing")
    await yard.execute_sql("update jobs set run_at = now(), is_due = true")

    assert await yard.place() == []

    waiting = await yard.job(job_id)
    assert waiting.placement is not None
    assert "gpu-1: flux failed there 3 times in a row (OutputMissing)" in waiting.placement
