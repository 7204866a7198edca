"""Just enough of a ComfyUI server for its front end to open workflows: the front end's files, what nodes there are."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

from aiohttp import WSMsgType, web

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

LISTS = (
    "/userdata",
    "/v2/userdata",
    "/embeddings",
    "/extensions",
    "/models",
    "/experiment/models",
    "/workflow_templates",
)
"""Routes that answer with an empty list."""


@asynccontextmanager
async def serving(front_end: Path, object_info: Mapping[str, Any]) -> AsyncIterator[str]:
    """The address of a server on loopback that serves `front_end` (the folder with index.html) and these nodes."""
    app = web.Application()
    for prefix in ("", "/api"):
        app.router.add_get(
            f"{prefix}/object_info", _always({name: _whole(name, entry) for name, entry in object_info.items()})
        )
        app.router.add_get(f"{prefix}/ws", _events)
    for route in LISTS:
        app.router.add_get(f"/api{route}", _always([]))
    app.router.add_get("/api/users", _always({"storage": "server", "migrated": True}))
    app.router.add_get("/api/settings", _always({"Comfy.TutorialCompleted": True, "Comfy.VueNodes.Enabled": False}))
    app.router.add_get("/api/queue", _always({"queue_running": [], "queue_pending": []}))
    app.router.add_get("/api/system_stats", _always({"system": {"comfyui_version": "0", "argv": []}, "devices": []}))
    app.router.add_route("*", "/api/{rest:.*}", _always({}))
    app.router.add_get("/", _page(front_end / "index.html"))
    app.router.add_static("/", front_end)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


def _whole(name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """With all that the front end wants of a description: it takes no notice of one that lacks a name or a category."""
    outputs = entry.get("output") or []
    shown = {"name": name, "display_name": name, "description": "", "category": "any", "python_module": "nodes"}
    return {**shown, "output_name": outputs, "output_is_list": [False] * len(outputs), **entry}


def _always(answer: Any) -> Handler:
    async def handler(_: web.Request) -> web.Response:
        return web.json_response(answer)

    return handler


def _page(file: Path) -> Handler:
    async def handler(_: web.Request) -> web.FileResponse:
        return web.FileResponse(file)

    return handler


async def _events(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await socket.send_json({"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 0}}, "sid": "it"}})
    async for message in socket:
        if message.type is WSMsgType.ERROR:
            break
    return socket
