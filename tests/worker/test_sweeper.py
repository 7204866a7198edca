"""What stands still is found and set going."""

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from db import deliveries, jobs, leases, placement
from db.pool import AWAY, open_pool
from runtime.api import Invocation, Outcome, hookimpl
from runtime.worker.broker import DELIVER, EXECUTE
from runtime.worker.execute import execute
from runtime.worker.presence import missing, present
from runtime.worker.sweeper import Sweeper
from tests.worker.test_execute import with_hooks
from tests.worker.yard import Yard, eventually


@pytest.fixture
def sweeper(yard: Yard) -> Sweeper:
    shop = yard.workplace
    return Sweeper(
        yard.pool,
        shop.live,
        shop.waker,
        seconds=0.1,
        retention_hours=24,
        workers_dir=workers_of(yard),
        stale_seconds=5,
    )


def workers_of(yard: Yard) -> Path:
    """Where the worker processes that the yard starts say that they live."""
    return yard.path.parent / "workers"


async def owe(yard: Yard, kind: deliveries.Kind, job_id: int | None = None, *, is_woken: bool = True) -> int:
    async with yard.pool.connection() as connection:
        delivery = await deliveries.owe(connection, 7, kind, {"text": "hello"}, job_id, is_woken=is_woken)
    assert delivery is not None
    return delivery


async def run(yard: Yard, max_attempts: int = 3, *, losses: int = 0) -> int:
    """A job that a worker runs which is not there any more, after it has lost others."""
    job_id = await yard.queue("flux", chat_id=7, user_id=8, max_attempts=max_attempts)
    (wakeup,) = await yard.place()
    for lost in range(losses + 1):
        async with yard.pool.connection() as connection:
            if lost:
                await leases.reap(connection)
                (wakeup,) = await leases.due_wakeups(connection, 60)
            await leases.claim(connection, wakeup, owner="gone", seconds=0, prompt_id="p-1", versions={})
    return job_id


async def test_a_job_of_a_lost_worker_is_woken_again_on_its_backend_with_its_prompt(yard: Yard, sweeper: Sweeper):
    job_id = await run(yard)

    await sweeper.sweep()

    job = await yard.job(job_id)
    assert (job.state, job.backend, job.prompt_id) == ("placed", "gpu-1", "p-1")
    assert yard.sent(EXECUTE) == [{"job_id": job_id, "fence": job.fence}]
    assert await yard.rows("select outcome, error from attempts") == [("lost", "WorkerLost")]


async def test_a_job_of_a_process_of_this_machine_that_was_killed_is_not_left_to_its_lease(
    yard: Yard, sweeper: Sweeper
):
    held, gone = await yard.queue("flux"), await yard.queue("flux")
    workers = workers_of(yard)
    workers.mkdir()
    (workers / "killed").touch()
    with present(workers, "alive"):
        wakeups = await yard.place()
        async with yard.pool.connection() as connection:
            for wakeup in wakeups:
                owner = "killed" if wakeup.job_id == gone else "alive"
                await leases.claim(connection, wakeup, owner=owner, seconds=600, prompt_id="p-1", versions={})

        await sweeper.sweep()

        assert (await yard.job(gone)).state == "placed"
        assert (await yard.job(held)).state == "running"
        assert [file.name for file in workers.iterdir()] == ["alive"]


async def test_the_file_of_a_killed_process_stays_until_its_jobs_are_taken_back(yard: Yard):
    workers = workers_of(yard)
    workers.mkdir()
    (workers / "killed").touch()
    async with open_pool("postgresql://nobody@127.0.0.1:9/nothing", "away") as away:
        away.timeout = 0.05
        shop = yard.workplace
        sweeper = Sweeper(away, shop.live, shop.waker, seconds=0.1, retention_hours=24, workers_dir=workers)

        with pytest.raises(AWAY):
            await sweeper.sweep()

    assert missing(workers) == ["killed"]


