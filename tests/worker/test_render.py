"""What one job costs on the way to its backend, and when it gives the GPU's place away."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from runtime.api import Invocation
from runtime.media import prepare_picture
from runtime.registry import BackendConfig, Registry, load_registry
from runtime.sandbox.comfyui import SandboxComfyUI
from runtime.scheduler.fleet import Backend
from runtime.worker.render import Rendered, prepare, render
from tests.worker.yard import Yard, eventually, write_registry

DEADLINE = 10


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return load_registry(write_registry(tmp_path, []))


@pytest.fixture
async def backend(comfyui: SandboxComfyUI) -> AsyncIterator[Backend]:
    opened = Backend(BackendConfig("gpu-1", comfyui.url))
    yield opened
    await opened.close()


def picture(colour: str) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (64, 64), colour).save(buffer, "PNG")
    return buffer.getvalue()


async def run(
    registry: Registry,
    backend: Backend,
    prompt_id: str,
    command: str = "flux",
    *,
    images: tuple[bytes, ...] = (),
    on_run_over: Callable[[], Awaitable[None]] | None = None,
    **given: Any,
) -> Rendered:
    declared = registry.commands[command].command
    small = {"size": [64, 64]} if command != "qwen" else {}
    values = {p.name: p.initial() for p in declared.parameters if p.initial() is not None}
    invocation = Invocation(declared.name, {**values, "prompt": "a fox", **small, **given})
    pictures = [prepare_picture(image) for image in images]
    prompt = await prepare(registry, declared, invocation, pictures, backend, prompt_id)
    return await render(backend, prompt, declared, on_run_over=on_run_over)


async def test_a_warm_job_costs_three_requests(registry, backend, comfyui):
    """Each is a round trip, a second of its own on a slow path: whoever adds one has to say so here."""
    await run(registry, backend, "first")
    comfyui.requests.clear()

    await run(registry, backend, "second", seed=2)

    assert Counter(seen.route for seen in comfyui.requests) == {
        "POST /prompt": 1,
        "GET /history/{prompt_id}": 1,
        "GET /view": 1,
    }


async def test_a_warm_edit_costs_one_upload_more_for_each_picture(registry, backend, comfyui):
    await run(registry, backend, "first", "qwen", images=(picture("red"),))
    comfyui.requests.clear()

    await run(registry, backend, "second", "qwen", images=(picture("blue"), picture("green")))

    assert Counter(seen.route for seen in comfyui.requests) == {
        "POST /upload/image": 2,
        "POST /prompt": 1,
        "GET /history/{prompt_id}": 1,
        "GET /view": 1,
    }


async def test_a_cold_job_adds_the_socket_and_the_catalogue_and_nothing_else(registry, backend, comfyui):
    await run(registry, backend, "first")

    routes = Counter(seen.route for seen in comfyui.requests)
    assert routes - Counter({"POST /prompt": 1, "GET /history/{prompt_id}": 1, "GET /view": 1}) == {
        "GET /ws": 1,
        "GET /object_info": 1,
    }


async def test_nothing_is_asked_before_the_prompt_is_posted(registry, backend, comfyui):
    await run(registry, backend, "first")
    comfyui.requests.clear()

    await run(registry, backend, "second", seed=2)

    assert comfyui.requests[0].route == "POST /prompt"


async def test_several_pictures_are_uploaded_at_the_same_time(registry, backend, comfyui):
    comfyui.faults.latency = {"POST /upload/image": 30.0}
    running = asyncio.create_task(
        run(registry, backend, "first", "qwen", images=(picture("red"), picture("blue"), picture("green")))
    )

    await comfyui.wait_for(lambda server: [seen.route for seen in server.requests].count("POST /upload/image") == 3)
    await cancelled(running)


async def test_a_file_is_fetched_while_the_history_is_still_on_its_way(registry, backend, comfyui):
    comfyui.faults.latency = {"GET /history/{prompt_id}": 30.0}
    running = asyncio.create_task(run(registry, backend, "first"))

    await comfyui.wait_for(lambda server: {"GET /view"} <= {seen.route for seen in server.requests})
    await cancelled(running)


async def test_the_place_is_given_away_when_the_gpu_is_done_not_when_the_history_is_read(registry, backend, comfyui):
    comfyui.faults.latency = {"GET /history/{prompt_id}": 30.0, "GET /view": 30.0}
    over = asyncio.Event()

    async def tell() -> None:
        over.set()

    running = asyncio.create_task(run(registry, backend, "first", on_run_over=tell))

    await asyncio.wait_for(over.wait(), DEADLINE)
    await cancelled(running)


async def test_a_run_whose_files_are_here_at_once_is_not_worth_a_word(registry, backend):
    told: list[None] = []

    async def tell() -> None:
        told.append(None)

    await run(registry, backend, "first", on_run_over=tell)

    assert told == []


async def test_a_file_named_by_an_event_and_gone_by_then_is_asked_for_again(registry, backend, comfyui):
    """An early look that failed says nothing."""
    comfyui.faults.answers = {"GET /view": [404]}

    rendered = await run(registry, backend, "first")

    assert len(rendered.outputs) == 1
    assert comfyui.posts.total() == 1


async def test_the_next_job_gets_the_place_while_the_files_of_the_last_are_on_their_way(yard: Yard, comfyui):
    comfyui.faults.latency = {"GET /history/{prompt_id}": 30.0}
    running = asyncio.create_task(yard.run(await yard.queue("flux")))

    async def is_free() -> bool:
        return comfyui.finished != [] and await yard.rows("select 1 from slots where job_id is not null") == []

    await eventually(is_free)
    assert await yard.rows("select state from jobs") == [("running",)]
    await cancelled(running)


async def cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
