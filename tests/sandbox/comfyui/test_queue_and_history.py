"""Queue, history and their controls."""

from typing import Any

import pytest

from runtime.sandbox.comfyui import SandboxComfyUI
from tests.sandbox.comfyui import graphs
from tests.sandbox.comfyui.client import Client


@pytest.fixture
async def busy(comfyui: SandboxComfyUI, client: Client) -> Client:
    """A client of a server whose first prompt, "running", is held at its sampler."""
    comfyui.faults.hold.add("sampler")
    await client.post(graphs.sd3(), prompt_id="running")
    await comfyui.wait_for(lambda server: server.held == {"sampler"})
    return client


async def finish(comfyui: SandboxComfyUI, count: int) -> list[str]:
    comfyui.faults.hold.clear()
    await comfyui.wait_for(lambda server: len(server.finished) == count)
    return comfyui.finished


async def test_prompts_run_one_at_a_time_in_the_order_of_number_and_front(
    comfyui: SandboxComfyUI, busy: Client
) -> None:
    await busy.post(graphs.plain(1), prompt_id="second")
    await busy.post(graphs.plain(2), prompt_id="front", front=True)
    await busy.post(graphs.plain(3), prompt_id="latest front", front=True)
    await busy.post(graphs.plain(4), prompt_id="first of all", number=-5000)
    await busy.post(graphs.plain(5), prompt_id="third")

    order = await finish(comfyui, 6)

    assert order == ["running", "first of all", "latest front", "front", "second", "third"]


async def test_the_queue_shows_full_items(busy: Client) -> None:
    await busy.post(graphs.plain(), prompt_id="next", client_id="me", extra_data={"note": 1})

    queue = await busy.get("/queue")

    assert [item[1] for item in queue["queue_running"]] == ["running"]
    assert queue["queue_pending"] == [[1, "next", graphs.plain(), {"note": 1, "client_id": "me"}, ["save"]]]
    assert await busy.get("/prompt") == {"exec_info": {"queue_remaining": 2}}


async def test_delete_takes_pending_prompts_out_without_a_trace(comfyui: SandboxComfyUI, busy: Client) -> None:
    await busy.post(graphs.plain(1), prompt_id="doomed")
    await busy.post(graphs.plain(2), prompt_id="kept")

    assert await busy.send("/queue", {"delete": ["doomed", "running", "unknown"]}) == (200, b"")

    assert comfyui.pending == ["kept"]
    assert await finish(comfyui, 2) == ["running", "kept"]
    assert await busy.get("/history/doomed") == {}


async def test_clear_drops_every_pending_prompt_of_everybody(comfyui: SandboxComfyUI, busy: Client) -> None:
    await busy.post(graphs.plain(1), client_id="a")
    await busy.post(graphs.plain(2), client_id="b")

    assert await busy.send("/queue", {"clear": True}) == (200, b"")

    assert comfyui.pending == []
    assert comfyui.running == "running"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/queue", {"delete": []}),
        ("/interrupt", {}),
        ("/interrupt", {"prompt_id": "x"}),
        ("/free", {"unload_models": True}),
        ("/history", {"clear": True}),
        ("/history", {"delete": ["x"]}),
    ],
)
async def test_controls_answer_with_an_empty_octet_stream(client: Client, path: str, body: Any) -> None:
    async with client.http.post(client.url + path, json=body) as answer:
        assert (answer.status, answer.content_type, await answer.read()) == (200, "application/octet-stream", b"")


async def test_free_without_a_body_is_a_500(client: Client) -> None:
    async with client.http.post(f"{client.url}/free") as answer:
        assert answer.status == 500


async def test_the_history_of_a_success(client: Client) -> None:
    entry = await client.run(graphs.plain(), "p")

    saved = {"images": [{"filename": "x_00001_.png", "subfolder": "", "type": "output"}]}
    assert entry["prompt"] == [0, "p", graphs.plain(), {"client_id": "runner of p"}, ["save"]]
    assert entry["outputs"] == {"save": saved}
    assert entry["meta"]["save"] == {
        "node_id": "save",
        "display_node": "save",
        "parent_node": None,
        "real_node_id": "save",
    }
    assert entry["status"]["status_str"] == "success"
    assert entry["status"]["completed"] is True
    told = [event for event, _ in entry["status"]["messages"]]
    assert told == ["execution_start", "execution_cached", "execution_success"]