async def test_a_scheduler_that_froze_amid_a_decision_holds_up_the_others_for_seconds_only(
    yard: Yard, sweeper: Sweeper
):
    job_id = await yard.queue("flux")

    async def is_placed() -> bool:
        await sweeper.sweep()
        return (await yard.job(job_id)).state == "placed"

    async def decide_too_late() -> None:
        async with open_pool(yard.dsn, "frozen") as pool, pool.connection() as connection, connection.pipeline():
            await placement.snapshot(connection, 64)
            await eventually(is_placed, 30)
            await placement.place(connection, job_id, "gpu-1", 1, "too late")

    with pytest.raises(AWAY):
        await decide_too_late()

    assert await yard.rows("select job_id from slots where job_id is not null") == [(job_id,)]


async def test_a_lost_worker_costs_a_job_no_try_the_first_times(yard: Yard, sweeper: Sweeper):
    job_id = await run(yard, max_attempts=1, losses=leases.FREE_LOSSES - 1)

    await sweeper.sweep()

    job = await yard.job(job_id)
    assert (job.state, job.attempt, job.max_attempts) == ("placed", leases.FREE_LOSSES, leases.FREE_LOSSES + 1)


async def test_a_job_of_a_lost_worker_without_tries_left_is_dead_and_its_chat_is_told(yard: Yard, sweeper: Sweeper):
    job_id = await run(yard, max_attempts=1, losses=leases.FREE_LOSSES)

    await sweeper.sweep()

    job = await yard.job(job_id)
    assert (job.state, job.error) == ("dead", "WorkerLost")
    ((delivery,),) = await yard.rows("select id from deliveries where kind = 'failure'")
    assert yard.sent(DELIVER) == [{"delivery_id": delivery}]
    assert await yard.rows("select job_id from slots where job_id is not null") == []


async def test_a_cancelled_job_of_a_lost_worker_goes_to_the_next_one_to_be_stopped(yard: Yard, sweeper: Sweeper):
    job_id = await run(yard)
    await yard.execute_sql("update jobs set cancel_requested = true")

    await sweeper.sweep()
    placed = await yard.job(job_id)
    await execute(yard.workplace, job_id, placed.fence)

    assert (placed.state, (await yard.job(job_id)).state) == ("placed", "cancelled")


async def test_a_cancelled_job_of_a_lost_worker_without_tries_left_is_just_cancelled(yard: Yard, sweeper: Sweeper):
    job_id = await run(yard, max_attempts=1, losses=leases.FREE_LOSSES)
    await yard.execute_sql("update jobs set cancel_requested = true")

    await sweeper.sweep()

    assert (await yard.job(job_id)).state == "cancelled"
    assert await yard.rows("select * from deliveries") == []


async def test_a_waiting_job_is_placed_and_woken(yard: Yard, sweeper: Sweeper):
    job_id = await yard.queue("flux")

    await sweeper.sweep()

    job = await yard.job(job_id)
    assert yard.sent(EXECUTE) == [{"job_id": job_id, "fence": job.fence}]


async def test_a_wake_up_is_repeated_only_when_it_seems_lost(yard: Yard, sweeper: Sweeper):
    job_id = await yard.queue("flux")
    (wakeup,) = await yard.place()

    await sweeper.sweep()
    assert yard.sent(EXECUTE) == []
    await yard.execute_sql("update jobs set woken_at = now() - interval '6 seconds'")
    await sweeper.sweep()
    await sweeper.sweep()

    assert yard.sent(EXECUTE) == [{"job_id": job_id, "fence": wakeup.fence}]


async def test_messages_nobody_was_told_of_are_woken_and_those_in_hand_are_left(yard: Yard, sweeper: Sweeper):
    forgotten = await owe(yard, "notice", is_woken=False)
    await owe(yard, "notice")

    await sweeper.sweep()

    assert yard.sent(DELIVER) == [{"delivery_id": forgotten}]


