import asyncio
import json
import socket

import pytest
from aiohttp import web

from runtime.comfyui import (
    BackendMisconfigured,
    BackendUnreachable,
    ComfyClient,
    EventHub,
    OutputFile,
    OutputMissing,
    Prompt,
    Queue,
    UnexpectedAnswer,
    UploadRefused,
    WorkflowRejected,
    run_prompt,
)
from runtime.sandbox.comfyui import SandboxComfyUI
from runtime.transport import Transport
from tests.comfyui import graphs
from tests.comfyui.conftest import Serve


async def test_facts_about_the_server(client: ComfyClient) -> None:
    stats = await client.system_stats()
    assert stats.comfyui_version == "0.3.64"
    assert stats.devices[0].vram_total == 32 * 2**30
    assert (await client.features()).max_upload_bytes == 100 * 2**20
    assert "KSampler" in await client.object_info()
    assert await client.prompt_info() == 0


async def test_models_are_listed_by_folder_and_an_unknown_folder_is_none(client: ComfyClient) -> None:
    assert "ae.safetensors" in (await client.models("vae") or ())
    assert await client.models("no/such folder") is None


async def test_a_server_without_the_features_route_has_the_defaults(serve: Serve) -> None:
    client = await serve({})

    assert (await client.features()).max_upload_bytes == 100 * 2**20


async def test_the_queue_is_given_in_the_order_of_running(client: ComfyClient, comfyui: SandboxComfyUI) -> None:
    """The server lists it in heap order, with everybody's prompts, which are dropped at once."""
    comfyui.faults.hold = {"save"}
    for number in range(6):
        await client.post_prompt(f"p{number}", graphs.still(colour=number), "me")
        await comfyui.wait_for(lambda server: bool(server.running))

    queue = await client.queue()

    assert queue == Queue(running=("p0",), pending=("p1", "p2", "p3", "p4", "p5"))
    assert [queue.position(prompt_id) for prompt_id in ("p0", "p3", "nobody")] == [0, 3, None]
    assert await client.prompt_info() == 6


def test_heap_order_is_sorted_by_number() -> None:
    pending = [[number, f"p{number}", {"secret": {}}, {}, []] for number in (1, 4, 2, 7, -5)]

    queue = Queue.parse({"queue_running": [], "queue_pending": pending})

    assert queue.pending == ("p-5", "p1", "p2", "p4", "p7")


async def test_a_pending_prompt_is_deleted_without_a_trace(client: ComfyClient, comfyui: SandboxComfyUI) -> None:
    comfyui.faults.hold = {"save"}
    await client.post_prompt("first", graphs.still(), "me")
    await client.post_prompt("second", graphs.still(colour=9), "me")
    await comfyui.wait_for(lambda server: server.running == "first")

    await client.delete_pending(["second", "first", "unknown"])

    assert await client.queue() == Queue(running=("first",))
    assert await client.history("second") is None


async def test_history_can_be_forgotten(client: ComfyClient) -> None:
    await run_prompt(client, Prompt("mine", graphs.still()))
    assert await client.history("mine") is not None

    await client.delete_history(["mine"])

    assert await client.history("mine") is None


async def test_a_prompt_id_may_hold_any_characters(client: ComfyClient) -> None:
    prompt_id = "job 7/ä?#%2f"

    await run_prompt(client, Prompt(prompt_id, graphs.still()))

    history = await client.history(prompt_id)
    assert history is not None
    assert history.prompt_id == prompt_id


async def test_every_prompt_carries_a_client_id(
    client: ComfyClient, comfyui: SandboxComfyUI, transport: Transport
) -> None:
    """Without one, progress and previews would go to every connected socket."""
    await run_prompt(client, Prompt("mine", graphs.still()))
    async with EventHub(client, "me") as hub:
        await run_prompt(client, Prompt("other", graphs.still(colour=1)), hub=hub)

    async with transport.request("GET", f"{comfyui.url}/history") as reply:
        entries = json.loads(await reply.read())
    alone, shared = [entry["prompt"][3]["client_id"] for entry in entries.values()]
    assert (bool(alone), shared) == (True, "me")


async def test_an_interrupt_without_an_id_is_never_sent(client: ComfyClient, comfyui: SandboxComfyUI) -> None:
    with pytest.raises(ValueError, match="somebody else"):
        await client.interrupt("")

    assert not [seen for seen in comfyui.requests if seen.path == "/interrupt"]


async def test_an_upload_gives_the_name_the_server_chose(client: ComfyClient) -> None:
    first = await client.upload_image(b"one", "u.png")
    same = await client.upload_image(b"one", "u.png")
    other = await client.upload_image(b"two", "u.png")
    inside = await client.upload_image(b"one", "u.png", subfolder="job/1")
    temporary = await client.upload_image(b"one", "u.png", type="temp")

    references = [uploaded.reference for uploaded in (first, same, other, inside, temporary)]
    assert references == ["u.png", "u.png", "u (1).png", "job/1/u.png", "u.png [temp]"]


