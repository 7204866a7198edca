"""What a job leaves on its backend, by policy: files, history, and metadata in what is delivered."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from structlog.testing import capture_logs

from db import artifacts, jobs
from db.artifacts import NewArtifact
from runtime.api import Graph
from runtime.gate import Folders, running_gate
from runtime.sandbox.comfyui import SandboxComfyUI
from runtime.worker.render import _tell_weaker
from runtime.worker.traces import MARK, feasible, save_as, upload_folder
from tests.worker.yard import Yard, eventually, open_yard, write_registry

PROMPT = "an astronaut"
ALL_CLASSES = ("SaveImage", "PreviewImage", "SaveImageWebsocket", "SaveVideo")

Open = Callable[[str], AbstractAsyncContextManager[Yard]]


@pytest.fixture
def yard_with(yard: Yard, comfyui: SandboxComfyUI, tmp_path: Path) -> Open:
    """A yard whose backend has the given policy."""

    @asynccontextmanager
    async def opened(traces: str) -> AsyncIterator[Yard]:
        folder = tmp_path / traces
        folder.mkdir(exist_ok=True)
        async with open_yard(yard.dsn, write_registry(folder, [comfyui], traces=traces)) as one:
            yield one

    return opened


def left(comfyui: SandboxComfyUI) -> dict[str, int]:
    """How many files are in each folder of the server."""
    folders = {path.name: path for path in comfyui.storage.root.iterdir()}
    return {name: sum(path.is_file() for path in folder.rglob("*")) for name, folder in sorted(folders.items())}


def picture(colour: str = "red") -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (64, 64), colour).save(buffer, "PNG")
    return buffer.getvalue()


async def edit(yard: Yard, **given: Any) -> int:
    async with yard.pool.connection() as connection:
        photo = await artifacts.add(connection, NewArtifact("image", "image/png", chat_id=7, user_id=8), picture())
    return await yard.queue("qwen", inputs=[photo], **given)


async def made_by(yard: Yard, job_id: int) -> bytes:
    ((content,),) = await yard.rows(
        "select content from artifacts join blobs on artifact_id = id where job_id = %s", job_id
    )
    return bytes(content)


def is_clean(content: bytes) -> bool:
    return PROMPT.encode() not in content and Image.open(BytesIO(content)).info == {}


async def test_with_temp_a_picture_and_its_edit_leave_temporary_files_and_no_history(yard_with: Open, comfyui):
    async with yard_with("temp") as yard:
        first = await yard.run(await yard.queue("flux"))
        second = await yard.run(await edit(yard))

        assert (first.state, second.state) == ("collected", "collected"), second.error_detail
        assert left(comfyui) == {"input": 0, "output": 0, "temp": 3}
        assert comfyui.finished == []
        assert is_clean(await made_by(yard, first.id))
        assert is_clean(await made_by(yard, second.id))


async def test_with_none_the_uploaded_picture_is_all_there_is_on_disk(yard_with: Open, comfyui):
    async with yard_with("none") as yard:
        first = await yard.run(await yard.queue("flux", n=2))
        assert left(comfyui) == {"input": 0, "output": 0, "temp": 0}
        second = await yard.run(await edit(yard))

        assert (first.state, second.state) == ("collected", "collected"), second.error_detail
        assert left(comfyui) == {"input": 0, "output": 0, "temp": 1}
        assert comfyui.finished == []
        assert is_clean(await made_by(yard, second.id))
        assert await yard.rows("select backend_file from artifacts where job_id = %s", second.id) == [(None,)]
        assert "GET /view" not in {seen.route for seen in comfyui.requests}


async def test_with_keep_everything_stays_and_what_is_delivered_is_clean_all_the_same(yard_with: Open, comfyui):
    async with yard_with("keep") as yard:
        first = await yard.run(await yard.queue("flux"))
        second = await yard.run(await edit(yard))

        assert left(comfyui) == {"input": 1, "output": 2, "temp": 0}
        assert comfyui.finished == [first.prompt_id, second.prompt_id]
        assert is_clean(await made_by(yard, first.id))
        kept = await yard.rows("select backend_file from artifacts where job_id = %s", first.id)
        assert kept == [(f"veilrun/{first.prompt_id}/out_00001_.png [output]",)]


@pytest.mark.parametrize("traces", ["none", "temp"])
async def test_a_video_stays_in_a_folder_of_its_own_and_its_history_goes(yard_with: Open, comfyui, traces: str):
    async with yard_with(traces) as yard:
        job = await yard.run(await yard.queue("wan", seconds=1, size=[64, 64]))

        assert job.state == "collected", job.error_detail
        assert left(comfyui) == {"input": 0, "output": 1, "temp": 0}
        assert comfyui.finished == []
        assert PROMPT.encode() not in await made_by(yard, job.id)


@pytest.mark.parametrize("traces", ["none", "temp"])
async def test_a_failed_job_leaves_no_history(yard_with: Open, comfyui, traces: str):
    comfyui.faults.fail = {"sampler": "no"}
    async with yard_with(traces) as yard:
        job = await yard.run(await yard.queue("flux"))

    assert (job.state, job.error) == ("failed", "NodeFailed")
    assert comfyui.finished == []
    assert left(comfyui) == {"input": 0, "output": 0, "temp": 0}


async def test_a_try_that_failed_leaves_no_history_though_the_job_goes_on(yard: Yard, comfyui):
    comfyui.faults.out_of_memory = {"sampler"}

    job = await yard.run(await yard.queue("flux"))

    assert job.state == "queued"
    assert comfyui.posts.total() == 1
    assert comfyui.finished == []


@pytest.mark.parametrize("traces", ["none", "temp"])
async def test_a_cancelled_job_leaves_no_history(yard_with: Open, comfyui, traces: str):
    comfyui.faults.hold = {"sampler"}
    async with yard_with(traces) as yard:
        job_id = await yard.queue("flux")
        running = asyncio.create_task(yard.run(job_id))
        await comfyui.wait_for(lambda backend: backend.held == {"sampler"})
        async with yard.pool.connection() as connection:
            await jobs.cancel(connection, job_id)
        job = await running

        assert job.state == "cancelled"
        await eventually(lambda: is_forgotten(comfyui))


async def test_a_prompt_that_ran_on_after_its_cancel_is_forgotten_when_it_is_over(yard: Yard, comfyui):
    """A model load cannot be cut short: the entry comes later than the end of the job."""
    comfyui.faults.hold = {"sampler"}
    job_id = await yard.queue("flux")
    running = asyncio.create_task(yard.run(job_id))
    await comfyui.wait_for(lambda backend: backend.held == {"sampler"})
    comfyui.faults.answers = {"POST /queue": [503]}  # so that nothing is stopped
    async with yard.pool.connection() as connection:
        await jobs.cancel(connection, job_id)
    assert (await running).state == "cancelled"
    assert comfyui.running is not None

    comfyui.faults.hold = set()

    await eventually(lambda: is_forgotten(comfyui))


async def test_a_history_that_cannot_be_deleted_now_is_deleted_later(yard: Yard, comfyui):
    comfyui.faults.answers = {"POST /history": [503]}

    job = await yard.run(await yard.queue("flux"))
    assert job.state == "collected"
    assert comfyui.finished == [job.prompt_id]

    await eventually(lambda: is_forgotten(comfyui))


async def test_a_rerun_is_forgotten_too(yard: Yard, comfyui):
    comfyui.faults.stale_answers = 1

    job = await yard.run(await yard.queue("flux"))

    assert job.state == "collected", job.error_detail
    assert comfyui.posts.total() == 2
    assert comfyui.finished == []


async def test_lost_frames_are_fetched_again_without_a_second_render(yard_with: Open, comfyui):
    comfyui.faults.hold = {"save"}
    async with yard_with("none") as yard:
        running = asyncio.create_task(yard.run(await yard.queue("flux")))
        await comfyui.wait_for(lambda backend: backend.held == {"save"})
        comfyui.faults.cut_websocket_after = 0
        comfyui.faults.answers = {"POST /history": [404]}  # so that the entries can be looked at
        comfyui.faults.hold = set()
        job = await running
        assert job.state == "collected", job.error_detail
        assert len(comfyui.posts) == 2
        again = await yard.workplace.fleet["gpu-1"].client.history(list(comfyui.posts)[1])

    assert again is not None
    assert {"sampler", "decode"} <= again.cached


async def test_the_same_job_twice_is_written_twice_though_the_first_file_is_gone(yard: Yard, comfyui):
    """PreviewImage has no prefix that would tell one job from another."""
    await yard.run(await yard.queue("flux", seed=5))
    comfyui.storage.wipe_temp()

    job = await yard.run(await yard.queue("flux", seed=5))

    assert job.state == "collected", job.error_detail
    assert comfyui.posts.total() == 2, "neither was run again"
    assert comfyui.last_graph["save"]["inputs"][MARK] == job.prompt_id


@pytest.mark.parametrize("traces", ["none", "temp"])
async def test_behind_a_gate_nothing_stays_at_all(yard: Yard, comfyui, tmp_path: Path, traces: str):
    folders = Folders.of(comfyui.storage.root)
    async with running_gate(comfyui.url, tmp_path / "gate", folders=folders) as gate:
        behind = SimpleNamespace(url=f"http://127.0.0.1:{gate.port}")
        async with open_yard(yard.dsn, write_registry(tmp_path, [behind], traces=traces)) as guarded:
            pictures = [await guarded.run(await guarded.queue("flux")), await guarded.run(await edit(guarded))]
            film = await guarded.run(await guarded.queue("wan", seconds=1, size=[64, 64]))

    assert [job.state for job in (*pictures, film)] == ["collected"] * 3
    assert left(comfyui) == {"input": 0, "output": 0, "temp": 0}
    assert comfyui.finished == []


async def test_without_its_class_a_policy_gives_way_to_the_next_weaker_and_says_so_once(yard_with: Open, comfyui):
    _tell_weaker.cache_clear()
    comfyui.faults.missing_classes = {"SaveImageWebsocket"}
    async with yard_with("none") as yard:
        with capture_logs() as logs:
            states = [(await yard.run(await yard.queue("flux"))).state for _ in range(2)]

    assert states == ["collected"] * 2
    assert left(comfyui) == {"input": 0, "output": 0, "temp": 2}
    told = [entry for entry in logs if entry.get("allowed")]
    assert [(entry["backend"], entry["wanted"], entry["allowed"]) for entry in told] == [("gpu-1", "none", "temp")]


async def test_a_picture_that_vanished_between_upload_and_post_is_uploaded_by_the_next_try(yard: Yard, comfyui):
    job_id = await edit(yard)
    comfyui.faults.latency = {"POST /prompt": 0.3}
    running = asyncio.create_task(yard.run(job_id))
    await comfyui.wait_for(lambda server: "POST /prompt" in {seen.route for seen in server.requests})
    comfyui.storage.wipe_temp()
    first = await running
    assert (first.state, first.error) == ("queued", "UploadGone")
    await yard.execute_sql("update jobs set run_at = now()")

    assert (await yard.run(job_id)).state == "collected"


async def is_forgotten(comfyui: SandboxComfyUI) -> bool:
    return comfyui.running is None and comfyui.finished == []


def graph() -> Graph:
    return {
        "decode": {"class_type": "VAEDecode", "inputs": {}},
        "save": {"class_type": "SaveImage", "inputs": {"images": ["decode", 0], "filename_prefix": "a"}},
        "look": {"class_type": "PreviewImage", "inputs": {"images": ["decode", 0]}},
        "film": {"class_type": "SaveVideo", "inputs": {"video": ["v", 0], "filename_prefix": "a"}},
        "other": {"class_type": "SaveSomewhere", "inputs": {"images": ["decode", 0], "filename_prefix": "a"}},
    }


def test_keep_changes_nothing():
    assert save_as(graph(), "keep", "p") == graph()


def test_temp_exchanges_the_save_nodes_of_pictures_and_marks_them_with_the_prompt():
    changed = save_as(graph(), "temp", "p")

    assert changed["save"] == {"class_type": "PreviewImage", "inputs": {"images": ["decode", 0], MARK: "p"}}
    assert changed["look"] == changed["save"]
    assert {name: changed[name] for name in ("decode", "film", "other")} == {
        name: graph()[name] for name in ("decode", "film", "other")
    }


def test_none_sends_every_picture_and_writes_none():
    changed = save_as(graph(), "none", "p")

    assert changed["save"] == {"class_type": "SaveImageWebsocket", "inputs": {"images": ["decode", 0]}}
    assert changed["look"] == changed["save"]
    assert changed["film"] == graph()["film"]


def test_the_graph_that_was_given_stays_as_it_is():
    given = graph()
    save_as(given, "none", "p")

    assert given == graph()


@pytest.mark.parametrize(
    ("wanted", "missing", "allowed"),
    [
        ("none", (), "none"),
        ("temp", (), "temp"),
        ("keep", ("PreviewImage", "SaveImageWebsocket"), "keep"),
        ("none", ("SaveImageWebsocket",), "temp"),
        ("temp", ("SaveImageWebsocket",), "temp"),
        ("temp", ("PreviewImage",), "keep"),
        ("none", ("PreviewImage",), "none"),
        ("none", ("PreviewImage", "SaveImageWebsocket"), "keep"),
    ],
)
def test_a_policy_needs_its_class(wanted, missing, allowed):
    assert feasible(graph(), wanted, set(ALL_CLASSES) - set(missing)) == allowed


def test_where_no_picture_is_saved_no_class_is_needed():
    film = {"film": graph()["film"]}

    assert feasible(film, "none", set()) == "none"


def test_inputs_are_temporary_unless_they_are_kept():
    assert [upload_folder(traces) for traces in ("none", "temp", "keep")] == ["temp", "temp", "input"]
