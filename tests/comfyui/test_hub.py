"""The shared event socket through breaks. The server here records under which ids it was opened, and when."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from aiohttp import web

from runtime.comfyui import Prompt, run_prompt
from runtime.comfyui.client import ComfyClient
from runtime.comfyui.events import Event
from runtime.comfyui.hub import EventHub
from runtime.comfyui.listen import Subscription
from runtime.sandbox.comfyui import SandboxComfyUI
from tests.comfyui import graphs
from tests.comfyui.conftest import QUICK, Serve

DEADLINE = 5
Script: TypeAlias = Callable[[web.WebSocketResponse, web.Request], Awaitable[None]]


class Sockets:
    """Does with each connection what the next of `scripts` does, and notes openings and closings."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = list(scripts)
        self.opened: list[str] = []
        self.open_now: set[str] = set()
        self.open_twice = False
        self.changed = asyncio.Event()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        client_id = request.query["clientId"]
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        self.open_twice |= bool(self.open_now)
        self.opened.append(client_id)
        self.open_now.add(client_id)
        self.changed.set()
        try:
            await (self.scripts.pop(0) if self.scripts else stay)(websocket, request)
        finally:
            self.open_now.discard(client_id)
        return websocket

    async def wait_for_openings(self, count: int) -> None:
        async with asyncio.timeout(DEADLINE):
            while len(self.opened) < count:
                self.changed.clear()
                await self.changed.wait()


async def stay(websocket: web.WebSocketResponse, request: web.Request) -> None:
    await websocket.send_json({"type": "status", "data": {"status": {}}})
    await websocket.receive()


async def cut(websocket: web.WebSocketResponse, request: web.Request) -> None:
    assert request.transport is not None
    request.transport.abort()


def say_goodbye_after(gate: asyncio.Event) -> Script:
    async def script(websocket: web.WebSocketResponse, request: web.Request) -> None:
        await gate.wait()
        await websocket.close()

    return script


def cut_after(gate: asyncio.Event) -> Script:
    async def script(websocket: web.WebSocketResponse, request: web.Request) -> None:
        await gate.wait()
        await cut(websocket, request)

    return script


async def send(websocket: web.WebSocketResponse, kind: str, **content: object) -> None:
    await websocket.send_json({"type": kind, "data": content})


async def test_after_a_clean_close_the_same_id_is_taken_up_again(serve: Serve) -> None:
    gate = asyncio.Event()
    sockets = Sockets(say_goodbye_after(gate))
    client = await serve({"GET /ws": sockets.serve})

    async with EventHub(client, "ours") as hub:
        with hub.subscribe("p") as events:
            assert events.sign() == "ours"
            assert events.is_whole
            gate.set()
            assert await _kinds(events, 3) == ["wake", "wake", "status"]
            assert events.is_healthy
            assert not events.is_whole, "what was told in between is lost"

    assert sockets.opened == ["ours", "ours"]
    assert not sockets.open_twice


async def test_after_a_cut_no_id_is_ever_used_twice(serve: Serve) -> None:
    sockets = Sockets(cut, cut)
    client = await serve({"GET /ws": sockets.serve})

    async with EventHub(client, "ours"):
        await sockets.wait_for_openings(3)

    assert sockets.opened[0] == "ours"
    assert len(set(sockets.opened)) == 3


async def test_after_a_cut_those_posted_before_hear_the_queue_move_and_new_ones_hear_everything(serve: Serve) -> None:
    gate = asyncio.Event()
    sockets = Sockets(cut_after(gate))
    client = await serve({"GET /ws": sockets.serve})

    async with EventHub(client, "ours") as hub:
        with hub.subscribe("old") as old, hub.subscribe("new") as new:
            old.sign()
            gate.set()
            assert await _kinds(old, 3) == ["wake", "wake", "status"]

            assert new.sign() == sockets.opened[1] != "ours"
            assert new.is_healthy
            assert not old.is_healthy


async def test_a_prompt_of_somebody_else_is_never_relied_upon_to_be_heard(client: ComfyClient) -> None:
    async with EventHub(client) as hub:
        with hub.subscribe("p") as events:
            assert not events.is_healthy
            events.sign()
            assert events.is_healthy


async def test_whoever_subscribes_while_it_is_shut_makes_the_next_try_come_at_once(serve: Serve) -> None:
    sockets = Sockets(*[cut] * 5)
    client = await serve({"GET /ws": sockets.serve})

    async with EventHub(client) as hub:
        await sockets.wait_for_openings(5)  # the next pause is of seconds
        while hub.is_open:  # noqa: ASYNC110 - the loss is told to subscribers only, and one would hasten the next try
            await asyncio.sleep(0.01)
        clock = asyncio.get_running_loop().time
        began = clock()
        with hub.subscribe("p"):
            await sockets.wait_for_openings(6)

    assert clock() - began < 1


async def test_a_server_that_opens_no_socket_leaves_it_unhealthy(serve: Serve) -> None:
    client = await serve({})

    async with EventHub(client) as hub:
        with hub.subscribe("p") as events:
            events.sign()
            assert not events.is_healthy


async def test_leaving_closes_the_socket(client: ComfyClient, comfyui: SandboxComfyUI) -> None:
    async with EventHub(client, "ours") as hub:
        assert hub.is_open
        assert comfyui.clients == ["ours"]

    await comfyui.wait_for(lambda server: server.clients == [])


