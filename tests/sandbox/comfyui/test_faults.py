"""The fault plan: each fault as a client meets it."""

import time
from typing import Any

import aiohttp
import pytest

from runtime.sandbox.comfyui import Faults, SandboxComfyUI, UnknownFault
from tests.sandbox.comfyui import graphs
from tests.sandbox.comfyui.client import Client

LOST = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError)


async def test_latency_holds_up_one_route_only(comfyui: SandboxComfyUI, client: Client) -> None:
    comfyui.faults.latency["GET /queue"] = 0.2
    started = time.monotonic()
    await client.get("/prompt")
    quick = time.monotonic() - started
    await client.get("/queue")

    assert quick < 0.2 <= time.monotonic() - started


async def test_a_post_can_be_lost_before_it_is_read(comfyui: SandboxComfyUI, client: Client) -> None:
    comfyui.faults.drop_prompt_before = 1
    with pytest.raises(LOST):
        await client.post(graphs.plain(), prompt_id="p")

    assert comfyui.posts["p"] == 0
    assert (await client.post(graphs.plain(), prompt_id="p"))[0] == 200


async def test_a_post_can_be_queued_and_its_answer_lost(comfyui: SandboxComfyUI, client: Client) -> None:
    comfyui.faults.drop_prompt_after = 1
    with pytest.raises(LOST):
        await client.post(graphs.plain(), prompt_id="p")
    await comfyui.wait_for(lambda server: server.finished == ["p"])

    assert comfyui.posts["p"] == 1


async def test_a_websocket_can_be_cut_after_some_frames_and_the_next_one_lives(
    comfyui: SandboxComfyUI, client: Client
) -> None:
    comfyui.faults.cut_websocket_after = 5
    async with client.listen() as listener:
        await client.post(graphs.sd3(), client_id="me", prompt_id="p")
        with pytest.raises(ConnectionError):
            await listener.until_end("p")
    await comfyui.wait_for(lambda server: server.clients == [])

    assert len(listener.frames) == 5
    assert (await client.run(graphs.sd3(seed=2), "q"))["status"]["completed"]


async def test_events_can_be_withheld(comfyui: SandboxComfyUI, client: Client) -> None:
    comfyui.faults.withhold = {"executed", "progress", "execution_success"}
    async with client.listen() as listener:
        await client.post(graphs.sd3(), client_id="me", prompt_id="p")
        await listener.until_end("p")

    assert not {"executed", "progress", "execution_success"} & set(listener.types())


async def test_the_history_can_be_empty_for_some_calls(comfyui: SandboxComfyUI, client: Client) -> None:
    await client.run(graphs.plain(), "p")
    comfyui.faults.empty_history = 2

    answers = [await client.get("/history/p") for _ in range(3)]

    assert [bool(answer) for answer in answers] == [False, False, True]


async def test_a_prompt_can_vanish_without_a_trace(comfyui: SandboxComfyUI, client: Client) -> None:
    comfyui.faults.vanish = 1
    status, _ = await client.post(graphs.plain(), prompt_id="p")

    assert status == 200
    assert await client.get("/queue") == {"queue_running": [], "queue_pending": []}
    assert await client.get("/history/p") == {}
    assert (await client.run(graphs.plain(), "p"))["status"]["completed"]


async def test_statuses_are_answered_as_listed_as_while_starting_up(comfyui: SandboxComfyUI, client: Client) -> None:
    comfyui.faults.answers["GET /system_stats"] = [503, 503]
    statuses = []
    for _ in range(3):
        async with client.http.get(f"{client.url}/api/system_stats") as answer:
            statuses.append(answer.status)

    assert statuses == [503, 503, 200]


async def test_model_files_and_classes_can_be_missing(comfyui: SandboxComfyUI, client: Client) -> None:
    comfyui.faults.missing_models.add("sd3.5_large_fp8_scaled.safetensors")
    _, no_model = await client.post(graphs.sd3())
    listed = await client.get("/models/checkpoints")
    comfyui.faults.missing_classes.add("KSampler")
    _, no_class = await client.post(graphs.sd3())

    assert no_model["node_errors"]["model"]["errors"][0]["type"] == "value_not_in_list"
    assert listed == ["flux1-dev-fp8.safetensors"]
    assert no_class["error"]["type"] == "invalid_prompt"
    assert "KSampler" not in await client.get("/object_info")


