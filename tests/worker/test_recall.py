"""Jobs asked back from their place behind another: those that wait go back, those that have begun are left alone."""

import asyncio

import pytest

from db import backends, jobs, leases, placement, recalls
from db.jobs import Job
from db.leases import Wakeup
from runtime.worker.execute import execute
from tests.worker.test_limits import behind_another, start
from tests.worker.yard import Yard, eventually


async def ask(yard: Yard, *numbers: int) -> list[int]:
    """Ask them back, while nothing new is placed, so that they stay where they come."""
    await yard.execute_sql("update backends set drained_at = now()")
    async with yard.pool.connection() as connection:
        return await recalls.ask(connection, numbers)


ROW = """
    select state, attempt, max_attempts - attempt, recalls, recall_requested, prompt_id is null, began_at is null,
        is_due, backend is null
    from jobs where id = %s
"""
BACK = ("queued", 1, 3, 1, False, True, True, True, True)


async def run_again(yard: Yard, job_id: int) -> Job:
    await yard.execute_sql("update backends set drained_at = null")
    return await yard.run(job_id)


async def row(yard: Yard, job_id: int) -> tuple[object, ...]:
    (found,) = await yard.rows(ROW, job_id)
    return found


async def slots(yard: Yard) -> list[int]:
    return [number for (number,) in await yard.rows("select job_id from slots where job_id is not null")]


async def test_a_job_that_waits_leaves_the_backends_queue_and_has_its_old_place_in_ours(yard: Yard, comfyui):
    running, first, waiting, second = await behind_another(yard, comfyui)
    (before,) = await yard.rows("select rank_at, run_at from jobs where id = %s", second)

    assert await ask(yard, second) == []
    async with asyncio.timeout(2.0):
        await waiting

    assert await row(yard, second) == BACK
    assert await yard.rows("select rank_at, run_at from jobs where id = %s", second) == [before]
    assert (comfyui.pending, await slots(yard)) == ([], [first])
    comfyui.faults.hold = set()
    await running
    assert (await yard.job(first)).state == "collected"
    assert not [seen for seen in comfyui.requests if seen.path == "/interrupt"]


async def test_it_is_placed_again_and_posted_under_another_id(yard: Yard, comfyui):
    running, _, waiting, second = await behind_another(yard, comfyui)
    withdrawn = (await yard.job(second)).prompt_id
    await ask(yard, second)
    await waiting
    comfyui.faults.hold = set()
    await running

    job = await run_again(yard, second)

    assert (job.state, job.attempt) == ("collected", 2)
    assert job.prompt_id != withdrawn
    assert (comfyui.posts[withdrawn or ""], comfyui.posts[job.prompt_id or ""]) == (1, 1)
    assert await yard.rows("select number, outcome from attempts where job_id = %s order by 1", second) == [
        (1, "recalled"),
        (2, "collected"),
    ]


async def test_the_weights_of_a_job_that_went_back_do_not_count_as_loaded(yard: Yard, comfyui):
    running, first, waiting, second = await behind_another(yard, comfyui)
    model_sets = [(await yard.job(number)).model_set for number in (first, second)]
    assert model_sets[0] != model_sets[1]

    await ask(yard, second)
    await waiting
    comfyui.faults.hold = set()
    await running

    assert await yard.rows("select warm_model_set from backends") == [(model_sets[0],)]


async def test_a_job_that_has_begun_is_not_disturbed(yard: Yard, comfyui):
    comfyui.faults.hold = {"sampler"}
    job_id = await yard.queue("flux")
    working = await start(yard, job_id, 0)
    await comfyui.wait_for(lambda backend: backend.held == {"sampler"})
    await yard.execute_sql("update jobs set began_at = null")

    await ask(yard, job_id)
    await eventually(lambda: is_answered(yard, job_id))

    assert (await yard.rows("select began_at is null from jobs"), comfyui.running is None) == ([(False,)], False)
    assert await ask(yard, job_id) == []
    assert await is_answered(yard, job_id), "who has begun is not asked again"
    comfyui.faults.hold = set()
    await working
    assert (await yard.job(job_id)).state == "collected"
    assert comfyui.posts.total() == 1


