"""The socket of a run through breaks. The server here records under which ids it was opened, and when."""

import asyncio
import json
from collections.abc import Awaitable, Callable

from aiohttp import web

from runtime.comfyui.client import ComfyClient
from runtime.comfyui.events import Event
from runtime.comfyui.listen import Listener
from runtime.sandbox.comfyui import SandboxComfyUI
from tests.comfyui.conftest import Serve

DEADLINE = 5


class Sockets:
    """Does with each connection what the next of `scripts` does, and notes openings and closings."""

    def __init__(self, *scripts: Callable[[web.WebSocketResponse, web.Request], Awaitable[None]]) -> None:
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


async def say_goodbye(websocket: web.WebSocketResponse, request: web.Request) -> None:
    await websocket.close()


async def cut(websocket: web.WebSocketResponse, request: web.Request) -> None:
    assert request.transport is not None
    request.transport.abort()


async def test_after_a_clean_close_the_same_id_is_taken_up_again(serve: Serve) -> None:
    sockets = Sockets(say_goodbye)
    client = await serve({"GET /ws": sockets.serve})

    async with Listener(client, "mine") as listener:
        assert [event.kind for event in await _events(listener, 2)] == ["wake", "status"]
        assert listener.is_healthy

    assert sockets.opened == ["mine", "mine"]
    assert not sockets.open_twice


async def test_after_a_cut_no_id_is_ever_used_twice(serve: Serve) -> None:
    sockets = Sockets(cut, cut)
    client = await serve({"GET /ws": sockets.serve})

    async with Listener(client, "mine") as listener:
        await sockets.wait_for_openings(3)
        assert not listener.is_healthy

    assert sockets.opened[0] == "mine"
    assert len(set(sockets.opened)) == 3


async def test_a_loss_wakes_the_reader_and_the_fresh_socket_hears_the_queue_move(serve: Serve) -> None:
    sockets = Sockets(cut)
    client = await serve({"GET /ws": sockets.serve})

    async with Listener(client, "mine") as listener:
        kinds = [event.kind for event in await _events(listener, 2)]

    assert kinds == ["wake", "status"]


async def test_a_server_that_opens_no_socket_leaves_it_unhealthy(serve: Serve) -> None:
    client = await serve({})

    async with Listener(client, "mine") as listener:
        assert not listener.is_healthy


async def test_leaving_closes_the_socket(client: ComfyClient, comfyui: SandboxComfyUI) -> None:
    async with Listener(client, "mine") as listener:
        assert listener.is_healthy
        assert comfyui.clients == ["mine"]

    await comfyui.wait_for(lambda server: server.clients == [])


async def test_frames_that_make_no_sense_are_passed_over(serve: Serve) -> None:
    async def babble(websocket: web.WebSocketResponse, request: web.Request) -> None:
        for text in ("", "null", "[]", "{", '{"type": 3}', '{"type": "progress", "data": 7}'):
            await websocket.send_str(text)
        await websocket.send_bytes(b"\x00\x00\x00\x01preview")
        await websocket.send_str(json.dumps({"type": "executing", "data": {"node": None, "prompt_id": "p"}}))
        await websocket.receive()

    client = await serve({"GET /ws": Sockets(babble).serve})

    async with Listener(client, "mine") as listener:
        assert await _events(listener, 1) == [Event("executing", "p")]


async def test_a_wait_without_events_ends_in_time(client: ComfyClient) -> None:
    async with Listener(client, "mine") as listener:
        await listener.next_events(DEADLINE)  # the status sent on connecting

        assert await listener.next_events(0.01) == []


async def _events(listener: Listener, count: int) -> list[Event]:
    found: list[Event] = []
    async with asyncio.timeout(DEADLINE):
        while len(found) < count:
            found += await listener.next_events(DEADLINE)
    return found
