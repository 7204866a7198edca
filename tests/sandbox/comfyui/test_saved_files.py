"""Names, numbers and contents of the files that a run leaves."""

import io
import json
import time
from typing import Any

import av
import pytest
from PIL import Image

from runtime.sandbox.comfyui import SandboxComfyUI
from tests.sandbox.comfyui import graphs
from tests.sandbox.comfyui.client import Client, Json


async def names(client: Client, graph: Json, prompt_id: str) -> list[str]:
    return [entry["filename"] for entry in await client.saved(graph, prompt_id)]


async def test_files_are_numbered_per_prefix(client: Client) -> None:
    assert await names(client, graphs.plain(1, prefix="a", batch=2), "1") == ["a_00001_.png", "a_00002_.png"]
    assert await names(client, graphs.plain(2, prefix="b"), "2") == ["b_00001_.png"]
    assert await names(client, graphs.plain(3, prefix="a"), "3") == ["a_00003_.png"]


async def test_a_prefix_may_contain_folders_and_variables(client: Client) -> None:
    entry = (await client.saved(graphs.plain(prefix="job/%year%/out_%width%x%height%")))[0]

    year = time.localtime().tm_year
    assert entry == {"filename": "out_64x64_00001_.png", "subfolder": f"job/{year}", "type": "output"}


async def test_a_prefix_that_leaves_the_folder_fails_when_run(client: Client) -> None:
    failure = (await client.run(graphs.plain(prefix="../../evil")))["status"]["messages"][-1][1]

    assert failure["exception_type"] == "Exception"
    assert "outside the output folder is not allowed" in failure["exception_message"]


async def test_an_identical_graph_is_answered_with_the_old_file_name(client: Client) -> None:
    first = await client.saved(graphs.sd3(), "first")
    second = await client.saved(graphs.sd3(), "second")
    other = await client.saved(graphs.sd3(seed=78), "third")

    assert first == second
    assert other != first


async def test_a_cached_answer_survives_the_file(comfyui: SandboxComfyUI, client: Client) -> None:
    await client.saved(graphs.sd3(), "first")
    comfyui.storage.delete_outputs()

    second = await client.run(graphs.sd3(), "second")
    entry = second["outputs"]["save"]["images"][0]
    assert second["status"]["status_str"] == "success"
    assert (await client.view(entry))[0] == 404

    await client.send("/free", {"free_memory": True})
    assert (await client.view((await client.saved(graphs.sd3(), "third"))[0]))[0] == 200


async def test_only_what_changed_is_run_again(client: Client) -> None:
    await client.run(graphs.sd3(seed=1), "first")

    second = await client.run(graphs.sd3(seed=2), "second")

    assert second["status"]["messages"][1][1]["nodes"] == ["negative", "latent", "model", "positive"]


async def test_of_another_workflow_only_what_both_share_stays_cached(client: Client) -> None:
    await client.run(graphs.sd3(), "first")
    await client.run(graphs.flux(), "other")

    assert (await client.run(graphs.sd3(), "again"))["status"]["messages"][1][1]["nodes"] == ["latent"]


async def test_pictures_carry_the_graph_and_the_workflow(client: Client) -> None:
    graph = graphs.sd3("my secret wish é")
    await client.run(graph, "p", extra_data={"extra_pnginfo": {"workflow": {"nodes": []}}})
    entry = (await client.get("/history/p"))["p"]["outputs"]["save"]["images"][0]

    texts = (await client.picture(entry)).text  # type: ignore[attr-defined]

    assert json.loads(texts["prompt"])["positive"]["inputs"]["text"] == "my secret wish é"
    assert json.loads(texts["workflow"]) == {"nodes": []}


async def test_metadata_can_be_turned_off(http: Any) -> None:
    async with SandboxComfyUI(pace=0, has_metadata=False) as server:
        client = Client(http, server.url)
        picture = await client.picture((await client.saved(graphs.sd3(), "p"))[0])
        _, film = await client.view((await client.saved(graphs.wan("a secret"), "q"))[0])

    assert picture.text == {}  # type: ignore[attr-defined]
    assert b"a secret" not in film


async def test_previews_go_to_temp_which_a_restart_wipes(comfyui: SandboxComfyUI, client: Client) -> None:
    graph = {"blank": graphs.plain()["blank"], "save": graphs.node("PreviewImage", images=["blank", 0])}
    entry = (await client.saved(graph))[0]

    assert entry["type"] == "temp"
    assert (await client.view(entry))[0] == 200
    await comfyui.restart()
    assert (await client.view(entry))[0] == 404


async def test_an_input_that_the_class_does_not_have_is_ignored_and_makes_the_node_run_anew(client: Client) -> None:
    def preview(mark: str) -> dict[str, Any]:
        save = graphs.node("PreviewImage", images=["blank", 0], nobody_knows=mark)
        return {"blank": graphs.plain()["blank"], "save": save}

    names = [(await client.saved(preview(mark), str(number)))[0]["filename"] for number, mark in enumerate("aab")]

    assert names[0] == names[1], "the same graph is answered from the cache"
    assert names[2] != names[0]


