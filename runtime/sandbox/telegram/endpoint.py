"""The HTTP side of the Bot API: /bot<token>/<method> and /file/bot<token>/<path>, with faults and journal."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

from aiohttp import web

from runtime.sandbox.telegram.calls import Call, read_call
from runtime.sandbox.telegram.errors import ApiError
from runtime.sandbox.telegram.faults import Fault
from runtime.sandbox.telegram.flood import FloodGate
from runtime.sandbox.telegram.journal import JournalEntry
from runtime.sandbox.telegram.methods import Answer, Bench, find_method

_JSON = {"Content-Type": "application/json"}
_BAD_GATEWAY = (
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n"
    "<hr><center>nginx/1.18.0</center>\r\n</body>\r\n</html>\r\n"
)


class BotEndpoint:
    """Answers the bot. Status and `error_code` are always the same number."""

    def __init__(self, bench: Bench, flood: FloodGate | None = None) -> None:
        self._bench = bench
        self._flood = flood
        self._closing = asyncio.Event()

    async def open(self, app: web.Application) -> None:
        """Begin, or begin again after `close`."""
        self._closing.clear()

    async def close(self, app: web.Application) -> None:
        """Let go of the calls left hanging, so that the server can stop."""
        self._closing.set()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/file/bot{token:[^/]*}/{path:.*}", self.download, allow_head=True),
            web.get("/bot{token:[^/]*}/{method:[^/]*}", self.answer, allow_head=False),
            web.post("/bot{token:[^/]*}/{method:[^/]*}", self.answer),
        ]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One method call over HTTP."""
        world = self._bench.world
        received_at = world.clock.time()
        call = Call(request.match_info["method"])
        fault: Fault | None = None
        try:
            world.admit(request.match_info["token"])
            call = await read_call(call.method, request.query_string, request.headers, request.content)
            fault = world.faults.strike(call.method, call.integer("chat_id") or None)
            if fault is not None and fault.kind == "slow":
                await asyncio.sleep(fault.seconds)
            if self._flood is not None:
                self._flood.check(call)
            status, body = await self._outcome(call, fault)
        except ApiError as refused:
            status, body = refused.code, refused.body()
        seconds = world.clock.time() - received_at
        world.journal.add(_entry(call, status, body, received_at, seconds, fault))
        if fault is None or fault.kind in ("slow", "error"):
            return _response(status, body)
        return await self._spoiled(request, fault, status, body)

    async def perform(self, call: Call) -> object:
        """A call that came in the answer to an update; errors stay in the journal."""
        received_at = self._bench.world.clock.time()
        try:
            status, body = await self._outcome(call, None)
        except ApiError as refused:
            status, body = refused.code, refused.body()
        self._bench.world.journal.add(_entry(call, status, body, received_at, 0.0, None))
        return body

    async def download(self, request: web.Request) -> web.StreamResponse:
        """A file by the path getFile gave."""
        world = self._bench.world
        try:
            world.admit(request.match_info["token"])
        except ApiError as refused:
            return _response(refused.code, refused.body())
        stored = world.files.by_path(request.match_info["path"])
        fault = world.faults.strike("download", None)
        if stored is None:
            return _response(404, {"ok": False, "error_code": 404, "description": "Not Found"})
        if fault is not None:
            if fault.kind == "slow":
                await asyncio.sleep(fault.seconds)
            elif fault.kind == "error":
                return _response(fault.code, ApiError(fault.code, fault.description).body())
            else:
                return await self._spoiled(request, fault, 200, {"file": "x" * 1000})
        return web.Response(body=stored.content, content_type="application/octet-stream")

    async def _outcome(self, call: Call, fault: Fault | None) -> tuple[int, dict[str, Any]]:
        name, function = find_method(call.method)
        call.method = name
        takes_effect = fault is None or fault.kind in ("slow", "cut") or fault.executed
        body: dict[str, Any] = {"ok": True, "result": None}
        if takes_effect:
            result = await function(self._bench, call)
            if isinstance(result, Answer):
                body = {"ok": True, "result": result.result, "description": result.description}
            else:
                body = {"ok": True, "result": result}
        if fault is not None and fault.kind == "error":
            parameters = {} if fault.retry_after is None else {"retry_after": fault.retry_after}
            raise ApiError(fault.code, fault.description, parameters)
        return 200, body

    async def _spoiled(
        self, request: web.Request, fault: Fault, status: int, body: dict[str, Any]
    ) -> web.StreamResponse:
        if fault.kind == "bad_gateway":
            return web.Response(status=502, text=_BAD_GATEWAY, content_type="text/html")
        if fault.kind == "hang":
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(fault.seconds or None):
                    await self._closing.wait()
        else:
            content = _encoded(body)
            response = web.StreamResponse(status=status, headers=_JSON)
            response.content_length = len(content)
            await response.prepare(request)
            await response.write(content[: len(content) // 2])
        if request.transport is not None:
            request.transport.close()
        return web.Response()


def _response(status: int, body: dict[str, Any]) -> web.Response:
    headers = dict(_JSON)
    retry_after = body.get("parameters", {}).get("retry_after")
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    return web.Response(status=status, headers=headers, body=_encoded(body))


def _entry(
    call: Call, status: int, body: dict[str, Any], received_at: float, seconds: float, fault: Fault | None
) -> JournalEntry:
    lost = fault is not None and fault.kind in ("hang", "cut")
    return JournalEntry(
        call.method,
        call.shown_arguments(),
        {name: len(upload.content) for name, upload in call.uploads.items()},
        0 if lost else (502 if fault is not None and fault.kind == "bad_gateway" else status),
        body.get("result"),
        body.get("description", ""),
        received_at,
        seconds,
        fault.kind if fault else "",
    )


def _encoded(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
