"""What a check of a backend finds, and when backends are checked."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from db import backends, breakers, placement
from db.breakers import Failure
from db.placement import BackendState
from db.pool import Pool, open_pool
from runtime.anon.address import HiddenAddress
from runtime.registry import BackendConfig, LiveRegistry, Override, Registry, load_registry
from runtime.sandbox.comfyui import SandboxComfyUI
from runtime.sandbox.comfyui.facts_http import Device
from runtime.scheduler.fleet import Backend, Fleet, UnknownBackend
from runtime.scheduler.health import Card, Health, HealthWatch, check_backend, doubt_of, has_come_back
from runtime.scheduler.sync import sync_registry
from tests.worker.yard import eventually, write_registry


@pytest.fixture
async def comfyui() -> AsyncIterator[SandboxComfyUI]:
    async with SandboxComfyUI(pace=0) as backend:
        yield backend


@pytest.fixture
def registry(comfyui: SandboxComfyUI, tmp_path: Path) -> Registry:
    return load_registry(write_registry(tmp_path, [comfyui]))


@pytest.fixture
async def fleet(registry: Registry) -> AsyncIterator[Fleet]:
    async with Fleet(registry.backends) as opened:
        yield opened


async def test_a_good_backend_is_ready_for_every_command(registry: Registry, fleet: Fleet):
    health = await check_backend(fleet["gpu-1"], registry.commands)

    assert (health.state, health.reason, dict(health.missing)) == ("ready", None, {})
    assert health.comfyui_version


async def test_the_round_trip_is_that_of_one_small_request_on_an_open_connection(registry, fleet, comfyui):
    health = await check_backend(fleet["gpu-1"], registry.commands)

    assert health.round_trip_seconds is not None
    assert 0 < health.round_trip_seconds < 5
    assert [seen.route for seen in comfyui.requests][:2] == ["GET /system_stats", "GET /prompt"]
    assert health == replace(health, round_trip_seconds=9), "it makes no other finding"


async def test_what_a_backend_lacks_is_told_for_each_command_and_variant(registry, fleet, comfyui):
    comfyui.faults.missing_models = {"flux1-dev.safetensors"}
    comfyui.faults.missing_classes = {"TextEncodeQwenImageEditPlus"}

    health = await check_backend(fleet["gpu-1"], registry.commands)

    assert sorted(health.missing) == ["flux --dev", "qwen"]
    assert "flux1-dev.safetensors" in health.missing["flux --dev"]
    assert "TextEncodeQwenImageEditPlus" in health.missing["qwen"]


async def test_a_backend_that_does_not_answer_is_away(registry, fleet, comfyui):
    await comfyui.crash()

    health = await check_backend(fleet["gpu-1"], registry.commands)

    assert health.state == "away"
    assert "no connection" in (health.reason or "")


async def test_a_server_that_is_no_comfyui_is_away_with_what_it_answered(registry, fleet, comfyui):
    comfyui.faults.answers = {"GET /system_stats": [404]}

    health = await check_backend(fleet["gpu-1"], registry.commands)

    assert health.state == "away"
    assert "404" in (health.reason or "")


async def test_an_answer_that_nobody_can_read_makes_the_backend_away_not_the_worker_fail(registry: Registry):
    async def nest(_: web.Request) -> web.Response:
        return web.Response(text="[" * 100_000, content_type="application/json")

    app = web.Application()
    app.router.add_get("/{route:.*}", nest)
    async with TestServer(app) as server, Fleet([BackendConfig("odd", str(server.make_url("")))]) as fleet:
        health = await check_backend(fleet["odd"], registry.commands)

    assert health.state == "away"
    assert "no JSON" in (health.reason or "")


async def test_while_anon_is_away_so_is_the_backend_and_the_next_look_is_soon(registry: Registry, tmp_path: Path):
    address = HiddenAddress.of(bytes(32), ".anon")
    backend = Backend(BackendConfig("hidden", f"http://{address}", "anon"), tmp_path / "anon")

    health = await check_backend(backend, registry.commands)

    assert (health.state, health.is_path_down) == ("away", True)
    assert "anon does not run" in (health.reason or "")
    assert health.pause_seconds < Health("away").pause_seconds


async def test_a_transport_that_does_not_exist_makes_the_backend_away_not_the_worker_fail(registry: Registry):
    backend = Backend(BackendConfig("odd", "http://127.0.0.1:9", "carrier-pigeon"))  # type: ignore[arg-type]

    health = await check_backend(backend, registry.commands)

    assert health.state == "away"
    assert "carrier-pigeon" in (health.reason or "")


async def test_a_backend_that_is_not_in_the_registry_has_a_name_for_its_error(fleet: Fleet):
    with pytest.raises(UnknownBackend, match="gpu-9"):
        fleet["gpu-9"]


async def state(pool: Pool, name: str = "gpu-1") -> BackendState:
    async with pool.connection() as connection:
        return {each.name: each for each in await placement.backends(connection)}[name]


async def until_health(pool: Pool, wanted: str) -> BackendState:
    async def is_so() -> bool:
        return (await state(pool)).health == wanted

    await eventually(is_so)
    return await state(pool)


async def test_the_watch_checks_at_once_and_again_as_soon_as_a_job_could_not_reach_the_backend(
    database, registry, fleet, comfyui
):
    became_ready = asyncio.Event()

    async def on_ready() -> None:
        became_ready.set()

    async with open_pool(database.dsn, "test") as pool:
        await sync_registry(pool, registry)
        watch = HealthWatch(fleet, LiveRegistry(registry), pool, on_ready)
        watching = asyncio.create_task(watch.run())
        try:
            await asyncio.wait_for(became_ready.wait(), 5)
            async with pool.connection() as connection:
                await connection.execute("update backends set warm_model_set = 'flux-schnell' where name = 'gpu-1'")
            await comfyui.crash()
            watch.check_soon("gpu-1")
            away = await until_health(pool, "away")
            await comfyui.start()
            watch.check_soon("gpu-1")
            await until_health(pool, "ready")
        finally:
            watching.cancel()
            await asyncio.wait({watching})

    assert away.warm_model_set is None, "a server that was away may have lost what it had loaded"
    assert away.health_reason


async def test_a_card_that_is_smaller_than_the_registry_says_is_told(tmp_path: Path):
    async with SandboxComfyUI(pace=0, devices=[Device("cuda:0 NVIDIA GeForce RTX 4070", 11.99)]) as small:
        registry = load_registry(write_registry(tmp_path, [small]))
        async with Fleet(registry.backends) as fleet:
            health = await check_backend(fleet["gpu-1"], registry.commands)

    assert health.cards == (Card("cuda:0 NVIDIA GeForce RTX 4070", 12.0),)
    assert health.doubt == "the registry says 32 GB, but cuda:0 NVIDIA GeForce RTX 4070 has 12 GB"


async def test_nothing_is_doubted_any_more_once_the_registry_was_corrected(database, tmp_path: Path):
    async def on_ready() -> None: ...

    async def is_doubted(wanted: bool) -> bool:
        async with pool.connection() as connection:
            (listed,) = await backends.listed(connection)
        return (listed.doubt is not None) == wanted

    async with (
        SandboxComfyUI(pace=0, devices=[Device("cuda:0 NVIDIA GeForce RTX 4070", 11.99)]) as small,
        open_pool(database.dsn, "test") as pool,
    ):
        registry = load_registry(write_registry(tmp_path, [small]))
        async with Fleet(registry.backends) as fleet:
            await sync_registry(pool, registry)
            watch = HealthWatch(fleet, LiveRegistry(registry), pool, on_ready)
            watching = asyncio.create_task(watch.run())
            try:
                await eventually(lambda: is_doubted(True))
                fleet.follow([replace(config, vram_gb=12) for config in registry.backends])
                watch.follow()
                await eventually(lambda: is_doubted(False))
            finally:
                watching.cancel()
                await asyncio.wait({watching})


def test_a_card_is_the_one_that_the_registry_means_if_only_the_driver_took_its_share():
    def doubt(claimed: float, told: float, **more: object) -> str | None:
        return doubt_of(BackendConfig("gpu", "http://127.0.0.1:9", vram_gb=claimed, **more), (Card("a card", told),))

    assert doubt(24, 23.5) is None
    assert doubt(24, 80) is None
    assert doubt(24, 22) == "the registry says 24 GB, but a card has 22 GB"
    assert doubt(48, 24, overrides={"UNETLoader": Override("UNETLoaderMultiGPU")}) is None, "the rest is elsewhere"
    assert doubt_of(BackendConfig("gpu", "http://127.0.0.1:9", vram_gb=24), ()) is None


def test_a_server_has_come_back_if_it_was_away_itself_rather_than_our_way_to_it():
    ready, away = Health("ready"), Health("away", "no connection")

    assert has_come_back(away, ready)
    assert not has_come_back(Health("away", "anon does not run", is_path_down=True), ready)
    assert not has_come_back(None, ready)
    assert not has_come_back(ready, ready)
    assert not has_come_back(away, away)


async def test_the_watch_stores_the_cards_and_half_opens_breakers_when_the_backend_comes_back(
    database, registry, fleet, comfyui
):
    async def on_ready() -> None: ...

    async with open_pool(database.dsn, "test") as pool:
        await sync_registry(pool, registry)
        watch = HealthWatch(fleet, LiveRegistry(registry), pool, on_ready)
        watching = asyncio.create_task(watch.run())
        try:
            await until_health(pool, "ready")
            async with pool.connection() as connection:
                (listed,) = await backends.listed(connection)
                for _ in range(3):
                    await breakers.failed(connection, Failure("gpu-1", "flux", "PromptLost", True, ()))
                (opened,) = await breakers.not_closed(connection)
            await comfyui.crash()
            watch.check_soon("gpu-1")
            await until_health(pool, "away")
            await comfyui.start()
            watch.check_soon("gpu-1")
            await until_health(pool, "ready")
        finally:
            watching.cancel()
            await asyncio.wait({watching})
        async with pool.connection() as connection:
            (probing,) = await breakers.not_closed(connection)

    assert listed.devices == [{"name": comfyui.devices[0].name, "vram_gb": 32.0}]
    assert listed.doubt is None
    assert (opened.is_probing, probing.is_probing) == (False, True)
