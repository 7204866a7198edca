"""Many ComfyUI servers in one light process, each on a port of its own: every prompt is done as soon as it is posted.

`python -m benchmarks.throughput.backends 16` prints the ports, separated by spaces, when it listens.
"""

import asyncio
import json
import sys
import time
from typing import Any

from aiohttp import ClientSession, WSMsgType, web
from PIL import Image

from runtime.sandbox.comfyui import SandboxComfyUI, png
from runtime.supervisor import die_with_parent, stop_on_signals

OUTPUT = "save"
QUEUE = b'{"queue_running": [], "queue_pending": []}'
IDLE = b'{"exec_info": {"queue_remaining": 0}}'
HISTORY_LENGTH = 100


class Backend:
    """One server. It knows the last prompts only."""

    def __init__(self, object_info: bytes, system_stats: bytes, picture: bytes) -> None:
        self._object_info, self._system_stats, self._picture = object_info, system_stats, picture
        self._sockets: dict[str, web.WebSocketResponse] = {}
        self._history: dict[str, dict[str, Any]] = {}

    async def start(self) -> tuple[web.AppRunner, int]:
        """Listen on a free port."""
        application = web.Application()
        application.add_routes(
            [
                web.get("/ws", self._listen),
                web.get("/prompt", lambda _: _answer(IDLE)),
                web.post("/prompt", self._run),
                web.get("/queue", lambda _: _answer(QUEUE)),
                web.get("/history/{prompt_id}", self._tell),
                web.get("/view", self._view),
                web.get("/object_info", lambda _: _answer(self._object_info)),
                web.get("/system_stats", lambda _: _answer(self._system_stats)),
                *(web.post(path, lambda _: _answer(b"")) for path in ("/queue", "/history", "/interrupt", "/free")),
            ]
        )
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner, runner.addresses[0][1]

    async def _listen(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._sockets[request.query["clientId"]] = socket
        await socket.send_str('{"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 0}}}}')
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
        self._sockets.pop(request.query["clientId"], None)
        return socket

    async def _run(self, request: web.Request) -> web.Response:
        document = await request.json()
        prompt_id = document["prompt_id"]
        file = {"filename": "out_00001_.png", "subfolder": prompt_id, "type": "output"}
        shown = {"images": [file]}
        stamp = {"prompt_id": prompt_id, "timestamp": int(time.time() * 1000)}
        self._history[prompt_id] = {
            "prompt": [0, prompt_id, {}, {}, [OUTPUT]],
            "outputs": {OUTPUT: shown},
            "status": {
                "status_str": "success",
                "completed": True,
                "messages": [["execution_start", stamp], ["execution_success", stamp]],
            },
            "meta": {},
        }
        while len(self._history) > HISTORY_LENGTH:
            del self._history[next(iter(self._history))]
        socket = self._sockets.get(document.get("client_id", ""))
        if socket is not None:
            await socket.send_str(_event("execution_start", stamp))
            await socket.send_str(_event("executed", {"node": OUTPUT, "output": shown, "prompt_id": prompt_id}))
            await socket.send_str(_event("executing", {"node": None, "prompt_id": prompt_id}))
        return web.json_response({"prompt_id": prompt_id, "number": 0, "node_errors": {}})

    async def _tell(self, request: web.Request) -> web.Response:
        entry = self._history.get(request.match_info["prompt_id"])
        return web.json_response({} if entry is None else {request.match_info["prompt_id"]: entry})

    async def _view(self, _: web.Request) -> web.Response:
        return web.Response(body=self._picture, content_type="image/png")


async def _answer(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")


def _event(kind: str, content: dict[str, Any]) -> str:
    return json.dumps({"type": kind, "data": content})


async def facts() -> tuple[bytes, bytes]:
    """What every ComfyUI server tells of itself: GET /object_info and GET /system_stats."""
    async with SandboxComfyUI() as comfyui, ClientSession() as session:
        bodies = []
        for route in ("/object_info", "/system_stats"):
            async with session.get(comfyui.url + route) as answer:
                bodies.append(await answer.read())
    return bodies[0], bodies[1]


async def main(count: int) -> None:
    stop = stop_on_signals()
    object_info, system_stats = await facts()
    picture = png.encode(Image.new("RGB", (64, 64), (96, 104, 112)))
    started = [await Backend(object_info, system_stats, picture).start() for _ in range(count)]
    print(*(port for _, port in started), flush=True)
    await stop.wait()
    for runner, _ in started:
        await runner.cleanup()


if __name__ == "__main__":
    die_with_parent()
    asyncio.run(main(int(sys.argv[1])))