async def test_a_result_whose_sender_died_is_flagged_and_its_chat_asked(yard: Yard, sweeper: Sweeper):
    job_id = await yard.queue("flux", chat_id=7, user_id=8)
    lost = await owe(yard, "result", job_id)
    async with yard.pool.connection() as connection:
        await deliveries.claim(connection, lost, seconds=0)

    await sweeper.sweep()

    assert await yard.rows("select state, error from deliveries where id = %s", lost) == [("unknown", "SenderLost")]
    ((question,),) = await yard.rows("select id from deliveries where kind = 'notice' and job_id = %s", job_id)
    assert yard.sent(DELIVER) == [{"delivery_id": question}]


async def test_what_has_expired_is_deleted(yard: Yard, sweeper: Sweeper):
    over = await yard.run(await yard.queue("flux"))
    await yard.execute_sql("update jobs set ended_at = now() - interval '25 hours'")
    await yard.execute_sql("update artifacts set created_at = now() - interval '25 hours'")
    waiting = await yard.queue("flux")

    await sweeper.forget()

    assert await yard.rows("select id from jobs") == [(waiting,)]
    assert await yard.rows("select job_id from artifacts where job_id = %s", over.id) == []
    assert await yard.rows("select * from blobs") == []


async def test_it_goes_on_sweeping_after_the_database_was_away(yard: Yard):
    async with open_pool("postgresql://nobody@127.0.0.1:9/nothing", "away") as away:
        away.timeout = 0.05
        shop = yard.workplace
        sweeper = Sweeper(away, shop.live, shop.waker, seconds=0.05, retention_hours=24, workers_dir=workers_of(yard))
        with capture_logs() as logs:
            sweeping = asyncio.create_task(sweeper.run())

            async def failed_twice() -> bool:
                return [entry["event"] for entry in logs].count("sweep failed, next one soon") >= 2

            await eventually(failed_twice)
            sweeping.cancel()
            await asyncio.wait({sweeping})


async def test_two_sweepers_at_once_do_not_wake_twice(yard: Yard, sweeper: Sweeper):
    job_id = await run(yard)

    await asyncio.gather(*(sweeper.sweep() for _ in range(4)))

    job = await yard.job(job_id)
    assert yard.sent(EXECUTE) == [{"job_id": job_id, "fence": job.fence}]


async def test_a_job_for_later_starts_with_the_first_sweep_after_its_time(yard: Yard, sweeper: Sweeper):
    job_id = await yard.queue("flux")
    await yard.execute_sql("update jobs set run_at = now() + interval '6 days', is_due = false")
    await sweeper.sweep()
    assert (await yard.job(job_id)).state == "queued"

    await yard.execute_sql(
        "update jobs set run_at = now() - interval '1 second', created_at = now() - interval '6 days'"
    )
    await sweeper.sweep()

    assert (await yard.job(job_id)).state == "placed", "its wait is counted from when it may start"
    assert [sent["job_id"] for sent in yard.sent(EXECUTE)] == [job_id]


async def test_plugins_are_told_once_of_jobs_that_ended_before_a_worker_had_them(yard: Yard):
    told: list[tuple[int | None, str, str | None, object]] = []

    class Listening:
        @hookimpl
        def after_invoke(self, invocation: Invocation, outcome: Outcome) -> None:
            told.append((invocation.job_id, outcome.state, outcome.error, invocation.arguments["prompt"]))

    with_hooks(yard, Listening())
    shop = yard.workplace
    sweepers = [
        Sweeper(yard.pool, shop.live, shop.waker, seconds=0.1, retention_hours=24, workers_dir=workers_of(yard))
        for _ in range(3)
    ]
    cancelled, expired, waiting = [await yard.queue("flux") for _ in range(3)]
    async with yard.pool.connection() as connection:
        await jobs.cancel(connection, cancelled)
        await placement.give_up(connection, expired, "QueueTimeout", "too late")

    await asyncio.gather(*(sweeper.tell_plugins() for sweeper in sweepers))
    await yard.run(waiting)
    await sweepers[0].tell_plugins()

    assert sorted(told) == [
        (cancelled, "cancelled", None, "an astronaut"),
        (expired, "failed", "QueueTimeout", "an astronaut"),
        (waiting, "collected", None, "an astronaut"),
    ]