async def test_a_video_is_real_h264_that_a_browser_can_start_at_once(client: Client) -> None:
    graph = graphs.wan(width=96, height=64, length=9)

    entry = await client.run(graph)
    file = entry["outputs"]["save"]["images"][0]
    _, content = await client.view(file)

    assert entry["outputs"]["save"]["animated"] == [True]
    assert file == {"filename": "ComfyUI_00001_.mp4", "subfolder": "video", "type": "output"}
    assert content.index(b"moov") < content.index(b"mdat")
    with av.open(io.BytesIO(content)) as container:
        stream = container.streams.video[0]
        frames = [frame.to_image().tobytes() for frame in container.decode(stream)]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height, stream.average_rate) == (96, 64, 16)
        assert json.loads(container.metadata["prompt"])["positive"]["inputs"]["text"] == "a woman turns"
    assert len(frames) == 9
    assert len(set(frames)) == 9


@pytest.mark.parametrize(("length", "frames"), [(1, 1), (4, 1), (5, 5), (8, 5)])
async def test_a_video_has_frames_in_fours_behind_the_first(client: Client, length: int, frames: int) -> None:
    _, content = await client.view((await client.saved(graphs.wan(length=length)))[0])

    with av.open(io.BytesIO(content)) as container:
        assert len(list(container.decode(video=0))) == frames


async def test_an_animated_webp(client: Client) -> None:
    graph = {
        "blank": graphs.plain(batch=3)["blank"],
        "save": graphs.node(
            "SaveAnimatedWEBP",
            images=["blank", 0],
            filename_prefix="w",
            fps=6.0,
            lossless=True,
            quality=80,
            method="default",
        ),
    }
    outputs = (await client.run(graph))["outputs"]["save"]

    assert outputs["animated"] == [True]
    assert (await client.picture(outputs["images"][0])).format == "WEBP"


@pytest.mark.parametrize(("size", "decoded"), [((64, 128), (64, 128)), ((136, 120), (136, 120)), ((70, 67), (64, 64))])
async def test_a_picture_has_the_latents_size(client: Client, size: tuple[int, int], decoded: tuple[int, int]) -> None:
    entry = (await client.saved(graphs.sd3(width=size[0], height=size[1])))[0]

    assert (await client.picture(entry)).size == decoded


async def test_a_batch_has_different_pictures(client: Client) -> None:
    entries = await client.saved(graphs.sd3(batch=3))
    pictures = [(await client.picture(entry)).tobytes() for entry in entries]

    assert len(set(pictures)) == 3


async def test_latents_can_be_repeated_and_pictures_picked(client: Client) -> None:
    graph = graphs.sd3(batch=2)
    graph["more"] = graphs.node("RepeatLatentBatch", samples=["latent", 0], amount=2)
    graph["sampler"]["inputs"]["latent_image"] = ["more", 0]
    graph["pick"] = graphs.node("ImageFromBatch", image=["decode", 0], batch_index=1, length=2)
    graph["picked"] = graphs.node("SaveImage", images=["pick", 0], filename_prefix="picked")

    outputs = (await client.run(graph))["outputs"]

    whole = [(await client.picture(entry)).tobytes() for entry in outputs["save"]["images"]]
    assert len(set(whole)) == 4
    picked = [(await client.picture(entry)).tobytes() for entry in outputs["picked"]["images"]]
    assert picked == whole[1:3]


async def test_pictures_can_be_inverted_scaled_and_cropped(client: Client) -> None:
    graph = {
        "blank": graphs.node("EmptyImage", width=80, height=40, batch_size=1, color=0xFFFFFF),
        "invert": graphs.node("ImageInvert", image=["blank", 0]),
        "scale": graphs.node(
            "ImageScale", image=["invert", 0], upscale_method="lanczos", width=0, height=20, crop="disabled"
        ),
        "crop": graphs.node("ImageCrop", image=["scale", 0], width=999, height=5, x=10, y=10),
        "save": graphs.node("SaveImage", images=["crop", 0], filename_prefix="x"),
    }
    picture = await client.picture((await client.saved(graph))[0])

    assert (picture.size, picture.getpixel((0, 0))) == ((30, 5), (0, 0, 0))


async def test_an_edit_is_scaled_to_a_megapixel_and_cut_to_whole_cells(client: Client) -> None:
    file = io.BytesIO()
    Image.new("RGB", (300, 200), "red").save(file, "PNG")
    await client.upload(file.getvalue(), "u.png")

    picture = await client.picture((await client.saved(graphs.qwen("u.png")))[0])

    assert picture.size == (1248, 832)


async def test_a_picture_too_large_for_the_card_runs_out_of_memory(client: Client) -> None:
    failure = (await client.run(graphs.sd3(width=16384, height=16384)))["status"]["messages"][-1][1]

    assert (failure["node_id"], failure["exception_type"]) == ("decode", "torch.OutOfMemoryError")