async def is_answered(yard: Yard, job_id: int) -> bool:
    return await yard.rows("select recall_requested from jobs where id = %s", job_id) == [(False,)]


@pytest.mark.parametrize("round_", range(6))
async def test_when_it_begins_in_that_moment_it_runs_or_goes_back_and_nothing_in_between(
    yard: Yard, comfyui, round_: int
):
    running, first, waiting, second = await behind_another(yard, comfyui)
    asking = asyncio.create_task(ask(yard, second))
    await asyncio.sleep(0.003 * round_)
    comfyui.faults.hold = set()

    await asyncio.gather(asking, running, waiting)

    await yard.workplace.settled()
    assert (await yard.job(first)).state == "collected"
    state, _, left, count, is_asked, *_ = await row(yard, second)
    assert (state, count, left, is_asked) in [("collected", 0, 2, False), ("queued", 1, 3, False)]
    if state == "queued":
        assert (await run_again(yard, second)).state == "collected"
    assert await slots(yard) == []
    assert max(comfyui.posts.values()) == 1
    assert (comfyui.pending, comfyui.running) == ([], None)
    assert not [seen for seen in comfyui.requests if seen.path == "/interrupt"]


async def test_recalled_and_cancelled_at_once_it_is_cancelled(yard: Yard, comfyui):
    running, _, waiting, second = await behind_another(yard, comfyui)

    async with yard.pool.connection() as connection:
        await recalls.ask(connection, [second])
        await jobs.cancel(connection, second)
    await waiting

    assert (await row(yard, second))[0] == "cancelled"
    assert comfyui.pending == []
    comfyui.faults.hold = set()
    await running


async def test_recalled_when_the_cancellation_is_in_the_tables_only_it_is_cancelled(yard: Yard, comfyui):
    running, _, waiting, second = await behind_another(yard, comfyui)
    await yard.execute_sql("update jobs set cancel_requested = true where id = %s", second)

    await yard.execute_sql(
        """select pg_notify('veilrun_jobs', jsonb_build_object('job', %s::bigint, 'kind', 'recall_requested')::text)""",
        second,
    )
    await waiting

    assert (await row(yard, second))[0] == "cancelled"
    comfyui.faults.hold = set()
    await running


async def test_a_job_that_no_worker_has_claimed_is_back_at_once(yard: Yard, comfyui):
    running, _, _, _ = await behind_another(yard, comfyui)
    third = await yard.queue("flux")
    await yard.execute_sql("insert into slots (backend, position) values ('gpu-1', 2)")
    async with yard.pool.connection() as connection:
        fence = await placement.place(connection, third, "gpu-1", 2, "for a test")
    assert fence is not None

    assert await ask(yard, third) == [third]

    assert await row(yard, third) == ("queued", 0, 3, 1, False, True, True, True, True)
    assert third not in await slots(yard)
    await execute(yard.workplace, third, fence)
    assert (await yard.job(third)).state == "queued", "its wake-up comes too late"
    comfyui.faults.hold = set()
    await running
    await yard.workplace.settled()


async def test_a_job_whose_files_are_fetched_or_here_is_not_asked(yard: Yard, comfyui):
    job = await yard.run(await yard.queue("flux"))
    held = await yard.queue("sd3")
    comfyui.faults.hold = {"sampler"}
    working = await start(yard, held, 0)
    await comfyui.wait_for(lambda backend: backend.held == {"sampler"})
    await yard.execute_sql("update slots set job_id = null")

    assert await ask(yard, job.id, held) == []

    assert await yard.rows("select id from jobs where recall_requested") == []
    comfyui.faults.hold = set()
    await working


async def test_asked_back_just_before_its_end_it_is_over_and_nothing_is_asked_any_more(yard: Yard):
    job_id = await yard.queue("flux")
    (wakeup,) = await yard.place()
    async with yard.pool.connection() as connection:
        claimed = await leases.claim(
            connection, Wakeup(job_id, wakeup.fence), owner="me", seconds=60, prompt_id="p", versions={}
        )
        assert claimed is not None
        await recalls.ask(connection, [job_id])
        assert await leases.end(connection, claimed[1], "collected")

    assert await row(yard, job_id) == ("collected", 1, 2, 0, False, False, True, True, False)


