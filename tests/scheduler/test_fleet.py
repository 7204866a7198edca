"""What a process knows of a backend, what it asks for again, and what it has open before a job comes."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from runtime.comfyui import BackendUnreachable, Catalogue
from runtime.registry import BackendConfig
from runtime.sandbox.comfyui import SandboxComfyUI
from runtime.scheduler.fleet import Backend, Fleet
from runtime.scheduler.warmth import keep_warm

DEADLINE = 10
KSAMPLER = {"KSampler": {"input": {"required": {}}, "output": ["LATENT"], "output_node": False}}
LOADER = {"VAELoader": {"input": {"required": {}}, "output": ["VAE"], "output_node": False}}


@dataclass
class Gate:
    """Answers GET /object_info as the gate on a GPU host does, or without ETag as ComfyUI itself. Notes statuses."""

    classes: dict[str, Any] = field(default_factory=lambda: dict(KSAMPLER))
    names_etag: bool = True
    answered: list[int] = field(default_factory=list)
    accepted: str = ""
    url: str = ""

    async def object_info(self, request: web.Request) -> web.Response:
        etag = f'"{hash(json.dumps(self.classes)):x}"'
        self.accepted = request.headers.get("Accept-Encoding", "")
        headers = {"ETag": etag} if self.names_etag else {}
        if self.names_etag and request.headers.get("If-None-Match") == etag:
            self.answered.append(304)
            return web.Response(status=304, headers=headers)
        self.answered.append(200)
        response = web.json_response(self.classes, headers=headers)
        response.enable_compression()
        return response


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    gate = Gate()
    app = web.Application()
    app.router.add_get("/object_info", gate.object_info)
    async with TestServer(app) as server:
        gate.url = str(server.make_url("/"))
        yield gate


@pytest.fixture
async def backend(gate: Gate) -> AsyncIterator[Backend]:
    opened = Backend(BackendConfig("gpu-1", gate.url))
    yield opened
    await opened.close()


def slow(backend: Backend) -> Backend:
    """The same connections, taken for ones over an onion path."""
    assert backend.client
    backend.config = replace(backend.config, transport="anon")
    return backend


async def test_a_catalogue_that_has_not_changed_is_not_sent_again(gate: Gate, backend: Backend):
    first = await backend.catalogue(fresh=True)

    assert await backend.catalogue(fresh=True) is first
    assert gate.answered == [200, 304]


async def test_a_catalogue_that_has_changed_is_seen_at_the_next_look(gate: Gate, backend: Backend):
    await backend.catalogue()
    gate.classes = LOADER

    assert set((await backend.catalogue()).classes) == {"KSampler"}
    assert set((await backend.catalogue(fresh=True)).classes) == {"VAELoader"}


async def test_after_a_backend_was_away_its_catalogue_is_checked_and_only_sent_if_it_changed(gate: Gate, backend):
    await backend.catalogue()
    backend.forget()

    await backend.catalogue()
    await backend.catalogue()

    assert gate.answered == [200, 304]


async def test_jobs_that_come_together_ask_once(gate: Gate, backend: Backend):
    gate.names_etag = False

    found = await asyncio.gather(*(backend.catalogue() for _ in range(5)))

    assert gate.answered == [200]
    assert all(isinstance(catalogue, Catalogue) for catalogue in found)


async def test_the_catalogue_may_come_compressed(gate: Gate, backend: Backend):
    assert "KSampler" in (await backend.catalogue()).classes
    assert "gzip" in gate.accepted


async def test_over_a_slow_path_megabytes_are_not_asked_for_at_every_check(gate: Gate, backend: Backend):
    gate.names_etag = False
    assert slow(backend).is_catalogue_due, "nothing is known yet"

    await backend.catalogue()
    assert not backend.is_catalogue_due

    backend.forget()
    assert backend.is_catalogue_due, "it was away"


@pytest.mark.parametrize("is_slow", [True, False])
async def test_what_costs_little_is_asked_for_at_every_check(gate: Gate, backend: Backend, is_slow: bool):
    """A server that names its ETag, however far it is; and one nearby in any case."""
    gate.names_etag = is_slow
    await (slow(backend) if is_slow else backend).catalogue()

    assert backend.is_catalogue_due


async def test_a_warm_backend_has_its_socket_and_a_connection_on_every_lane():
    async with SandboxComfyUI(pace=0) as comfyui, Fleet([BackendConfig("gpu-1", comfyui.url)]) as fleet:
        await fleet["gpu-1"].warm()

        assert len(comfyui.clients) == 1
        assert Counter(seen.route for seen in comfyui.requests) == {"GET /ws": 1, "GET /prompt": 5}
        assert fleet["gpu-1"].hub.is_open


async def test_a_backend_that_is_away_is_not_asked_on_every_lane_and_nobody_is_told():
    async with SandboxComfyUI(pace=0) as comfyui, Fleet([BackendConfig("gpu-1", comfyui.url)]) as fleet:
        comfyui.faults.answers = {"GET /prompt": [502] * 9}

        await fleet["gpu-1"].warm()

        assert [seen.route for seen in comfyui.requests].count("GET /prompt") == 1


async def test_warming_needs_no_transport_that_exists():
    backend = Backend(BackendConfig("odd", "http://127.0.0.1:9", "carrier-pigeon"))  # type: ignore[arg-type]

    await backend.warm()

    await backend.close()


async def test_warming_opens_a_lost_socket_at_once():
    async with SandboxComfyUI(pace=0) as comfyui, Fleet([BackendConfig("gpu-1", comfyui.url)]) as fleet:
        await comfyui.crash()
        with pytest.raises(BackendUnreachable):
            await fleet["gpu-1"].client.prompt_info()
        await fleet["gpu-1"].hub.opened()
        await comfyui.start()

        await fleet["gpu-1"].warm()

        await comfyui.wait_for(lambda server: len(server.clients) == 1, DEADLINE)


@pytest.fixture
async def near() -> AsyncIterator[SandboxComfyUI]:
    async with SandboxComfyUI(pace=0) as comfyui:
        yield comfyui


async def test_a_far_backend_is_kept_warm_and_a_near_one_warmed_once(near: SandboxComfyUI):
    near_one = BackendConfig("near", near.url)
    async with SandboxComfyUI(pace=0) as far, Fleet([near_one, BackendConfig("far", far.url)]) as fleet:
        slow(fleet["far"])
        keeping = asyncio.create_task(keep_warm(fleet, seconds=0.01))

        await far.wait_for(lambda server: len(server.requests) > 20, DEADLINE)

        assert [seen.route for seen in near.requests].count("GET /prompt") == 5
        assert [seen.route for seen in far.requests].count("GET /ws") == 1
        keeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await keeping
