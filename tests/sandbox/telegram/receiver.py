"""A bot's webhook, as small as one can be: keeps what arrives and answers as told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Self

from aiohttp import web

from runtime.sandbox.telegram.events import Waiters

Reply = Callable[[dict[str, Any]], web.Response]


def accept(update: dict[str, Any]) -> web.Response:
    return web.Response()


class Receiver:
    """`arrived` holds the updates in order, `requests` their headers. Set `reply` to answer otherwise."""

    def __init__(self) -> None:
        self.arrived: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.peers: set[Any] = set()
        self.reply: Reply = accept
        self.gates: dict[int, asyncio.Event] = {}
        self.under_way = 0
        self.most_under_way = 0
        self._waiters = Waiters()

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/hook", self._take)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/hook"
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for gate in self.gates.values():
            gate.set()
        await self._runner.cleanup()

    def hold(self, chat_id: int) -> asyncio.Event:
        """Do not answer updates of this chat until the returned event is set."""
        return self.gates.setdefault(chat_id, asyncio.Event())

    async def count(self, number: int, timeout: float = 10.0) -> list[dict[str, Any]]:
        """Wait until `number` updates have arrived."""
        async with asyncio.timeout(timeout):
            await self._waiters.until(lambda: True if len(self.arrived) >= number else None)
        return self.arrived

    def texts(self) -> list[str]:
        return [update["message"]["text"] for update in self.arrived if "message" in update]

    async def _take(self, request: web.Request) -> web.Response:
        update = json.loads(await request.read())
        self.arrived.append(update)
        self.headers.append(dict(request.headers))
        assert request.transport is not None
        self.peers.add(request.transport.get_extra_info("peername"))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        self._waiters.wake()
        try:
            gate = self.gates.get(update.get("message", {}).get("chat", {}).get("id", 0))
            if gate is not None:
                await gate.wait()
            return self.reply(update)
        finally:
            self.under_way -= 1
