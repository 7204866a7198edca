"""What is left on the GPU host when a job is over: nothing, and nothing else is touched."""

import asyncio
import errno
import os
import threading
from pathlib import Path

import pytest
from aiohttp import web

from runtime.comfyui import Prompt, UploadGone, WorkflowRejected, run_and_collect, run_prompt
from runtime.gate import Folders, FoldersUnusable
from runtime.gate.files import FileRef
from runtime.sandbox.comfyui import SandboxComfyUI
from tests.comfyui import graphs
from tests.gate.conftest import Guarded, guarded


def edited(name: str, colour: int = 0) -> graphs.Graph:
    """A graph that reads an uploaded picture."""
    return {
        "load": graphs.node("LoadImage", image=name),
        "save": graphs.node("SaveImage", images=["load", 0], filename_prefix=f"veilrun/{colour}/out"),
    }


async def picture(behind: Guarded, colour: int) -> bytes:
    _, outputs = await run_and_collect(behind.near, Prompt(f"picture-{colour}", graphs.still(colour, prefix="theirs")))
    return outputs[0].content


async def test_inputs_outputs_and_history_of_a_collected_job_go(behind: Guarded) -> None:
    content = await picture(behind, 1)
    before = behind.files()
    uploaded = await behind.client.upload_image(content, "in.png")
    await run_and_collect(behind.client, Prompt("mine", edited(uploaded.reference)))
    assert len(behind.files()) == len(before) + 2

    await behind.client.delete_history(["mine"])

    assert behind.files() == before
    assert await behind.near.history("mine") is None
    assert not (behind.root / "output" / "veilrun").exists()


async def test_a_picture_that_another_job_needs_stays_until_that_one_is_over(behind: Guarded) -> None:
    uploaded = await behind.client.upload_image(await picture(behind, 1), "in.png")
    await run_and_collect(behind.client, Prompt("first", edited(uploaded.reference, 1)))
    await run_and_collect(behind.client, Prompt("second", edited(uploaded.reference, 2)))

    await behind.client.delete_history(["first"])
    assert "input/in.png" in behind.files()
    await behind.client.delete_history(["second"])

    assert "input/in.png" not in behind.files()


async def test_temporary_files_go_too(behind: Guarded) -> None:
    uploaded = await behind.client.upload_image(await picture(behind, 1), "in.png", type="temp")
    graph = {
        "load": graphs.node("LoadImage", image=uploaded.reference),
        "save": graphs.node("PreviewImage", images=["load", 0]),
    }
    before = [name for name in behind.files() if name.startswith("output/")]
    await run_and_collect(behind.client, Prompt("mine", graph))

    await behind.client.delete_history(["mine"])

    assert behind.files() == before


async def test_jobs_of_others_keep_their_files_and_their_history(behind: Guarded) -> None:
    await picture(behind, 1)
    before = behind.files()

    await behind.client.delete_history(["picture-1"])

    assert behind.files() == before
    assert await behind.near.history("picture-1") is not None


async def test_what_nobody_collects_goes_after_a_while(comfyui: SandboxComfyUI, tmp_path: Path) -> None:
    async with guarded(comfyui, tmp_path / "comfyui", tmp_path / "gate") as behind:
        content = await picture(behind, 1)
        before = behind.files()
        used = await behind.client.upload_image(content, "used.png")
        await behind.client.upload_image(content, "unused.png")
        await run_prompt(behind.client, Prompt("mine", edited(used.reference)))

        await behind.gate.cleaner.sweep(keep_seconds=0)

        assert behind.files() == before
        assert await behind.near.history("mine") is None


async def test_a_job_that_still_waits_is_not_cleaned_up(comfyui: SandboxComfyUI, tmp_path: Path) -> None:
    async with guarded(comfyui, tmp_path / "comfyui", tmp_path / "gate") as behind:
        uploaded = await behind.client.upload_image(await picture(behind, 1), "in.png")
        comfyui.faults.hold.add("load")
        await behind.client.post_prompt("mine", edited(uploaded.reference), "me")

        await behind.gate.cleaner.sweep(keep_seconds=0)

        assert "input/in.png" in behind.files()
        comfyui.faults.hold.clear()
        await comfyui.wait_for(lambda server: "mine" in server.finished)


async def test_a_job_that_still_runs_is_not_forgotten_though_it_is_asked_for(behind: Guarded) -> None:
    uploaded = await behind.client.upload_image(await picture(behind, 1), "in.png")
    behind.comfyui.faults.hold.add("load")
    await behind.client.post_prompt("mine", edited(uploaded.reference), "me")

    await behind.client.delete_history(["mine"])
    stays = "input/in.png" in behind.files()
    behind.comfyui.faults.hold.clear()
    await behind.comfyui.wait_for(lambda server: "mine" in server.finished)
    await behind.client.delete_history(["mine"])

    assert stays
    assert not [name for name in behind.files() if "in.png" in name or "veilrun" in name]


