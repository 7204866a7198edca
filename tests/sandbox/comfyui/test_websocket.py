"""Who is told what on the websocket, and what happens on reconnects."""

import asyncio

import pytest

from runtime.sandbox.comfyui import SandboxComfyUI
from tests.sandbox.comfyui import graphs
from tests.sandbox.comfyui.client import Client


async def test_the_first_frame_is_a_status_with_the_client_id(client: Client) -> None:
    async with client.listen("mine") as listener:
        first = listener.frames[0]

    assert first == {"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 0}}, "sid": "mine"}}


async def test_a_socket_without_a_client_id_is_given_one(client: Client) -> None:
    async with client.http.ws_connect(f"{client.url}/ws") as socket:
        assert len((await socket.receive_json())["data"]["sid"]) == 32


async def test_feature_flags_are_answered_when_they_come_first(client: Client) -> None:
    async with client.listen() as listener:
        await listener.socket.send_json({"type": "feature_flags", "data": {"supports_preview_metadata": True}})

        assert await listener.until("feature_flags") == {
            "supports_preview_metadata": True,
            "max_upload_size": 104857600,
        }


async def test_feature_flags_are_ignored_later_and_broken_json_does_not_count(client: Client) -> None:
    async with client.listen("broken") as listener:
        await listener.socket.send_str("no json")
        await listener.socket.send_json({"type": "feature_flags", "data": {}})
        await listener.until("feature_flags")
    async with client.listen("late") as listener:
        await listener.socket.send_json({"type": "hello"})
        await listener.socket.send_json({"type": "feature_flags", "data": {}})
        assert await listener.silent_for(0.1)


async def test_everyone_gets_status_and_only_the_poster_the_rest(client: Client) -> None:
    async with client.listen("poster") as poster, client.listen("other") as other:
        await client.post(graphs.sd3(), client_id="poster", prompt_id="p")
        await poster.until_end("p")
        await other.until("status", status={"exec_info": {"queue_remaining": 0}})

    assert set(other.types()) == {"status"}


async def test_without_a_client_id_progress_goes_to_everyone_and_the_rest_to_nobody(
    comfyui: SandboxComfyUI, client: Client
) -> None:
    async with client.listen("bystander") as bystander:
        await client.post(graphs.sd3(), prompt_id="p")
        await comfyui.wait_for(lambda server: server.finished == ["p"])
        await bystander.until("status", status={"exec_info": {"queue_remaining": 0}})

    assert set(bystander.types()) == {"status", "progress_state", "progress"}


async def test_without_a_client_id_an_interruption_is_told_to_everyone(comfyui: SandboxComfyUI, client: Client) -> None:
    comfyui.faults.hold.add("sampler")
    async with client.listen("bystander") as bystander:
        await client.post(graphs.sd3(), prompt_id="p")
        await comfyui.wait_for(lambda server: server.held == {"sampler"})
        await client.send("/interrupt", {})

        assert (await bystander.until("execution_interrupted"))["prompt_id"] == "p"


async def test_events_for_an_id_that_is_not_connected_are_dropped(comfyui: SandboxComfyUI, client: Client) -> None:
    await client.post(graphs.sd3(), client_id="late", prompt_id="p")
    await comfyui.wait_for(lambda server: server.finished == ["p"])

    async with client.listen("late") as listener:
        assert await listener.silent_for(0.1)


async def test_the_client_id_is_fixed_when_the_prompt_is_posted(comfyui: SandboxComfyUI, client: Client) -> None:
    comfyui.faults.hold.add("sampler")
    async with client.listen("old") as old, client.listen("new") as new:
        await client.post(graphs.sd3(), client_id="old", prompt_id="p")
        await comfyui.wait_for(lambda server: server.held == {"sampler"})
        comfyui.faults.hold.clear()
        await old.until_end("p")

    assert set(new.types()) == {"status"}


async def test_reconnecting_in_mid_run_tells_the_node_without_a_prompt_id_and_goes_on(
    comfyui: SandboxComfyUI, client: Client
) -> None:
    comfyui.faults.hold.add("sampler")
    async with client.listen("me"):
        await client.post(graphs.sd3(), client_id="me", prompt_id="p")
        await comfyui.wait_for(lambda server: server.held == {"sampler"})
    await comfyui.wait_for(lambda server: server.clients == [])

    async with client.listen("me") as again:
        assert await again.next() == {"type": "executing", "data": {"node": "sampler"}}
        comfyui.faults.hold.clear()
        await again.until_end("p")

    assert again.types()[0:2] == ["status", "executing"]


async def test_reconnecting_after_the_end_replays_nothing(client: Client) -> None:
    async with client.listen("me") as listener:
        await client.post(graphs.plain(), client_id="me", prompt_id="p")
        await listener.until_end("p")

    async with client.listen("me") as again:
        assert await again.silent_for(0.1)


async def test_a_second_socket_of_the_same_id_takes_over_and_falls_silent_when_the_first_one_closes(
    comfyui: SandboxComfyUI, client: Client
) -> None:
    async with client.listen("me") as first, client.listen("me") as second:
        await client.post(graphs.plain(1), client_id="me", prompt_id="p")
        await second.until_end("p")
        assert first.types() == ["status"]

        await first.socket.close()
        await comfyui.wait_for(lambda server: server.clients == [])
        await client.post(graphs.plain(2), client_id="me", prompt_id="q")
        await comfyui.wait_for(lambda server: server.finished == ["p", "q"])

        assert await second.silent_for(0.1)
        assert not second.socket.closed


async def test_the_server_sends_no_pings(client: Client) -> None:
    url = f"{client.url}/ws?clientId=me"
    async with client.http.ws_connect(url, autoping=False) as socket:
        await socket.receive_json()
        with pytest.raises(TimeoutError):
            await socket.receive(0.3)


async def test_a_plain_get_of_the_websocket_is_a_bad_request(client: Client) -> None:
    async with client.http.get(f"{client.url}/ws") as answer:
        assert answer.status == 400


async def test_pictures_can_be_sent_over_the_websocket(client: Client) -> None:
    graph = {
        "blank": graphs.plain(0xFF0000, batch=2)["blank"],
        "send": graphs.node("SaveImageWebsocket", images=["blank", 0]),
    }
    async with client.listen() as listener:
        await client.post(graph, client_id="me", prompt_id="p")
        frames = await listener.until_end("p")

    pictures = [frame for frame in frames if not isinstance(frame, dict)]
    assert [picture.content[:4] for picture in pictures] == [b"\x00\x00\x00\x02"] * 2
    assert [picture.picture.getpixel((0, 0)) for picture in pictures] == [(255, 0, 0)] * 2
    assert (await client.get("/history/p"))["p"]["outputs"] == {}


async def test_many_sockets_are_served_at_once(client: Client) -> None:
    async def one(name: str) -> None:
        async with client.listen(name) as listener:
            await client.post(graphs.sd3(seed=len(name)), client_id=name, prompt_id=name)
            await listener.until_end(name)

    await asyncio.gather(*(one("x" * count) for count in range(1, 9)))
