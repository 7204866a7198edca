"""The main job, through every part: a chat command becomes a picture, and the next command edits it."""

import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PIL import Image

from runtime.sandbox.telegram import Fault
from tests.conftest import Database
from tests.e2e.deployment import Deployment, deployed, picture_after

pytestmark = pytest.mark.slow


@pytest.fixture
async def deployment(database: Database, tmp_path: Path) -> AsyncIterator[Deployment]:
    async with deployed(database.dsn, tmp_path) as running:
        yield running


async def test_a_command_becomes_a_picture_and_the_next_command_edits_it(deployment: Deployment) -> None:
    chat, comfyui = deployment.chat, deployment.comfyui

    picture = await picture_after(chat, chat.send("/f an astronaut --size 512x256 --seed 7"))
    edited = await picture_after(chat, chat.send("/qwen put a t-shirt with a swan on him"))

    assert picture.content is not None
    assert Image.open(io.BytesIO(picture.content)).size == (512, 256)
    assert "🎲 7" in (picture.caption or "")
    assert comfyui.graphs[0]["sampler"]["inputs"]["seed"] == 7
    assert comfyui.graphs[1]["positive"]["inputs"]["prompt"] == "put a t-shirt with a swan on him"
    assert comfyui.uploads  # the first picture travelled to the second graph
    assert edited.content != picture.content


async def test_the_status_message_goes_when_the_picture_comes(deployment: Deployment) -> None:
    chat = deployment.chat

    asked = chat.send("/f an astronaut --size 256x256")
    picture = await picture_after(chat, asked)

    await chat.wait_until(lambda shown: [m for m in shown.messages if m.from_bot] == [picture], timeout=10)


async def test_again_makes_another_picture_and_original_sends_the_file(deployment: Deployment) -> None:
    chat = deployment.chat
    picture = await picture_after(chat, chat.send("/f an astronaut --size 256x256 --seed 7"))

    await chat.press(picture, "⬇️ Original").answered()
    document = await chat.wait_for(lambda m: m.document is not None, after=picture)
    await chat.press(picture, "🔁 Again").answered()
    again = await picture_after(chat, document)

    assert document.content is not None
    assert document.content.startswith(b"\x89PNG")
    assert b"astronaut" not in document.content  # ComfyUI writes the prompt into the PNG
    assert again.content != picture.content


async def test_several_pictures_come_as_an_album(deployment: Deployment) -> None:
    chat = deployment.chat

    asked = chat.send("/sd3 a lighthouse --n 3 --size 256x256")
    first = await picture_after(chat, asked)
    await chat.wait_until(lambda shown: sum(m.media_group_id == first.media_group_id for m in shown.messages) == 3)

    assert first.media_group_id is not None


async def test_a_video_comes_with_size_and_duration(deployment: Deployment) -> None:
    chat = deployment.chat

    asked = chat.send("/wan a wave --size 256x256 --seconds 1")
    video = await chat.wait_for(lambda m: m.video is not None, after=asked, timeout=40)

    assert video.video is not None
    assert (video.video["width"], video.video["height"], video.video["duration"]) == (256, 256, 1)


async def test_a_worker_killed_in_mid_job_loses_nothing_and_renders_once(database: Database, tmp_path: Path) -> None:
    async with deployed(
        database.dsn, tmp_path, workers=1, VEILRUN_LEASE_SECONDS="2", VEILRUN_SWEEP_SECONDS="0.3"
    ) as run:
        chat = run.chat
        run.comfyui.faults.hold.add("sampler")
        asked = chat.send("/f an astronaut --size 256x256")
        await run.comfyui.wait_for(lambda server: "sampler" in server.held, 20)
        await run.kill("worker-1")
        await run.start("worker-2")
        run.comfyui.faults.hold.clear()
        picture = await picture_after(chat, asked, timeout=40)

        assert len(run.comfyui.graphs) == 1
        assert [m for m in chat.messages if m.from_bot and m.photo] == [picture]


async def test_an_update_that_telegram_repeats_has_one_effect(deployment: Deployment) -> None:
    chat = deployment.chat
    deployment.telegram.faults.add(Fault("duplicate"))

    picture = await picture_after(chat, chat.send("/f an astronaut --size 256x256"))
    second = await picture_after(chat, chat.send("/f another --size 256x256"))

    assert [m for m in chat.messages if m.from_bot and m.photo] == [picture, second]