async def test_frames_that_make_no_sense_are_passed_over(serve: Serve) -> None:
    async def babble(websocket: web.WebSocketResponse, request: web.Request) -> None:
        await subscribed.wait()
        for text in ("", "null", "[]", "{", '{"type": 3}', '{"type": "progress", "data": 7}'):
            await websocket.send_str(text)
        for output in (7, {"images": [7, {"filename": None}]}, {"images": "x"}):
            await send(websocket, "executed", node="save", prompt_id="p", output=output)
        await websocket.send_bytes(b"\x00\x00\x00\x01preview")
        await send(websocket, "executing", node=None, prompt_id="p")
        await websocket.receive()

    subscribed = asyncio.Event()
    client = await serve({"GET /ws": Sockets(babble).serve})

    async with EventHub(client) as hub:
        with hub.subscribe("p") as events:
            subscribed.set()
            executed = Event("executed", "p", "save")
            assert await _events(events, 4) == [executed, executed, executed, Event("executing", "p")]


async def test_each_prompt_hears_of_itself_and_all_hear_the_queue_move(serve: Serve) -> None:
    async def talk(websocket: web.WebSocketResponse, request: web.Request) -> None:
        await subscribed.wait()
        await send(websocket, "executing", node="sampler", prompt_id="a")
        await send(websocket, "executing", node="sampler", prompt_id="b")
        await send(websocket, "executing", node="whose?")
        await send(websocket, "status", status={})
        await websocket.receive()

    subscribed = asyncio.Event()
    client = await serve({"GET /ws": Sockets(talk).serve})

    async with EventHub(client) as hub:
        with hub.subscribe("a") as a, hub.subscribe("b") as b:
            subscribed.set()
            for events, prompt_id in ((a, "a"), (b, "b")):
                assert await _events(events, 2) == [Event("executing", prompt_id, "sampler"), Event("status")]


async def test_binary_frames_go_to_the_prompt_that_runs_in_their_order(serve: Serve) -> None:
    async def paint(websocket: web.WebSocketResponse, request: web.Request) -> None:
        await subscribed.wait()
        await send(websocket, "executing", node="ws", prompt_id="a")
        await websocket.send_bytes(b"one")
        await websocket.send_bytes(b"two")
        await send(websocket, "executing", node=None, prompt_id="a")
        await websocket.send_bytes(b"whose?")
        await send(websocket, "executing", node="sampler", prompt_id="b")
        await websocket.send_bytes(b"three")
        await websocket.receive()

    subscribed = asyncio.Event()
    client = await serve({"GET /ws": Sockets(paint).serve})

    async with EventHub(client) as hub:
        with hub.subscribe("a") as a, hub.subscribe("b") as b:
            subscribed.set()
            assert await _events(a, 4) == [
                Event("executing", "a", "ws"),
                Event("frame", "a", "ws", content=b"one"),
                Event("frame", "a", "ws", content=b"two"),
                Event("executing", "a"),
            ]
            assert (await _events(b, 2))[1] == Event("frame", "b", "sampler", content=b"three")


async def test_an_executed_event_names_the_files_of_its_node(client: ComfyClient, comfyui: SandboxComfyUI) -> None:
    heard: list[Event] = []

    history = await run_prompt(client, Prompt("p", graphs.still(batch=2)), on_event=heard.append, pace=QUICK)

    (executed,) = [event for event in heard if event.kind == "executed"]
    assert executed.files == history.files
    assert len(executed.files) == 2


async def test_one_socket_serves_all_prompts_of_a_process(client: ComfyClient, comfyui: SandboxComfyUI) -> None:
    async with EventHub(client) as hub:
        await asyncio.gather(
            *(run_prompt(client, Prompt(f"p{n}", graphs.sampled(seed=n)), hub=hub, pace=QUICK) for n in range(4))
        )

        routes = [seen.route for seen in comfyui.requests]
        assert routes.count("GET /ws") == 1
        assert "GET /queue" not in routes, "events led every one of them"


async def test_a_run_that_lost_its_socket_is_found_by_looking_and_the_next_one_is_led_by_events(
    client: ComfyClient, comfyui: SandboxComfyUI
) -> None:
    comfyui.faults.cut_websocket_after = 6
    async with EventHub(client) as hub:
        await run_prompt(client, Prompt("first", graphs.sampled()), hub=hub, pace=QUICK)
        await comfyui.wait_for(lambda server: server.clients == [hub.client_id])
        comfyui.requests.clear()

        await run_prompt(client, Prompt("second", graphs.sampled(seed=2)), hub=hub, pace=QUICK)

    assert [seen.route for seen in comfyui.requests] == ["POST /prompt", "GET /history/{prompt_id}"]


async def test_a_wait_without_events_ends_in_time(client: ComfyClient) -> None:
    async with EventHub(client) as hub:
        with hub.subscribe("p") as events:
            await asyncio.sleep(0.05)  # for the status sent on connecting
            await events.next_events(0)

            assert await events.next_events(0.01) == []


async def _events(subscription: Subscription, count: int) -> list[Event]:
    found: list[Event] = []
    async with asyncio.timeout(DEADLINE):
        while len(found) < count:
            found += await subscription.next_events(DEADLINE)
    return found


async def _kinds(subscription: Subscription, count: int) -> list[str]:
    return [event.kind for event in await _events(subscription, count)]