async def test_the_history_of_an_error(comfyui: SandboxComfyUI, client: Client) -> None:
    comfyui.faults.fail["sampler"] = "probe failure"

    status = (await client.run(graphs.sd3(), "p"))["status"]

    event, failure = status["messages"][-1]
    assert (status["status_str"], status["completed"], event) == ("error", False, "execution_error")
    assert (failure["node_id"], failure["node_type"]) == ("sampler", "KSampler")
    assert (failure["exception_type"], failure["exception_message"]) == ("ValueError", "probe failure\n")
    assert failure["executed"] == ["model", "latent", "negative", "positive"]
    assert failure["current_inputs"]["seed"] == [77]
    assert {"traceback", "current_outputs", "prompt_id", "timestamp"} <= set(failure)


async def test_an_error_keeps_what_was_put_out_before(comfyui: SandboxComfyUI, client: Client) -> None:
    graph = graphs.plain() | {"invert": graphs.node("ImageInvert", image=["blank", 0])}
    graph["late"] = graphs.node("SaveImage", images=["invert", 0], filename_prefix="late")
    comfyui.faults.fail["late"] = "disk full"

    entry = await client.run(graph)

    assert list(entry["outputs"]) == ["save"]
    assert entry["status"]["status_str"] == "error"


async def test_out_of_memory_is_an_error_with_tips_and_unloads_the_models(
    comfyui: SandboxComfyUI, client: Client
) -> None:
    comfyui.faults.out_of_memory.add("KSampler")

    failure = (await client.run(graphs.sd3(), "p"))["status"]["messages"][-1][1]
    comfyui.faults.out_of_memory.clear()
    await client.send("/free", {"free_memory": True})
    await client.run(graphs.sd3(), "q")

    assert failure["exception_type"] == "torch.OutOfMemoryError"
    assert "you ran out of memory on your GPU" in failure["exception_message"]
    assert len(comfyui.model_loads) == 2


async def test_history_is_empty_until_the_run_is_over(comfyui: SandboxComfyUI, busy: Client) -> None:
    await busy.post(graphs.plain(), prompt_id="pending")

    assert [await busy.get(f"/history/{one}") for one in ("running", "pending", "unknown")] == [{}, {}, {}]


async def test_execution_success_comes_before_the_history_and_executing_null_after_it(
    comfyui: SandboxComfyUI, client: Client
) -> None:
    comfyui.faults.history_lag_seconds = 0.1
    async with client.listen() as listener:
        await client.post(graphs.plain(), client_id="me", prompt_id="p")
        await listener.until("execution_success")
        too_early = await client.get("/history/p")
        await listener.until_end("p")

    assert too_early == {}
    assert (await client.get("/history/p"))["p"]["status"]["completed"]


async def test_history_can_be_paged(client: Client) -> None:
    for color in range(5):
        await client.run(graphs.plain(color), str(color))

    assert list(await client.get("/history")) == ["0", "1", "2", "3", "4"]
    assert list(await client.get("/history", max_items=2)) == ["3", "4"]
    assert list(await client.get("/history", max_items=2, offset=1)) == ["1", "2"]
    assert list(await client.get("/history", offset=3)) == ["3", "4"]


async def test_history_entries_can_be_deleted_and_cleared(client: Client) -> None:
    for color in range(3):
        await client.run(graphs.plain(color), str(color))

    await client.send("/history", {"delete": ["1", "unknown"]})
    assert list(await client.get("/history")) == ["0", "2"]
    await client.send("/history", {"clear": True})
    assert await client.get("/history") == {}


async def test_a_prompt_id_posted_twice_runs_twice_and_the_second_run_takes_the_entry(
    comfyui: SandboxComfyUI, client: Client
) -> None:
    await client.run(graphs.plain(1), "same")
    await client.run(graphs.plain(2), "same")

    history = await client.get("/history")
    assert comfyui.posts["same"] == 2
    assert list(history) == ["same"]
    assert history["same"]["prompt"][0] == 1


async def test_a_restart_forgets_queue_and_history_but_not_the_files(comfyui: SandboxComfyUI, busy: Client) -> None:
    await busy.upload(b"kept", "kept.png")
    await busy.post(graphs.plain(), prompt_id="pending")
    url = comfyui.url

    await comfyui.restart()

    assert comfyui.url == url
    assert await busy.get("/queue") == {"queue_running": [], "queue_pending": []}
    assert await busy.get("/history") == {}
    assert (await busy.view({"filename": "kept.png", "type": "input"}))[1] == b"kept"


async def test_every_route_exists_below_api_too(client: Client) -> None:
    for path in ("/prompt", "/queue", "/history", "/object_info", "/system_stats", "/features", "/models/vae"):
        assert await client.get(f"/api{path}") is not None
    async with client.http.post(f"{client.url}/api/prompt", json={"prompt": graphs.plain()}) as answer:
        assert answer.status == 200
    async with client.http.ws_connect(f"{client.url}/api/ws?clientId=me") as socket:
        assert (await socket.receive_json())["data"]["sid"] == "me"
