"""Real worker processes, and what happens to a job when one is killed, frozen, stopped or never told."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from db import jobs, leases
from db.leases import Wakeup
from runtime.sandbox.comfyui import SandboxComfyUI
from tests.worker.yard import TOKEN, Yard, eventually, expire

pytestmark = pytest.mark.slow


async def held(comfyui: SandboxComfyUI, node: str = "sampler") -> None:
    await comfyui.wait_for(lambda backend: node in backend.held)


async def test_a_wake_up_through_the_broker_runs_the_job(yard: Yard, comfyui):
    await yard.start_worker()
    job_id = await yard.queue("flux")
    await yard.place_and_wake()

    job = await yard.until(job_id, "collected")

    assert comfyui.posts == {job.prompt_id: 1}


async def test_a_lost_wake_up_is_sent_again_by_the_sweeper(yard: Yard):
    job_id = await yard.queue("flux")
    await yard.place()
    await yard.execute_sql("update jobs set woken_at = now() - interval '1 minute'")

    await yard.start_worker()

    await yard.until(job_id, "collected")


async def test_a_job_that_nobody_placed_is_placed_by_the_sweeper(yard: Yard):
    job_id = await yard.queue("flux")

    await yard.start_worker()

    await yard.until(job_id, "collected")


async def test_a_wake_up_sent_five_times_runs_the_job_once(yard: Yard, comfyui):
    await yard.start_worker()
    await yard.start_worker()
    job_id = await yard.queue("flux")
    await yard.place_and_wake(times=5)

    job = await yard.until(job_id, "collected")
    following = await yard.queue("flux")  # by the time this one is done, the copies have been dropped
    await yard.place_and_wake()
    await yard.until(following, "collected")

    assert comfyui.posts[job.prompt_id or ""] == 1
    assert (await yard.job(job_id)).attempt == 1
    assert await yard.rows("select count(*) from artifacts where job_id = %s", job_id) == [(1,)]


async def test_after_kill_9_the_next_worker_takes_over_the_prompt_that_is_rendering(yard: Yard, comfyui):
    comfyui.faults.hold = {"sampler"}
    first = await yard.start_worker()
    job_id = await yard.queue("flux", chat_id=7, user_id=8)
    await yard.place_and_wake()
    await held(comfyui)

    first.kill()
    await first.wait()
    await yard.start_worker()
    await yard.until(job_id, lambda job: job.state == "running" and job.attempt == 2)
    comfyui.faults.hold = set()
    job = await yard.until(job_id, lambda job: job.is_over)

    assert job.state == "collected", job.error_detail
    assert comfyui.posts == {job.prompt_id: 1}, "rendered once"
    assert await yard.rows("select count(*) from artifacts where job_id = %s", job_id) == [(1,)]
    assert await yard.rows("select count(*) from deliveries where kind = 'result'") == [(1,)]
    assert await yard.rows("select outcome from attempts order by number") == [("lost",), ("collected",)]


async def test_after_kill_9_other_processes_of_the_machine_do_not_wait_for_the_lease(yard: Yard, comfyui):
    comfyui.faults.hold = {"sampler"}
    first = await yard.start_worker(VEILRUN_LEASE_SECONDS="600")
    job_id = await yard.queue("flux")
    await yard.place_and_wake()
    await held(comfyui)
    await yard.start_worker(VEILRUN_LEASE_SECONDS="600")

    first.kill()
    await first.wait()
    await yard.until(job_id, lambda job: job.state == "running" and job.attempt == 2)
    comfyui.faults.hold = set()
    job = await yard.until(job_id, lambda job: job.is_over)

    assert job.state == "collected"
    assert comfyui.posts == {job.prompt_id: 1}, "rendered once"


async def test_after_kill_9_at_the_end_of_the_run_the_finished_prompt_is_collected(yard: Yard, comfyui):
    comfyui.faults.hold = {"sampler"}
    first = await yard.start_worker()
    job_id = await yard.queue("flux")
    await yard.place_and_wake()
    await held(comfyui)
    first.kill()
    await first.wait()
    comfyui.faults.hold = set()
    await comfyui.wait_for(lambda backend: bool(backend.finished))

    await yard.start_worker()
    job = await yard.until(job_id, lambda job: job.is_over)

    assert job.state == "collected"
    assert comfyui.posts == {job.prompt_id: 1}


async def test_a_worker_frozen_past_its_lease_changes_nothing_when_it_thaws(yard: Yard, comfyui):
    comfyui.faults.hold = {"sampler"}
    frozen = await yard.start_worker()
    job_id = await yard.queue("flux", chat_id=7, user_id=8)
    await yard.place_and_wake()
    await held(comfyui)
    frozen.send_signal(signal.SIGSTOP)
    await yard.start_worker()
    await yard.until(job_id, lambda job: job.attempt == 2 and job.state == "running")
    comfyui.faults.hold = set()
    job = await yard.until(job_id, "collected")

    frozen.send_signal(signal.SIGCONT)
    following = await yard.queue("flux")
    await yard.place_and_wake()
    await yard.until(following, "collected")

    assert (await yard.job(job_id)).state == "collected"
    assert comfyui.posts[job.prompt_id or ""] == 1
    assert await yard.rows("select count(*) from artifacts where job_id = %s", job_id) == [(1,)]
    assert await yard.rows("select count(*) from deliveries where kind = 'result'") == [(1,)]


async def test_a_running_job_is_cancelled_and_its_gpu_is_free_for_the_next(yard: Yard, comfyui):
    comfyui.faults.hold = {"sampler"}
    await yard.start_worker()
    job_id = await yard.queue("flux")
    await yard.place_and_wake()
    await held(comfyui)

    async with yard.pool.connection() as connection:
        await jobs.cancel(connection, job_id)
    await yard.until(job_id, "cancelled")
    comfyui.faults.hold = set()
    following = await yard.queue("flux")
    await yard.place_and_wake()

    await yard.until(following, "collected")


async def test_a_backend_that_goes_away_hands_its_job_to_another(wide_yard: Yard, comfyui, other):
    comfyui.faults.hold = {"sampler"}
    await wide_yard.start_worker()
    job_id = await wide_yard.queue("flux")
    await wide_yard.place_and_wake()
    assert (await wide_yard.job(job_id)).backend == "gpu-1"
    await held(comfyui)

    await wide_yard.execute_sql("update backends set health = 'away' where name = 'gpu-1'")
    await comfyui.restart()
    job = await wide_yard.until(job_id, lambda job: job.is_over)

    assert (job.state, job.backend) == ("collected", "gpu-2")
    assert other.posts.total() == 1


async def test_a_backend_that_lost_its_memory_in_mid_run_gets_the_job_again(yard: Yard, comfyui):
    comfyui.faults.hold = {"sampler"}
    await yard.start_worker()
    job_id = await yard.queue("flux")
    await yard.place_and_wake()
    await held(comfyui)

    comfyui.faults.hold = set()
    await comfyui.crash()
    await comfyui.start()
    job = await yard.until(job_id, lambda job: job.is_over)

    assert (job.state, job.attempt) == ("collected", 2), job.error_detail


async def test_a_job_waits_for_a_backend_that_is_away_and_starts_when_it_is_back(yard: Yard, comfyui):
    await comfyui.crash()
    await yard.check()
    job_id = await yard.queue("flux")
    assert await yard.place() == []
    assert (await yard.job(job_id)).placement == "waiting for gpu-1, which is away"
    await yard.start_worker()

    await comfyui.start()
    job = await yard.until(job_id, lambda job: job.is_over)

    assert (job.state, job.attempt) == ("collected", 1)


async def test_on_sigterm_a_running_job_goes_to_another_worker_at_once_and_costs_no_try(yard: Yard, comfyui):
    comfyui.faults.hold = {"sampler"}
    first = await yard.start_worker(VEILRUN_LEASE_SECONDS="60")
    job_id = await yard.queue("flux", max_attempts=1)
    await yard.place_and_wake()
    await held(comfyui)
    await yard.start_worker()

    first.terminate()
    await yard.until(job_id, lambda job: job.attempt == 2)
    comfyui.faults.hold = set()
    job = await yard.until(job_id, lambda job: job.is_over)

    assert job.state == "collected", job.error_detail
    assert comfyui.posts == {job.prompt_id: 1}
    assert await asyncio.wait_for(first.wait(), 10) == 0
    assert await yard.rows("select outcome from attempts order by number") == [("handed back",), ("collected",)]


async def test_on_sigterm_a_job_that_is_nearly_done_is_let_end(yard: Yard, comfyui):
    comfyui.faults.hold = {"sampler"}
    worker = await yard.start_worker()
    job_id = await yard.queue("flux")
    await yard.place_and_wake()
    await held(comfyui)

    worker.terminate()
    comfyui.faults.hold = set()

    job = await yard.until(job_id, "collected")
    assert await asyncio.wait_for(worker.wait(), 10) == 0
    assert job.attempt == 1


async def test_a_worker_whose_supervisor_is_killed_ends_too(yard: Yard):
    supervisor = """if True:
        import subprocess, sys
        child = subprocess.Popen([sys.executable, "-m", "runtime.worker"])
        print(child.pid, flush=True)
        child.wait()
    """
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        supervisor,
        stdout=asyncio.subprocess.PIPE,
        env={
            **os.environ,
            "DATABASE_URL": yard.dsn,
            "TELEGRAM_BOT_TOKEN": TOKEN,
            "VEILRUN_REGISTRY": str(yard.path),
            "VEILRUN_LOG_LEVEL": "warning",
        },
    )
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    job_id = await yard.queue("flux")
    await yard.until(job_id, "collected")  # so it is up

    parent.kill()
    await parent.wait()

    await eventually(lambda: has_ended(child))


async def has_ended(pid: int) -> bool:
    try:
        status = await asyncio.to_thread(Path(f"/proc/{pid}/stat").read_text)
    except FileNotFoundError:
        return True
    return status.rpartition(")")[2].split()[0] == "Z"


async def test_wrong_settings_end_the_process_with_a_status_that_nobody_restarts(yard: Yard):
    worker = await yard.start_worker(BROKER_URL="kafka://somewhere")

    assert await worker.wait() == 78


async def test_a_job_whose_workers_keep_dying_becomes_a_dead_letter_and_its_user_is_told(yard: Yard):
    job_id = await yard.queue("flux", chat_id=7, user_id=8, max_attempts=1)
    await yard.place()
    for _ in range(leases.FREE_LOSSES + 1):
        wakeup = Wakeup(job_id, (await yard.job(job_id)).fence)
        async with yard.pool.connection() as connection:
            await leases.claim(connection, wakeup, owner="gone", seconds=60, prompt_id="p-1", versions={})
        await expire(yard.pool)

    job = await yard.job(job_id)
    assert (job.state, job.error, job.attempt) == ("dead", "WorkerLost", leases.FREE_LOSSES + 1)
    assert await yard.rows("select kind from deliveries") == [("failure",)]
