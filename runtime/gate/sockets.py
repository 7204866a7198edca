"""The event socket, from ComfyUI to the client."""

import asyncio

from aiohttp import WSMsgType, web

from runtime.gate.answers import refused
from runtime.gate.events import EventFilter
from runtime.gate.ledger import Ledger
from runtime.gate.requests import SMALL_BYTES, identifier
from runtime.gate.results import Results
from runtime.gate.upstream import Upstream
from runtime.transport import Socket, TransportError


class SocketRoutes:
    """The handler of GET /ws."""

    def __init__(self, upstream: Upstream, ledger: Ledger, results: Results) -> None:
        self._upstream, self._ledger, self._results = upstream, ledger, results
        self._stop = asyncio.Event()

    async def close(self, _: web.Application) -> None:
        """End every socket."""
        self._stop.set()

    async def events(self, request: web.Request) -> web.StreamResponse:
        """The events of own prompts.

        The client is told of a good end only if ComfyUI's socket is known to be closed: then it may use its id again,
        and with an older socket of that id it would hear nothing.
        """
        client_id = identifier(request.query.get("clientId"))
        downstream = web.WebSocketResponse(max_msg_size=SMALL_BYTES)
        if client_id is None or not downstream.can_prepare(request):
            raise refused(web.HTTPForbidden, "an event socket is a WebSocket that names its clientId")
        async with self._upstream.websocket(client_id) as upstream:
            await downstream.prepare(request)
            await self._pass(upstream, downstream)
            is_closed = await upstream.close()
        if is_closed:
            await downstream.close()
        elif request.transport is not None:
            request.transport.abort()
        return downstream

    async def _pass(self, upstream: Socket, downstream: web.WebSocketResponse) -> None:
        """Until one of the three ends: ComfyUI, the client, the gate."""
        tasks: list[asyncio.Task[object]] = [
            asyncio.create_task(_to_client(upstream, downstream, EventFilter(self._ledger, self._results))),
            asyncio.create_task(_from_client(downstream, upstream)),
            asyncio.create_task(self._stop.wait()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for fault in ended:
            if isinstance(fault, Exception) and not isinstance(fault, TransportError | ConnectionError):
                raise fault


async def _to_client(upstream: Socket, downstream: web.WebSocketResponse, events: EventFilter) -> None:
    while (frame := await upstream.receive()) is not None:
        if isinstance(frame, str):
            passed = events.text(frame)
            if passed is not None:
                await downstream.send_str(passed)
        else:
            picture = events.binary(frame)
            if picture is not None:
                await downstream.send_bytes(picture)


async def _from_client(downstream: web.WebSocketResponse, upstream: Socket) -> None:
    async for message in downstream:
        if message.type == WSMsgType.TEXT and (passed := EventFilter.from_client(message.data)) is not None:
            await upstream.send(passed)
