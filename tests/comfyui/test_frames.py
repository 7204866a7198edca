"""Pictures that come over the event socket: read from frames, waited for, and asked for again."""

import asyncio
import struct
from io import BytesIO
from typing import Any

import pytest
from aiohttp import web
from PIL import Image

from runtime.comfyui import (
    EventHub,
    Output,
    OutputMissing,
    OutputTooLarge,
    Pace,
    Prompt,
    SentPictureLost,
    posted_ids,
    run_and_collect,
)
from runtime.comfyui.client import ComfyClient
from runtime.comfyui.events import FRAME, Event
from runtime.comfyui.frames import SentPictures, read_frame, sending_nodes
from runtime.comfyui.run import rerun_of
from runtime.sandbox.comfyui import SandboxComfyUI
from tests.comfyui import graphs
from tests.comfyui.conftest import QUICK, Serve

DEADLINE = 10


def sent(colour: int = 0xFF0000, batch: int = 1) -> graphs.Graph:
    return graphs.still(colour, batch=batch) | {"save": graphs.node("SaveImageWebsocket", images=["canvas", 0])}


def frame(content: bytes, *, event: int = 1, image_format: int = 2) -> bytes:
    return struct.pack(">II", event, image_format) + content


def colours(outputs: list[Output]) -> list[Any]:
    return [Image.open(BytesIO(output.content)).convert("RGB").getpixel((0, 0)) for output in outputs]


def told(kind: str, **fields: Any) -> Event:
    return Event(kind, "p", **fields)


def test_a_frame_of_a_png_is_its_picture():
    assert read_frame(frame(b"PNG...")) == b"PNG..."


@pytest.mark.parametrize(
    "other", [b"", b"\0" * 7, frame(b""), frame(b"jpeg", image_format=1), frame(b"{}", event=4), frame(b"x", event=3)]
)
def test_any_other_frame_is_none(other: bytes):
    assert read_frame(other) is None


def test_the_sending_nodes_of_a_graph_are_those_that_are_wanted():
    graph = sent() | {"second": graphs.node("SaveImageWebsocket", images=["canvas", 0])}

    assert sending_nodes(graph, ("second", "canvas", "gone")) == ("second",)
    assert sending_nodes(graph) == ("save", "second")


def test_pictures_are_complete_when_there_are_as_many_as_the_server_said():
    pictures = SentPictures(["save"], limit_bytes=100)
    pictures.note(told("executing", node="save"))
    pictures.note(told("progress", node="save", step=0, steps=2))
    pictures.note(told(FRAME, node="save", content=frame(b"one")))
    assert not pictures.is_complete

    pictures.note(told(FRAME, node="sampler", content=frame(b"a preview")))
    pictures.note(told(FRAME, node="save", content=frame(b"two")))

    assert pictures.is_complete
    assert [output.content for output in pictures.of("save")] == [b"one", b"two"]
    assert pictures.of("other") == []


def test_without_a_word_from_the_server_nothing_is_complete():
    pictures = SentPictures(["save"], limit_bytes=100)
    pictures.note(told(FRAME, node="save", content=frame(b"one")))

    assert not pictures.is_complete


def test_where_no_node_sends_there_is_nothing_to_wait_for():
    assert SentPictures([], limit_bytes=0).is_complete


async def test_pictures_arrive_in_order_and_no_file_is_written(client: ComfyClient, comfyui: SandboxComfyUI):
    history, outputs = await run_and_collect(client, Prompt("mine", sent(batch=3), ("save",)), pace=QUICK)

    assert colours(outputs) == [(255, 0, 0)] * 3
    assert history.files == ()
    assert {output.file.type for output in outputs} == {"sent"}
    assert [path for path in comfyui.storage.root.rglob("*") if path.is_file()] == []


async def test_files_and_sent_pictures_come_in_the_order_of_the_nodes(client: ComfyClient):
    graph = sent() | {"second": graphs.node("SaveImage", images=["canvas", 0], filename_prefix="x")}

    _, outputs = await run_and_collect(client, Prompt("mine", graph, ("second", "save")), pace=QUICK)

    assert [output.file.node for output in outputs] == ["second", "save"]


async def test_two_prompts_on_one_socket_get_their_own_pictures(client: ComfyClient, comfyui: SandboxComfyUI):
    async with EventHub(client) as hub:
        runs = [
            run_and_collect(client, Prompt(str(colour), sent(colour), ("save",)), hub=hub, pace=QUICK)
            for colour in (0xFF0000, 0x00FF00, 0x0000FF)
        ]
        results = await asyncio.gather(*runs)

    assert [colours(outputs) for _, outputs in results] == [[(255, 0, 0)], [(0, 255, 0)], [(0, 0, 255)]]
    assert comfyui.posts.total() == 3


