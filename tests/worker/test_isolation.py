"""Whose jobs share circuits: seen from the SOCKS port, where each pair of credentials is one set of circuits."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from db import jobs
from runtime.anon.address import HiddenAddress
from runtime.anon.state import AnonState, write_state
from runtime.leaks.socks import Relay, ScriptedSocks
from runtime.sandbox.comfyui import SandboxComfyUI
from runtime.scheduler.fleet import Backend
from tests.conftest import Database
from tests.worker.yard import REGISTRY, Yard, eventually, open_yard

SERVICE = HiddenAddress.of(bytes(range(32)), ".anon")
BACKEND = "  - {{name: gpu-1, url: http://{service}, transport: anon, isolation: {isolation}, vram_gb: 32}}"

Credentials = set[tuple[str | None, str | None]]


@pytest.fixture
async def socks(comfyui: SandboxComfyUI) -> AsyncIterator[ScriptedSocks]:
    """It connects every name to the backend."""
    async with ScriptedSocks(Relay(urlsplit(comfyui.url).port or 0)) as proxy:
        yield proxy


@pytest.fixture
async def yard(
    database: Database, socks: ScriptedSocks, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Yard]:
    """One hidden backend, with the isolation that the test asks for."""
    write_state(tmp_path, AnonState(("127.0.0.1", socks.port), ("127.0.0.1", 1), "0.4.9.11-live", 100, "Done"))
    path = tmp_path / "plugin_registry.yaml"
    backend = BACKEND.format(service=SERVICE, isolation=getattr(request, "param", "user"))
    path.write_text(REGISTRY.format(backends=backend, plugins="  flux: {enabled: true}"), encoding="utf-8")
    async with open_yard(database.dsn, path, tmp_path) as yard:
        await yard.workplace.fleet["gpu-1"].close()  # what the check opened: whoever uses it again is seen to do so
        yield yard


@pytest.fixture
def used(yard: Yard, socks: ScriptedSocks) -> Callable[[int | None], Awaitable[Credentials]]:
    """Run a job of that user, and give the credentials that the proxy was asked with for it."""

    async def run(user_id: int | None) -> Credentials:
        before = len(socks.requests)
        job = await yard.run(await yard.queue("flux", user_id=user_id))
        assert job.state == "collected", job.error_detail
        await eventually(lambda: _is_warm(yard.workplace.fleet["gpu-1"], user_id))
        return {(asked.username, asked.password) for asked in socks.requests[before:]}

    return run


async def _is_warm(backend: Backend, user_id: int | None) -> bool:
    with backend.of_user(user_id) as own:
        return await own.warm()


async def test_two_users_share_no_circuit_and_one_users_jobs_do(yard: Yard, used, comfyui: SandboxComfyUI) -> None:
    alice = await used(1)
    bob = await used(2)
    again = await used(1)

    assert len(alice) == len(bob) == 6, "one for each lane"
    assert not alice & bob
    assert again <= alice
    assert len(comfyui.graphs) == 3


async def test_no_users_circuit_is_shared_with_checks_or_with_jobs_of_nobody(yard: Yard, used, socks) -> None:
    checks = {(asked.username, asked.password) for asked in socks.requests}

    nobody, alice = await used(None), await used(1)

    assert checks
    assert not checks & nobody
    assert not alice & (checks | nobody)


async def test_what_stops_a_job_or_frees_memory_goes_over_the_users_own_circuits(
    yard: Yard, used, socks: ScriptedSocks, comfyui: SandboxComfyUI
) -> None:
    alice = await used(1)
    before = len(socks.requests)
    comfyui.faults.out_of_memory = {"sampler"}
    await yard.run(await yard.queue("flux", user_id=1))
    comfyui.faults.out_of_memory = set()

    comfyui.faults.hold = {"sampler"}
    job_id = await yard.queue("flux", user_id=1)
    running = asyncio.create_task(yard.run(job_id))
    await comfyui.wait_for(lambda backend: backend.held == {"sampler"})
    async with yard.pool.connection() as connection:
        await jobs.cancel(connection, job_id)
    await running

    assert {"POST /free", "POST /interrupt"} <= {f"{seen.method} {seen.path}" for seen in comfyui.requests}
    assert {(asked.username, asked.password) for asked in socks.requests[before:]} <= alice


async def test_every_user_has_an_event_socket_of_their_own(yard: Yard, used, comfyui: SandboxComfyUI) -> None:
    backend = yard.workplace.fleet["gpu-1"]
    await used(1)
    await used(2)

    with backend.of_user(1) as first, backend.of_user(2) as second:
        assert first.hub.is_open
        assert second.hub.is_open
        assert {first.hub.client_id, second.hub.client_id} <= set(comfyui.clients)
    assert not backend.hub.is_open


async def test_what_the_server_offers_is_asked_for_once_and_not_for_each_user(yard: Yard, used, comfyui) -> None:
    await used(1)
    await used(2)

    assert [seen.route for seen in comfyui.requests].count("GET /object_info") == 1


@pytest.mark.parametrize("yard", ["backend"], indirect=True)
async def test_unless_asked_for_all_users_share_the_backends_circuits(yard: Yard, used) -> None:
    alice = await used(1)
    bob = await used(2)

    assert alice
    assert bob <= alice


async def test_a_users_connections_are_closed_with_the_backend(yard: Yard, used, comfyui: SandboxComfyUI) -> None:
    await used(1)
    assert comfyui.clients

    await yard.workplace.fleet["gpu-1"].close()

    await comfyui.wait_for(lambda server: not server.clients, 5)