async def test_nothing_goes_while_comfyui_does_not_tell_what_runs(behind: Guarded) -> None:
    uploaded = await behind.client.upload_image(await picture(behind, 1), "in.png")
    behind.comfyui.faults.hold.add("load")
    await behind.client.post_prompt("mine", edited(uploaded.reference), "me")
    behind.comfyui.faults.answers = {"GET /queue": [500]}

    with pytest.raises(web.HTTPBadGateway):
        await behind.gate.cleaner.sweep(keep_seconds=0)
    stays = "input/in.png" in behind.files()
    behind.comfyui.faults.hold.clear()

    assert stays


async def test_a_picture_for_a_prompt_that_was_refused_goes(behind: Guarded) -> None:
    uploaded = await behind.client.upload_image(await picture(behind, 1), "in.png")
    graph = {**edited(uploaded.reference), "save": graphs.node("NoSuchNode", images=["load", 0])}
    with pytest.raises(WorkflowRejected):
        await behind.client.post_prompt("mine", graph, "me")

    await behind.gate.cleaner.sweep(keep_seconds=0)

    assert "input/in.png" not in behind.files()


async def test_a_refused_repetition_does_not_make_a_prompt_a_foreign_one(behind: Guarded) -> None:
    await run_prompt(behind.client, Prompt("mine", graphs.still(1, prefix="veilrun/mine/out")))
    with pytest.raises(WorkflowRejected):
        await behind.client.post_prompt("mine", {}, "me")

    assert await behind.client.history("mine") is not None


async def test_a_picture_that_comes_in_once_more_stays_for_the_job_that_it_is_for(behind: Guarded) -> None:
    content = await picture(behind, 1)
    uploaded = await behind.client.upload_image(content, "in.png")
    await run_and_collect(behind.client, Prompt("first", edited(uploaded.reference, 1)))
    await behind.client.upload_image(content, "in.png")

    await behind.client.delete_history(["first"])
    assert "input/in.png" in behind.files()
    await run_and_collect(behind.client, Prompt("second", edited(uploaded.reference, 2)))
    await behind.client.delete_history(["second"])

    assert "input/in.png" not in behind.files()


async def test_a_picture_that_somebody_else_put_there_is_used_and_stays(behind: Guarded) -> None:
    content = await picture(behind, 1)
    await behind.near.upload_image(content, "theirs.png")
    uploaded = await behind.client.upload_image(content, "theirs.png")
    await run_and_collect(behind.client, Prompt("mine", edited(uploaded.reference)))

    await behind.client.delete_history(["mine"])
    await behind.gate.cleaner.sweep(keep_seconds=0)

    assert "input/theirs.png" in behind.files()


async def test_a_result_that_the_cache_has_from_somebody_else_is_shown_and_stays(behind: Guarded) -> None:
    graph = graphs.still(5, prefix="theirs")
    _, theirs = await run_and_collect(behind.near, Prompt("foreign", graph))
    _, mine = await run_and_collect(behind.client, Prompt("mine", graph))
    before = behind.files()

    await behind.client.delete_history(["mine"])

    assert mine[0].content == theirs[0].content
    assert behind.files() == before


async def test_a_result_that_two_jobs_of_ours_share_goes_with_the_last(behind: Guarded) -> None:
    graph = graphs.still(5, prefix="veilrun/out")
    await run_and_collect(behind.client, Prompt("first", graph))
    await run_and_collect(behind.client, Prompt("second", graph))

    await behind.client.delete_history(["first"])
    assert behind.files() != []
    await behind.client.delete_history(["second"])

    assert behind.files() == []