class SlowSocket:
    """A server whose history says that the prompt is over before the picture comes through its socket."""

    def __init__(self, content: bytes | None) -> None:
        self.content = content
        self.posted, self.asked = asyncio.Event(), asyncio.Event()
        self.posts: list[str] = []

    def handlers(self) -> dict[str, Any]:
        return {
            "GET /ws": self.events,
            "POST /prompt": self.post,
            "GET /queue": self.queue,
            "GET /history/{prompt_id}": self.history,
        }

    async def events(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await self.posted.wait()
        where = {"prompt_id": self.posts[-1], "node": "save"}
        await socket.send_json({"type": "executing", "data": where})
        await socket.send_json({"type": "progress", "data": where | {"value": 0, "max": 1}})
        await self.asked.wait()
        if self.content is not None:
            await socket.send_bytes(frame(self.content))
        await socket.send_json({"type": "executing", "data": where | {"node": None}})
        self.posted.clear()
        await socket.receive()
        return socket

    async def post(self, request: web.Request) -> web.StreamResponse:
        self.posts.append((await request.json())["prompt_id"])
        self.posted.set()
        return web.json_response({"prompt_id": self.posts[-1], "number": 1, "node_errors": {}})

    async def queue(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"queue_running": [], "queue_pending": []})

    async def history(self, request: web.Request) -> web.StreamResponse:
        prompt_id = request.match_info["prompt_id"]
        asyncio.get_running_loop().call_later(0.05, self.asked.set)  # the answer is there before the frame
        status = {"status_str": "success", "completed": True, "messages": []}
        return web.json_response({prompt_id: {"outputs": {}, "status": status}})


async def test_a_picture_slower_than_the_history_is_waited_for(serve: Serve):
    """Polls go over another connection, and may find the end while a large frame is still on its way."""
    server = SlowSocket(b"a picture")
    client = await serve(server.handlers())
    prompt = Prompt("mine", sent(), ("save",))

    _, outputs = await asyncio.wait_for(run_and_collect(client, prompt, pace=Pace(healthy=0.05, blind=0.05)), DEADLINE)

    assert [output.content for output in outputs] == [b"a picture"]
    assert server.posts == ["mine"]


async def test_a_picture_that_never_comes_is_an_error_after_two_more_tries(serve: Serve):
    server = SlowSocket(None)
    client = await serve(server.handlers())

    prompt = Prompt("mine", sent(), ("save",))

    with pytest.raises(SentPictureLost) as lost:
        await asyncio.wait_for(run_and_collect(client, prompt, pace=Pace(healthy=0.05, blind=0.05)), DEADLINE)

    assert lost.value.retry
    assert isinstance(lost.value, OutputMissing)
    assert server.posts == list(posted_ids("mine")[:3])


async def test_what_a_broken_socket_swallowed_is_sent_again_and_nothing_is_rendered_twice(
    client: ComfyClient, comfyui: SandboxComfyUI
):
    graph = graphs.sampled() | {"save": graphs.node("SaveImageWebsocket", images=["decode", 0])}
    comfyui.faults.hold = {"save"}
    running = asyncio.create_task(
        run_and_collect(client, Prompt("mine", graph, ("save",)), pace=Pace(healthy=0.2, blind=0.05))
    )
    await comfyui.wait_for(lambda server: server.held == {"save"})
    comfyui.faults.cut_websocket_after = 0  # with the next frame
    comfyui.faults.hold = set()

    _, outputs = await asyncio.wait_for(running, DEADLINE)

    assert len(outputs) == 1
    assert list(comfyui.posts) == ["mine", rerun_of(Prompt("mine", graph)).prompt_id]
    again = await client.history(list(comfyui.posts)[1])
    assert again is not None
    assert {"sampler", "decode"} <= again.cached


async def test_a_run_that_ended_while_nobody_listened_is_run_again_for_its_pictures(
    client: ComfyClient, comfyui: SandboxComfyUI
):
    await client.post_prompt("mine", sent(), "somebody who is gone")
    await comfyui.wait_for(lambda server: server.finished == ["mine"])

    _, outputs = await run_and_collect(client, Prompt("mine", sent(), ("save",)), resume=True, pace=QUICK)

    assert colours(outputs) == [(255, 0, 0)]
    assert comfyui.posts["mine"] == 1


async def test_ids_of_all_runs_are_known_from_the_first(client: ComfyClient, comfyui: SandboxComfyUI):
    comfyui.faults.withhold = {"preview"}

    with pytest.raises(SentPictureLost):
        await run_and_collect(client, Prompt("mine", sent(), ("save",)), pace=QUICK)

    assert set(comfyui.posts) == set(posted_ids("mine")[:3])
    assert len(posted_ids("mine")) == 4, "one more, should a file be gone as well"


async def test_pictures_have_a_bound_together(client: ComfyClient):
    with pytest.raises(OutputTooLarge):
        await run_and_collect(client, Prompt("mine", sent(batch=3), ("save",)), pace=QUICK, limit_bytes=300)
