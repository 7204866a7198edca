"""Several people share a GPU host: what came through the gate and what did not stay apart."""

import json
from typing import Any

import aiohttp
import pytest

from runtime.comfyui import Prompt, UnexpectedAnswer, run_and_collect, run_prompt
from runtime.transport import ConnectionBroken, Socket
from tests.comfyui import graphs
from tests.gate.conftest import Guarded

SENT = {
    "canvas": graphs.node("EmptyImage", width=64, height=64, batch_size=1, color=7),
    "send": graphs.node("SaveImageWebsocket", images=["canvas", 0]),
}


async def test_the_id_of_a_prompt_posted_past_the_gate_cannot_be_taken(behind: Guarded) -> None:
    await run_and_collect(behind.near, Prompt("over", graphs.still(1)))
    behind.comfyui.faults.hold.add("canvas")
    await behind.near.post_prompt("running", graphs.still(2), "somebody")

    for prompt_id in ("over", "running"):
        with pytest.raises(UnexpectedAnswer) as raised:
            await behind.client.post_prompt(prompt_id, graphs.still(3), "me")
        assert raised.value.status == 409
    behind.comfyui.faults.hold.clear()

    assert await behind.client.history("over") is None
    assert behind.comfyui.posts["over"] == 1


async def test_a_client_cannot_take_the_events_of_another_by_its_id(behind: Guarded) -> None:
    async with behind.near.events("somebody"), behind.client.events("somebody"):
        assert len(behind.comfyui.clients) == 2


async def test_a_picture_sent_over_the_socket_arrives(behind: Guarded) -> None:
    _, outputs = await run_and_collect(behind.client, Prompt("mine", SENT))

    assert outputs[0].content.startswith(b"\x89PNG")


async def test_a_picture_that_comfyui_sends_to_everybody_does_not_pass(behind: Guarded) -> None:
    heard: list[str | bytes] = []
    async with behind.client.events("me") as socket:
        await behind.client.post_prompt("mine", graphs.still(1), "me")
        await behind.comfyui.wait_for(lambda server: "mine" in server.finished)
        body = {"prompt": SENT, "prompt_id": "foreign"}  # without a client_id: sent to every socket
        async with behind.session.post(f"{behind.comfyui.url}/prompt", json=body) as answer:
            assert answer.status == 200
        await behind.comfyui.wait_for(lambda server: "foreign" in server.finished)
        await behind.client.post_prompt("last", graphs.still(2), "me")
        while not heard or "last" not in str(heard[-1]):
            frame = await socket.receive()
            assert frame is not None
            heard.append(frame)

    assert not [frame for frame in heard if isinstance(frame, bytes)]
    assert not [frame for frame in heard if "foreign" in str(frame)]


async def test_names_of_uploads_are_not_told_and_change_nothing_in_object_info(behind: Guarded) -> None:
    _, outputs = await run_and_collect(behind.near, Prompt("picture", graphs.still(1)))
    before = await behind.client.object_info_since("")
    await behind.near.upload_image(outputs[0].content, "aunt-mary.png")
    await behind.client.upload_image(outputs[0].content, "mine.png")

    assert before is not None
    assert await behind.client.object_info_since(before.etag) is None
    async with behind.session.get(f"{behind.url}/object_info") as answer:
        classes = await answer.json()
    assert "aunt-mary" not in json.dumps(classes)
    assert classes["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0]  # what models there are is told


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://127.0.0.1:8188"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Host": "rebound.example"},
        {"Host": ""},
        {"Host": "127.0.0.1.rebound.example"},
    ],
)
async def test_a_page_in_a_browser_on_the_gpu_host_gets_nothing(behind: Guarded, headers: dict[str, str]) -> None:
    seen = len(behind.comfyui.requests)

    async with behind.session.post(f"{behind.url}/free", data="{}", headers=headers) as answer:
        assert answer.status in (400, 403)

    assert len(behind.comfyui.requests) == seen


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost", "[::1]:80", f"{'a' * 56}.anon", f"{'a' * 56}.anyone:80"])
async def test_the_service_is_asked_by_its_address(behind: Guarded, host: str) -> None:
    async with behind.session.get(f"{behind.url}/prompt", headers={"Host": host}) as answer:
        assert answer.status == 200


async def test_no_answer_tells_which_python_runs_here(behind: Guarded) -> None:
    for path in ("/prompt", "/nowhere"):
        async with behind.session.get(behind.url + path) as answer:
            assert answer.headers["Server"] == "veilrun"


@pytest.mark.parametrize("headers", [{}, {"Connection": "Upgrade", "Upgrade": "other"}])
async def test_only_a_websocket_is_given_events(behind: Guarded, headers: dict[str, Any]) -> None:
    async with behind.session.get(f"{behind.url}/ws?clientId=me", headers=headers) as answer:
        assert answer.status == 403

    assert behind.comfyui.clients == []


async def test_an_event_socket_without_a_client_id_is_refused(behind: Guarded) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await behind.session.ws_connect(f"{behind.url}/ws")

    assert behind.comfyui.clients == []


async def test_a_good_end_of_the_socket_is_told_as_one(behind: Guarded) -> None:
    async with behind.client.events("me") as socket:
        await socket.receive()
        await behind.comfyui.restart()

        await _to_the_end(socket)
        assert await socket.close()


async def test_a_socket_that_broke_behind_the_gate_breaks_before_it(behind: Guarded) -> None:
    async with behind.client.events("me") as socket:
        await socket.receive()
        await behind.comfyui.crash()

        with pytest.raises(ConnectionBroken):
            await _to_the_end(socket)


async def test_comfyui_is_left_when_the_client_leaves(behind: Guarded) -> None:
    async with behind.client.events("me"):
        assert behind.comfyui.clients == ["gate-me"]

    await behind.comfyui.wait_for(lambda server: server.clients == [])
    await run_prompt(behind.client, Prompt("mine", graphs.still(1)))


async def _to_the_end(socket: Socket) -> None:
    while (await socket.receive()) is not None:
        pass