async def test_an_upload_overwrites_only_when_told(client: ComfyClient, comfyui: SandboxComfyUI) -> None:
    await client.upload_image(b"one", "u.png")
    replaced = await client.upload_image(b"two", "u.png", overwrite=True)

    assert replaced.name == "u.png"
    async with client.view(OutputFile("", "u.png", type="input")) as reply:
        assert await reply.read() == b"two"


async def test_a_name_that_leaves_the_folder_is_refused(client: ComfyClient) -> None:
    with pytest.raises(UploadRefused, match="name"):
        await client.upload_image(b"x", "u.png", subfolder="../../x")


async def test_an_upload_above_the_servers_limit_is_refused_with_its_size(transport: Transport) -> None:
    async with SandboxComfyUI(pace=0, max_upload_bytes=2000) as comfyui:
        client = ComfyClient("gpu-a", comfyui.url, transport)
        with pytest.raises(UploadRefused, match="5000 bytes"):
            await client.upload_image(bytes(5000), "u.png")


async def test_a_file_can_be_read_from_the_middle(client: ComfyClient) -> None:
    await client.upload_image(b"0123456789", "u.png")

    async with client.view(OutputFile("", "u.png", type="input"), first_byte=4) as reply:
        assert (reply.status, await reply.read()) == (206, b"456789")


async def test_a_file_that_is_gone_is_named(client: ComfyClient) -> None:
    with pytest.raises(OutputMissing, match=r"lost_00001_\.png") as caught:
        async with client.view(OutputFile("save", "lost_00001_.png")):
            pass

    assert caught.value.retry


async def test_a_rejection_names_node_input_and_limits(client: ComfyClient) -> None:
    graph = graphs.still(size=0)
    with pytest.raises(WorkflowRejected) as caught:
        await client.post_prompt("mine", graph, "me")

    assert str(caught.value).startswith("gpu-a: cannot run this workflow: node 'canvas' (EmptyImage), ")
    problem = next(problem for problem in caught.value.problems if problem.input == "width")
    assert (problem.node, problem.kind, problem.received) == ("canvas", "value_smaller_than_min", 0)
    assert problem.allowed == "1 to 16384"
    assert not caught.value.retry


async def test_nobody_listening_is_unreachable_and_nothing_was_sent(transport: Transport) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        client = ComfyClient("gpu-x", f"http://127.0.0.1:{reserved.getsockname()[1]}", transport)
        with pytest.raises(BackendUnreachable) as caught:
            await client.post_prompt("mine", {}, "me")

    assert (caught.value.backend, caught.value.retry, caught.value.may_have_arrived) == ("gpu-x", True, False)


async def test_a_hidden_service_over_direct_is_a_misconfiguration(transport: Transport) -> None:
    client = ComfyClient("gpu-x", "http://" + "a" * 56 + ".anon", transport)

    with pytest.raises(BackendMisconfigured, match="transport: anon") as caught:
        await client.queue()

    assert not caught.value.retry
    assert "aaaa" not in str(caught.value)


@pytest.mark.parametrize(("status", "retry"), [(502, True), (503, True), (429, True), (403, False), (404, False)])
async def test_a_proxys_answer_is_told_apart(
    client: ComfyClient, comfyui: SandboxComfyUI, status: int, retry: bool
) -> None:
    comfyui.faults.answers = {"*": [status]}

    with pytest.raises(UnexpectedAnswer, match=f"GET /queue answered HTTP {status}") as caught:
        await client.queue()

    assert caught.value.retry is retry


@pytest.mark.parametrize("body", ["<html>router login</html>", "[]", "{}", "null", '{"queue_running": 3}'])
async def test_something_that_is_no_comfyui_is_recognised(serve: Serve, body: str) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=body, content_type="application/json")

    client = await serve({"GET /queue": answer, "GET /system_stats": answer, "GET /prompt": answer})

    for call in (client.queue, client.system_stats, client.prompt_info):
        with pytest.raises(UnexpectedAnswer):
            await call()  # type: ignore[operator]


async def test_a_server_that_falls_silent_is_unreachable(serve: Serve) -> None:
    async def sleep(request: web.Request) -> web.Response:
        await asyncio.sleep(5)
        return web.Response()

    client = await serve({"GET /queue": sleep})
    with pytest.raises(BackendUnreachable, match="silent") as caught:
        await client.queue()

    assert caught.value.may_have_arrived


async def test_a_url_with_a_path_and_a_slash_at_its_end_works(serve: Serve, transport: Transport) -> None:
    async def stats(request: web.Request) -> web.Response:
        return web.json_response({"exec_info": {"queue_remaining": 2}})

    server = await serve({"GET /comfy/prompt": stats})
    client = ComfyClient("gpu-x", f"{server.url}/comfy/", transport)

    assert await client.prompt_info() == 2