async def test_cleaning_goes_on_after_a_file_that_cannot_be_deleted(
    behind: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    await run_and_collect(behind.client, Prompt("mine", graphs.still(1, prefix="veilrun/out")))
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", denied)
        await behind.client.delete_history(["mine"])

    assert await behind.near.history("mine") is None
    assert len(behind.files()) == 1


def test_folders_that_are_not_comfyuis_are_told_at_start(tmp_path: Path) -> None:
    with pytest.raises(FoldersUnusable, match="input is no folder"):
        Folders.of(tmp_path).check()


def test_folders_of_another_user_are_told_at_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root, as which tests may run, has access everywhere

    with pytest.raises(FoldersUnusable, match="ComfyUI's user"):
        Folders(output=tmp_path).check()


async def test_files_of_a_job_go_though_comfyui_was_restarted_meanwhile(behind: Guarded) -> None:
    await run_and_collect(behind.client, Prompt("mine", graphs.still(1, prefix="veilrun/mine/out")))
    await behind.comfyui.restart()

    await behind.client.delete_history(["mine"])

    assert behind.files() == []


async def test_without_folders_the_history_goes_and_files_stay(comfyui: SandboxComfyUI, tmp_path: Path) -> None:
    async with guarded(comfyui, tmp_path / "comfyui", tmp_path / "gate", folders=Folders()) as behind:
        await run_and_collect(behind.client, Prompt("mine", graphs.still(1)))
        before = behind.files()

        await behind.client.delete_history(["mine"])

        assert behind.files() == before
        assert await behind.near.history("mine") is None


@pytest.mark.parametrize(
    "ref",
    [
        FileRef("output", "..", "secret"),
        FileRef("output", "../..", "secret"),
        FileRef("output", "", "../secret"),
        FileRef("output", "", "link"),
        FileRef("output", "linked", "secret"),
        FileRef("output", "", ""),
        FileRef("output", "", "."),
        FileRef("output", "/", "secret"),
        FileRef("elsewhere", "", "secret"),
        FileRef("output", "", "nul\0"),
    ],
)
def test_nothing_outside_its_folder_is_ever_deleted(tmp_path: Path, ref: FileRef) -> None:
    (tmp_path / "secret").write_text("x")
    output = tmp_path / "output"
    output.mkdir()
    (output / "link").symlink_to(tmp_path / "secret")
    (output / "linked").symlink_to(tmp_path)

    assert Folders(output=output).delete([ref]) == 0
    assert (tmp_path / "secret").exists()


async def test_a_result_of_somebody_else_stays_though_the_events_that_say_so_were_missed(behind: Guarded) -> None:
    graph = graphs.still(5, prefix="theirs")
    await run_and_collect(behind.near, Prompt("foreign", graph))
    before = behind.files()
    behind.comfyui.faults.withhold = {"execution_start", "execution_cached"}
    await run_and_collect(behind.client, Prompt("mine", graph))

    await behind.client.delete_history(["mine"])

    assert behind.files() == before


async def test_a_file_that_a_result_only_names_is_not_the_jobs_to_delete(behind: Guarded) -> None:
    theirs, _ = await run_and_collect(behind.near, Prompt("foreign", graphs.still(1, prefix="theirs")))
    file = behind.root / "output" / theirs.files[0].filename
    hour_later = int((file.stat().st_ctime + 3600) * 1000)
    await run_prompt(behind.client, Prompt("mine", graphs.still(2, prefix="veilrun/out")))
    behind.gate.cleaner.learn(
        "mine",
        {
            "outputs": {"show": {"images": [{"filename": file.name, "subfolder": "", "type": "output"}]}},
            "status": {"messages": [["execution_start", {"prompt_id": "mine", "timestamp": hour_later}]]},
        },
    )

    await behind.client.delete_history(["mine"])

    assert behind.files() == [f"output/{file.name}"]


async def test_a_job_that_comes_while_its_picture_goes_is_told_that_it_is_gone(
    behind: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploaded = await behind.client.upload_image(await picture(behind, 1), "in.png")
    await run_and_collect(behind.client, Prompt("first", edited(uploaded.reference, 1)))
    begun, may_go_on = threading.Event(), threading.Event()
    unlink = Path.unlink

    def slowly(path: Path, missing_ok: bool = False) -> None:
        begun.set()
        may_go_on.wait(5)
        unlink(path, missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", slowly)
        async with asyncio.timeout(10), asyncio.TaskGroup() as both:
            both.create_task(behind.client.delete_history(["first"]))
            await asyncio.to_thread(begun.wait, 5)
            posting = both.create_task(_refusal(behind, Prompt("second", edited(uploaded.reference, 2))))
            await asyncio.wait([posting], timeout=0.2)
            may_go_on.set()

    assert isinstance(posting.result(), UploadGone)


async def test_pictures_that_nobody_used_go_though_comfyui_is_away(behind: Guarded) -> None:
    await behind.client.upload_image(b"unused", "unused.png")
    await behind.client.post_prompt("mine", graphs.still(1), "me")
    await behind.comfyui.wait_for(lambda server: "mine" in server.finished)
    await behind.comfyui.crash()

    with pytest.raises(web.HTTPBadGateway):
        await behind.gate.cleaner.sweep(keep_seconds=0)

    assert "input/unused.png" not in behind.files()


async def _refusal(behind: Guarded, prompt: Prompt) -> WorkflowRejected | None:
    try:
        await behind.client.post_prompt(prompt.prompt_id, prompt.graph, "me")
    except WorkflowRejected as error:
        return error
    return None
