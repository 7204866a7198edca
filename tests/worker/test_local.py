"""One command on one backend, without database, broker or chat."""

import asyncio
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from runtime.comfyui import BackendUnreachable, NodeFailed, Progress
from runtime.media import UnknownMedium
from runtime.registry import BackendConfig, Registry, load_registry
from runtime.sandbox.comfyui import SandboxComfyUI
from runtime.worker.inputs import InputGone
from runtime.worker.local import run_once
from tests.worker.yard import write_registry


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return load_registry(write_registry(tmp_path, []))


@pytest.fixture
def config(comfyui: SandboxComfyUI) -> BackendConfig:
    return BackendConfig("here", comfyui.url)


def arguments(registry: Registry, command: str, **given: object) -> dict:
    declared = registry.commands[command].command
    return {p.name: p.initial() for p in declared.parameters if p.initial() is not None} | {"prompt": "a fox"} | given


async def test_it_gives_the_pictures_without_their_metadata(registry, config, comfyui):
    seen: list[Progress] = []

    collected = await run_once(
        registry,
        registry.commands["flux"],
        arguments(registry, "flux", size=[64, 64], n=2, seed=3),
        config,
        on_progress=seen.append,
    )

    assert [(made.medium.media_type, made.medium.width, made.suffix) for made in collected.made] == [
        ("image/png", 64, ".png")
    ] * 2
    assert all(b"a fox" not in made.content for made in collected.made)
    assert collected.run_seconds is not None
    assert seen[-1].phase == "done"
    assert comfyui.last_graph["sampler"]["inputs"]["seed"] == 3


async def test_it_uploads_pictures_and_calls_the_plugins_hooks(registry, config, comfyui):
    images = []
    for colour in ("red", "blue"):
        buffer = BytesIO()
        Image.new("RGB", (64, 64), colour).save(buffer, "PNG")
        images.append(buffer.getvalue())

    await run_once(registry, registry.commands["qwen"], arguments(registry, "qwen"), config, images=images)

    assert comfyui.last_graph["image2"]["inputs"]["image"].endswith(".png [temp]")


async def test_it_refuses_what_is_no_picture_and_too_few_of_them(registry, config, comfyui):
    qwen = registry.commands["qwen"]

    with pytest.raises(UnknownMedium):
        await run_once(registry, qwen, arguments(registry, "qwen"), config, images=[b"text"])
    with pytest.raises(InputGone, match="needs a picture"):
        await run_once(registry, qwen, arguments(registry, "qwen"), config)

    assert comfyui.posts.total() == 0


async def test_a_backend_that_is_not_there_is_a_typed_error(registry):
    nowhere = BackendConfig("here", "http://127.0.0.1:9")

    with pytest.raises(BackendUnreachable):
        await run_once(registry, registry.commands["flux"], arguments(registry, "flux"), nowhere)


async def test_stopping_it_stops_the_prompt(registry, config, comfyui):
    comfyui.faults.hold = {"sampler"}
    running = asyncio.create_task(
        run_once(registry, registry.commands["flux"], arguments(registry, "flux", size=[64, 64]), config)
    )
    await comfyui.wait_for(lambda backend: backend.held == {"sampler"})

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    await comfyui.wait_for(lambda backend: backend.running is None)
    assert comfyui.finished == []


async def test_it_leaves_no_history_when_it_is_done_or_has_failed(registry, config, comfyui):
    given = arguments(registry, "flux", size=[64, 64])

    await run_once(registry, registry.commands["flux"], given, config)
    assert comfyui.posts.total() == 1
    assert comfyui.finished == []

    comfyui.faults.fail = {"sampler": "no"}
    with pytest.raises(NodeFailed):
        await run_once(registry, registry.commands["flux"], given | {"seed": 9}, config)
    assert comfyui.posts.total() == 2
    assert comfyui.finished == []
