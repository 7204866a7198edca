import asyncio

import pytest
from aiohttp import web

from runtime.comfyui import (
    BackendError,
    BackendUnreachable,
    ComfyClient,
    History,
    NoOutput,
    Output,
    OutputFile,
    OutputTooLarge,
    Prompt,
    collect,
    fetch,
    run_prompt,
)
from runtime.media import prepare_picture, probe
from runtime.sandbox.comfyui import SandboxComfyUI
from tests.comfyui import graphs
from tests.comfyui.conftest import QUICK, Serve


async def _run(client: ComfyClient, graph: graphs.Graph) -> History:
    return await run_prompt(client, Prompt("mine", graph), pace=QUICK)


async def test_every_picture_of_a_batch_comes_in_order(client: ComfyClient) -> None:
    outputs = await collect(client, await _run(client, graphs.still(batch=3)))

    assert [output.file.filename[:10] for output in outputs] == ["out_00001_", "out_00002_", "out_00003_"]
    assert len({output.file.filename for output in outputs}) == 3


async def test_a_video_is_found_under_the_key_of_images(client: ComfyClient) -> None:
    (output,) = await collect(client, await _run(client, graphs.film()))

    assert (output.media_type, output.file.subfolder) == ("video/mp4", "video")
    assert probe(output.content).kind == "video"


async def test_only_the_wanted_nodes_are_fetched_in_the_order_asked_for(
    client: ComfyClient, comfyui: SandboxComfyUI
) -> None:
    graph = graphs.still() | {
        "preview": graphs.node("PreviewImage", images=["canvas", 0]),
        "second": graphs.node("SaveImage", images=["canvas", 0], filename_prefix="second"),
    }
    history = await _run(client, graph)

    assert len(await collect(client, history)) == 3
    outputs = await collect(client, history, ["second", "preview"])
    assert [(output.file.node, output.file.type) for output in outputs] == [("second", "output"), ("preview", "temp")]


async def test_a_node_without_files_is_no_output(client: ComfyClient) -> None:
    history = await _run(client, graphs.still() | {"ws": graphs.node("SaveImageWebsocket", images=["canvas", 0])})

    with pytest.raises(NoOutput, match="'ws'"):
        await collect(client, history, ["ws"])


async def test_an_uploaded_picture_is_worked_on_and_comes_back(client: ComfyClient) -> None:
    (first,) = await collect(client, await _run(client, graphs.still(colour=0x3366CC)))
    prepared = prepare_picture(first.content)
    uploaded = await client.upload_image(prepared.content, f"{first.digest}{prepared.suffix}", subfolder="veilrun")

    history = await run_prompt(client, Prompt("edit", graphs.edited(uploaded.reference)), pace=QUICK)

    assert (await collect(client, history))[0].content != first.content


async def test_a_download_cut_in_the_middle_is_taken_up_where_it_ended(
    client: ComfyClient, comfyui: SandboxComfyUI
) -> None:
    history = await _run(client, graphs.still(size=256))
    (whole,) = await collect(client, history)
    comfyui.faults.cut_view = 2

    (resumed,) = await collect(client, history)

    assert resumed.content == whole.content


async def test_a_download_that_keeps_breaking_is_given_up(client: ComfyClient, comfyui: SandboxComfyUI) -> None:
    history = await _run(client, graphs.still())
    comfyui.faults.cut_view = 99

    with pytest.raises(BackendUnreachable):
        await collect(client, history)


async def test_the_bound_holds_for_all_files_together(client: ComfyClient) -> None:
    history = await _run(client, graphs.still(batch=3))
    size = len((await collect(client, history))[0].content)

    assert len(await collect(client, history, limit_bytes=3 * size)) == 3
    with pytest.raises(OutputTooLarge):
        await collect(client, history, limit_bytes=3 * size - 1)


async def test_the_bound_holds_for_a_server_that_announces_no_length(serve: Serve) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while request.transport is not None and not request.transport.is_closing():
            await response.write(bytes(50_000))
        return response

    client = await serve({"GET /view": endless})

    with pytest.raises(OutputTooLarge):
        await fetch(client, OutputFile("save", "big.png"), limit_bytes=200_000)


async def test_a_file_announced_above_the_bound_is_not_even_begun(serve: Serve) -> None:
    async def huge(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = 10**10
        await response.prepare(request)
        await asyncio.sleep(5)
        return response

    client = await serve({"GET /view": huge})

    with pytest.raises(OutputTooLarge):
        await asyncio.wait_for(fetch(client, OutputFile("save", "big.png")), 1)


async def test_a_file_of_the_input_folder_is_no_result(client: ComfyClient) -> None:
    history = History("mine", "success", files=(OutputFile("photo", "u.png", type="input"),))

    with pytest.raises(NoOutput):
        await collect(client, history)


async def test_a_file_that_changes_while_it_is_read_is_read_anew(serve: Serve) -> None:
    """The first half is of the old file, and the rest would be of the new one."""
    versions = iter([(b"old-old-", '"1"'), (b"new-new-", '"2"'), (b"new-new-", '"2"')])

    async def view(request: web.Request) -> web.StreamResponse:
        content, etag = next(versions)
        start = int((request.headers.get("Range") or "bytes=0-")[6:].partition("-")[0])
        response = web.StreamResponse(status=206 if start else 200, headers={"ETag": etag})
        if start:
            response.headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        response.content_length = len(content) - start
        await response.prepare(request)
        if content == b"old-old-":
            await response.write(content[:4])
            assert request.transport is not None
            request.transport.abort()
        else:
            await response.write(content[start:])
        return response

    client = await serve({"GET /view": view})

    assert (await fetch(client, OutputFile("save", "x.png"))).content == b"new-new-"


async def test_a_file_that_shrank_is_read_anew(serve: Serve) -> None:
    answers = iter(["cut", 416, "whole"])

    async def view(request: web.Request) -> web.StreamResponse:
        answer = next(answers)
        if answer == 416:
            return web.Response(status=416)
        response = web.StreamResponse()
        response.content_length = 100 if answer == "cut" else 4
        await response.prepare(request)
        await response.write(b"tiny")
        if answer == "cut":
            assert request.transport is not None
            request.transport.abort()
        return response

    client = await serve({"GET /view": view})

    assert (await fetch(client, OutputFile("save", "x.png"))).content == b"tiny"


async def test_a_refused_view_is_no_missing_file(client: ComfyClient) -> None:
    with pytest.raises(BackendError, match="GET /view answered HTTP 400"):
        await fetch(client, OutputFile("save", "../secret.png"))


def test_content_does_not_show_in_a_log(client: ComfyClient) -> None:
    assert "secret" not in repr(Output(OutputFile("save", "x.png"), "image/png", b"secret"))