async def test_a_listed_model_file_can_be_unreadable(comfyui: SandboxComfyUI, client: Client) -> None:
    comfyui.faults.unreadable_models.add("ae.safetensors")

    failure = (await client.run(graphs.flux()))["status"]["messages"][-1][1]

    assert failure["node_type"] == "VAELoader"
    assert failure["exception_type"] == "safetensors_rust.SafetensorError"
    assert "header too small" in failure["exception_message"]


async def test_answers_can_name_lost_files_until_the_cache_is_dropped(comfyui: SandboxComfyUI, client: Client) -> None:
    comfyui.faults.stale_answers = 5
    stale = await client.run(graphs.sd3(seed=1), "p")
    entry = stale["outputs"]["save"]["images"][0]
    again = await client.run(graphs.sd3(seed=2), "q")

    assert stale["status"]["status_str"] == "success"
    assert (await client.view(entry))[0] == 404
    assert again["outputs"]["save"]["images"] == [entry]

    await client.send("/free", {"free_memory": True})
    assert (await client.view((await client.saved(graphs.sd3(seed=3), "r"))[0]))[0] == 200


async def test_a_download_can_break_off_in_the_middle(comfyui: SandboxComfyUI, client: Client) -> None:
    entry = (await client.saved(graphs.sd3()))[0]
    comfyui.faults.cut_view = 1
    with pytest.raises(LOST):
        await client.view(entry)

    assert (await client.view(entry))[0] == 200


async def test_a_node_can_be_held_and_released(comfyui: SandboxComfyUI, client: Client) -> None:
    comfyui.faults.hold.add("VAEDecode")
    await client.post(graphs.sd3(), prompt_id="p")
    await comfyui.wait_for(lambda server: server.held == {"decode"})
    assert comfyui.running == "p"
    comfyui.faults.hold.clear()

    await comfyui.wait_for(lambda server: server.finished == ["p"] and server.running is None)


async def test_a_crash_breaks_connections_and_loses_memory_but_not_files(
    comfyui: SandboxComfyUI, client: Client
) -> None:
    entry = (await client.saved(graphs.plain(), "done"))[0]
    comfyui.faults.hold.add("sampler")
    async with client.listen() as listener:
        await client.post(graphs.sd3(), client_id="me", prompt_id="p")
        await comfyui.wait_for(lambda server: server.held == {"sampler"})
        await comfyui.crash()
        with pytest.raises(ConnectionError):
            await listener.until_end("p")
    with pytest.raises(LOST):
        await client.get("/queue")

    comfyui.faults.hold.clear()
    await comfyui.start()

    assert await client.get("/queue") == {"queue_running": [], "queue_pending": []}
    assert await client.get("/history") == {}
    assert (await client.view(entry))[0] == 200
    assert (await client.run(graphs.sd3(), "p"))["status"]["completed"]
    assert comfyui.posts["p"] == 2


async def test_the_plan_can_be_set_over_http(comfyui: SandboxComfyUI, client: Client) -> None:
    _, _ = await client.send("/sandbox/faults", {"withhold": ["progress"], "vanish": 2, "latency": {"*": 0.5}})

    assert (comfyui.faults.withhold, comfyui.faults.vanish) == ({"progress"}, 2)
    assert (await client.get("/sandbox/faults"))["latency"] == {"*": 0.5}
    await client.send("/sandbox/faults", {"reset": True, "empty_history": 1})
    assert comfyui.faults == Faults(empty_history=1)


@pytest.mark.parametrize("plan", [{"nonsense": 1}, {"vanish": "often"}, {"withhold": "progress"}])
async def test_a_plan_that_makes_no_sense_is_refused(client: Client, plan: dict[str, Any]) -> None:
    status, told = await client.send("/sandbox/faults", plan)

    assert status == 400
    assert next(iter(plan)).encode() in told
    with pytest.raises(UnknownFault):
        Faults().change(plan)


async def test_the_journal_is_told_over_http(client: Client) -> None:
    await client.upload(b"x", "u.png")
    await client.run(graphs.plain(), "p")

    journal = await client.get("/sandbox/journal")

    assert journal["posts"] == {"p": 1}
    assert journal["finished"] == ["p"]
    assert [upload["name"] for upload in journal["uploads"]] == ["u.png"]
    assert {"method": "POST", "path": "/prompt", "route": "POST /prompt"} in journal["requests"]


async def test_waiting_for_what_never_comes_ends_at_its_deadline(comfyui: SandboxComfyUI) -> None:
    with pytest.raises(TimeoutError):
        await comfyui.wait_for(lambda server: False, timeout_seconds=0.05)
