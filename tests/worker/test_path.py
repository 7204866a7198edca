"""Jobs on a hidden backend while our own way to it is down."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from db import jobs
from runtime.anon.address import HiddenAddress
from runtime.anon.state import AnonState, write_state
from runtime.leaks.socks import Relay, ScriptedSocks
from runtime.sandbox.comfyui import SandboxComfyUI
from runtime.worker.keeper import LeaseKeeper
from tests.conftest import Database
from tests.worker.yard import REGISTRY, Yard, open_yard

SERVICE = HiddenAddress.of(bytes(range(32)), ".anon")
BACKEND = f"  - {{name: gpu-1, url: http://{SERVICE}, transport: anon, vram_gb: 32}}"


class Way:
    """What the keeper of anon tells of it."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self._state = AnonState(("127.0.0.1", port), ("127.0.0.1", 1), "0.4.9.11-live", 100, "Done")
        self.up()

    def up(self) -> None:
        write_state(self._folder, self._state)

    def down(self) -> None:
        write_state(self._folder, self._state.at(0, "starting"))


@pytest.fixture
async def way(comfyui: SandboxComfyUI, tmp_path: Path) -> AsyncIterator[Way]:
    async with ScriptedSocks(Relay(urlsplit(comfyui.url).port or 0)) as proxy:
        yield Way(tmp_path, proxy.port)


@pytest.fixture
async def yard(database: Database, way: Way, tmp_path: Path) -> AsyncIterator[Yard]:
    path = tmp_path / "plugin_registry.yaml"
    path.write_text(REGISTRY.format(backends=BACKEND, plugins="  flux: {enabled: true}"), encoding="utf-8")
    async with open_yard(database.dsn, path, tmp_path) as yard:
        yield yard


async def _hand_back(yard: Yard, comfyui: SandboxComfyUI) -> int:
    """A job that was left to the next worker while the backend renders it."""
    comfyui.faults.hold = {"save"}
    job_id = await yard.queue("flux")
    running = asyncio.create_task(yard.run(job_id))
    await comfyui.wait_for(lambda backend: backend.held == {"save"})
    yard.workplace.keeper.hand_back()
    assert (await running).state == "placed"
    return job_id


async def test_a_prompt_of_the_last_worker_is_waited_for_until_the_way_is_up_and_not_rendered_again(
    yard: Yard, way: Way, comfyui: SandboxComfyUI
) -> None:
    job_id = await _hand_back(yard, comfyui)
    way.down()
    comfyui.faults.hold = set()

    async with LeaseKeeper(yard.dsn, 3.0) as keeper:
        running = asyncio.create_task(yard.run(job_id, replace(yard.workplace, keeper=keeper)))
        await yard.until(job_id, "running")
        await asyncio.sleep(1.5)  # time in which it could give up
        way.up()
        job = await running

    assert (job.state, job.error_detail) == ("collected", None)
    assert comfyui.posts == {job.prompt_id: 1}


async def test_a_job_that_is_cancelled_while_the_way_is_down_ends_at_once(
    yard: Yard, way: Way, comfyui: SandboxComfyUI
) -> None:
    job_id = await _hand_back(yard, comfyui)
    way.down()

    async with LeaseKeeper(yard.dsn, 3.0) as keeper:
        running = asyncio.create_task(yard.run(job_id, replace(yard.workplace, keeper=keeper)))
        await yard.until(job_id, "running")
        async with yard.pool.connection() as connection:
            await jobs.cancel(connection, job_id)
        async with asyncio.timeout(5):
            job = await running

    assert job.state == "cancelled"
    comfyui.faults.hold = set()
    way.up()


async def test_a_job_that_was_not_posted_goes_back_and_loses_no_try(yard: Yard, way: Way) -> None:
    job_id = await yard.queue("flux", max_attempts=1)
    way.down()

    job = await yard.run(job_id)

    assert (job.state, job.error) == ("queued", "PathAway")
    way.up()
    await yard.execute_sql("update jobs set run_at = now()")
    assert (await yard.run(job_id)).state == "collected"