async def lose_worker(yard: Yard, waiting: "asyncio.Task[None]", job_id: int) -> int:
    """As if its worker had been killed: nothing is written, and the lease ends. The fence of the next wake-up."""
    waiting.cancel()
    await asyncio.wait({waiting})
    await yard.execute_sql("update jobs set lease_until = now() - interval '1 second' where id = %s", job_id)
    async with yard.pool.connection() as connection:
        await leases.reap(connection)
    return (await yard.job(job_id)).fence


async def test_when_its_worker_dies_the_next_one_takes_it_back(yard: Yard, comfyui):
    running, _, waiting, second = await behind_another(yard, comfyui)
    await yard.execute_sql("update backends set drained_at = now()")
    await yard.execute_sql("update jobs set recall_requested = true where id = %s", second)
    fence = await lose_worker(yard, waiting, second)

    await execute(yard.workplace, second, fence)

    assert (await row(yard, second))[0] == "queued"
    assert (comfyui.pending, comfyui.posts.total()) == ([], 2)
    comfyui.faults.hold = set()
    await running


async def test_when_its_worker_dies_after_the_prompt_was_withdrawn_that_is_not_posted_again(yard: Yard, comfyui):
    running, _, waiting, second = await behind_another(yard, comfyui)
    await yard.execute_sql("update backends set drained_at = now()")
    await yard.execute_sql("update jobs set recall_requested = true where id = %s", second)
    fence = await lose_worker(yard, waiting, second)
    await yard.workplace.fleet["gpu-1"].client.delete_pending([(await yard.job(second)).prompt_id or ""])

    await execute(yard.workplace, second, fence)

    assert (await row(yard, second))[0] == "queued"
    assert comfyui.posts.total() == 2
    comfyui.faults.hold = set()
    await running


async def test_when_its_worker_dies_and_it_has_begun_meanwhile_the_next_one_carries_on(yard: Yard, comfyui):
    running, _, waiting, second = await behind_another(yard, comfyui)
    await yard.execute_sql("update backends set drained_at = now()")
    await yard.execute_sql("update jobs set recall_requested = true where id = %s", second)
    fence = await lose_worker(yard, waiting, second)
    comfyui.faults.hold = set()
    await running

    await execute(yard.workplace, second, fence)

    assert (await row(yard, second))[0] == "collected"
    assert comfyui.posts.total() == 2


async def test_while_nobody_knows_whether_it_has_begun_it_stays_as_it_was(yard: Yard, comfyui):
    running, first, waiting, second = await behind_another(yard, comfyui)
    comfyui.faults.answers = {"POST /queue": [500]}

    await ask(yard, second)
    await eventually(lambda: is_answered(yard, second))

    assert ((await yard.job(second)).state, len(comfyui.pending)) == ("running", 1)
    comfyui.faults.hold = set()
    await asyncio.gather(running, waiting)
    assert [(await yard.job(number)).state for number in (first, second)] == ["collected", "collected"]


async def test_a_drained_backend_gives_back_what_waits_and_another_runs_it(wide_yard: Yard, comfyui, other):
    running, first, waiting, second = await behind_another(wide_yard, comfyui)

    async with wide_yard.pool.connection() as connection:
        assert await backends.drain(connection, "gpu-1", "new driver") == [second]
    await waiting
    job = await wide_yard.run(second)

    assert (job.state, job.backend, other.posts.total()) == ("collected", "gpu-2", 1)
    assert (await wide_yard.job(first)).state == "running"
    comfyui.faults.hold = set()
    await running


async def test_the_scheduler_asks_a_late_one_back_when_somebody_waits_who_ranks_long_before(yard: Yard, comfyui):
    running, first, waiting, second = await behind_another(yard, comfyui)
    await yard.execute_sql("update jobs set began_at = now(), run_at = now() where id = %s", first)
    await yard.execute_sql("update jobs set rank_at = now() + interval '1 hour' where id = %s", second)
    third = await yard.queue("flux")

    await yard.place()
    await waiting
    await yard.workplace.settled()

    assert (await row(yard, second))[0] == "queued"
    assert (await yard.job(third)).state == "placed"
    comfyui.faults.hold = set()
    await running
