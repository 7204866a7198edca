"""Backends without work let go of their weights: once, by one worker, and never of what is pinned or used."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from runtime.registry import load_registry
from runtime.sandbox.comfyui import SandboxComfyUI
from runtime.scheduler.fleet import Fleet
from runtime.worker.idle import IdleRelease
from tests.comfyui.graphs import sampled
from tests.worker.yard import Yard, eventually, open_yard

MINUTES = 30


@asynccontextmanager
async def yard_with(dsn: str, folder: Path, comfyui: SandboxComfyUI, more: str) -> AsyncIterator[Yard]:
    path = folder / "plugin_registry.yaml"
    path.write_text(
        "version: 1\naccess: {default: public}\nbackends:\n"
        f'  - {{name: gpu-1, url: "{comfyui.url}", vram_gb: 32, lookahead: 0, {more}}}\n'
        "plugins: {flux: {}, sd3: {}}\n",
        encoding="utf-8",
    )
    async with open_yard(dsn, path) as opened:
        yield opened


@pytest.fixture
async def yard(database, comfyui: SandboxComfyUI, tmp_path: Path) -> AsyncIterator[Yard]:
    async with yard_with(database.dsn, tmp_path, comfyui, f"idle_minutes: {MINUTES}") as opened:
        yield opened


async def look(yard: Yard) -> None:
    await IdleRelease(yard.workplace.fleet, yard.pool).look()


async def pass_minutes(yard: Yard, minutes: float) -> None:
    await yard.execute_sql(
        """update backends set used_at = used_at - make_interval(secs => %s),
               released_at = released_at - make_interval(secs => %s)""",
        minutes * 60,
        minutes * 60,
    )


def told(comfyui: SandboxComfyUI) -> int:
    return sum(seen.route == "POST /free" for seen in comfyui.requests)


async def warm(yard: Yard) -> str | None:
    ((found,),) = await yard.rows("select warm_model_set from backends")
    return found


async def test_an_idle_backend_lets_go_of_its_weights_once(yard: Yard, comfyui):
    await yard.run(await yard.queue())
    await pass_minutes(yard, MINUTES - 1)
    await look(yard)
    assert (told(comfyui), await warm(yard)) == (0, "flux-schnell")

    await pass_minutes(yard, 2)
    await look(yard)
    await look(yard)
    await pass_minutes(yard, 10 * MINUTES)
    await look(yard)

    assert (told(comfyui), await warm(yard)) == (1, None)


async def test_the_next_job_loads_them_anew_and_then_it_may_be_told_again(yard: Yard, comfyui):
    for times in (1, 2):
        await yard.run(await yard.queue())
        await pass_minutes(yard, MINUTES + 1)
        await look(yard)
        assert told(comfyui) == times

    assert len(comfyui.model_loads) == 2


async def test_of_several_workers_one_tells_it(yard: Yard, comfyui):
    await yard.run(await yard.queue())
    await pass_minutes(yard, MINUTES + 1)

    await asyncio.gather(*(look(yard) for _ in range(8)))

    assert told(comfyui) == 1


async def test_while_a_job_is_placed_there_it_is_in_use_however_long_ago_the_job_began(yard: Yard, comfyui):
    await yard.run(await yard.queue())
    await yard.queue()
    await yard.place()
    await pass_minutes(yard, MINUTES + 1)
    await look(yard)
    await yard.execute_sql("update jobs set state = 'cancelled'")
    await look(yard)

    assert told(comfyui) == 0, "the time counts from the end of the job"


async def test_what_is_pinned_is_never_let_go(database, comfyui, tmp_path: Path):
    async with yard_with(database.dsn, tmp_path, comfyui, f"idle_minutes: {MINUTES}, pin: [flux]") as yard:
        await yard.run(await yard.queue())
        await pass_minutes(yard, MINUTES + 1)
        await look(yard)

        assert (told(comfyui), await warm(yard)) == (0, "flux-schnell")


async def test_a_backend_that_has_run_nothing_of_ours_or_has_no_idle_time_is_left_alone(
    database, comfyui, tmp_path: Path, yard: Yard
):
    await look(yard)
    async with yard_with(database.dsn, tmp_path, comfyui, "labels: [fast]") as other:
        await other.run(await other.queue())
        await pass_minutes(other, 1000)
        await look(other)

    assert told(comfyui) == 0


async def test_what_others_run_on_the_server_is_not_disturbed(yard: Yard, comfyui):
    await yard.run(await yard.queue())
    await pass_minutes(yard, MINUTES + 1)
    comfyui.faults.hold = {"sampler"}
    async with Fleet(load_registry(yard.path).backends) as strangers:
        await strangers["gpu-1"].client.post_prompt("theirs", sampled(), "a-stranger")
        await comfyui.wait_for(lambda server: bool(server.held))
        await look(yard)
        assert told(comfyui) == 0

        comfyui.faults.hold = set()
        await comfyui.wait_for(lambda server: server.running is None)
    await look(yard)

    assert told(comfyui) == 1


async def test_if_it_cannot_be_told_it_is_told_later(yard: Yard, comfyui):
    await yard.run(await yard.queue())
    await pass_minutes(yard, MINUTES + 1)
    comfyui.faults.answers = {"POST /free": [503, 503, 503, 503]}
    await look(yard)
    comfyui.faults.answers = {}
    refused = told(comfyui)

    await look(yard)

    assert refused >= 1
    assert told(comfyui) == refused + 1
    assert await warm(yard) is None


async def test_after_memory_was_freed_for_a_second_try_nothing_counts_as_loaded(yard: Yard, comfyui):
    comfyui.faults.out_of_memory = {"sampler"}

    job = await yard.run(await yard.queue())

    assert (job.state, job.error) == ("queued", "OutOfMemory")
    assert (told(comfyui), await warm(yard)) == (1, None)


async def test_a_worker_looks_by_itself(database, comfyui, tmp_path: Path):
    async with yard_with(database.dsn, tmp_path, comfyui, "idle_minutes: 0.01") as yard:
        await yard.start_worker()
        job_id = await yard.queue()
        await yard.place_and_wake()
        await yard.until(job_id, lambda job: job.is_over)

        async def is_told() -> bool:
            return told(comfyui) == 1

        await eventually(is_told)

        assert await warm(yard) is None
