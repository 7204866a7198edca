"""The websockets of a server: who is connected under which clientId, and what each is sent.

Kept from the real server because clients must survive it: a second socket with the same clientId takes the events
over, and when the first one closes the server forgets the second one too.
"""

import asyncio
import json
import struct
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from runtime.sandbox.comfyui.faults import Faults

Json = dict[str, Any]

PREVIEW = 1
PREVIEW_WITH_METADATA = 4
JPEG, PNG = 1, 2


@dataclass
class Connection:
    """One open websocket, and how many frames it was sent."""

    socket: web.WebSocketResponse
    transport: asyncio.Transport | None
    frames: int = 0
    features: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Frame:
    payload: str | bytes
    client_id: str | None


class Sockets:
    """Sends frames in order to one client or, without a client id, to everyone."""

    def __init__(self, faults: Faults, features: Json, queue_remaining: Callable[[], int]) -> None:
        self._faults, self._features, self._queue_remaining = faults, features, queue_remaining
        self._connections: dict[str, Connection] = {}
        self._outbox: asyncio.Queue[Frame] = asyncio.Queue()
        self.client_id: str | None = None
        """Who posted the prompt that runs, or ran last."""
        self.last_node_id: str | None = None

    @property
    def connected(self) -> list[str]:
        return list(self._connections)

    def send(self, event: str, payload: Json, client_id: str | None = None) -> None:
        if event not in self._faults.withhold:
            self._outbox.put_nowait(Frame(_text(event, payload), client_id))

    def send_preview(self, picture: bytes, image_format: int, metadata: Json, client_id: str | None) -> None:
        """A binary frame of event 4 for a client that said it understands metadata, else of event 1."""
        if "preview" in self._faults.withhold:
            return
        if self.wants_metadata(client_id):
            mime = "image/png" if image_format == PNG else "image/jpeg"
            told = json.dumps({**metadata, "image_type": mime}).encode()
            frame = struct.pack(">II", PREVIEW_WITH_METADATA, len(told)) + told + picture
        else:
            frame = struct.pack(">II", PREVIEW, image_format) + picture
        self._outbox.put_nowait(Frame(frame, client_id))

    def wants_metadata(self, client_id: str | None) -> bool:
        connection = self._connections.get(client_id or "")
        return connection is not None and connection.features.get("supports_preview_metadata") is True

    def send_status(self) -> None:
        self.send("status", self._status())

    async def publish(self) -> None:
        """Deliver the outbox for ever."""
        while True:
            frame = await self._outbox.get()
            if frame.client_id is None:
                receivers = list(self._connections.values())
            else:
                receivers = [one for sid, one in self._connections.items() if sid == frame.client_id]
            for connection in receivers:
                await self._deliver(connection, frame.payload)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """GET /ws?clientId=ID until either side closes. The server sends no pings."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        sid = request.rel_url.query.get("clientId", "") or uuid.uuid4().hex
        connection = self._connections[sid] = Connection(socket, request.transport)
        try:
            await self._deliver(connection, _text("status", {**self._status(), "sid": sid}))
            if self.client_id == sid and self.last_node_id is not None:
                await self._deliver(connection, _text("executing", {"node": self.last_node_id}))
            await self._listen(connection)
        finally:
            self._connections.pop(sid, None)
        return socket

    def abort(self) -> None:
        """Cut every connection without a goodbye."""
        for connection in self._connections.values():
            if connection.transport is not None:
                connection.transport.abort()
        self._connections.clear()

    async def close(self) -> None:
        for connection in list(self._connections.values()):
            await connection.socket.close(code=1001)

    async def _listen(self, connection: Connection) -> None:
        is_first = True
        async for message in connection.socket:
            if message.type is not WSMsgType.TEXT:
                continue
            try:
                said = json.loads(message.data)
            except json.JSONDecodeError:
                continue
            if is_first and isinstance(said, dict) and said.get("type") == "feature_flags":
                connection.features = said.get("data") or {}
                await self._deliver(connection, _text("feature_flags", self._features))
            is_first = False

    async def _deliver(self, connection: Connection, payload: str | bytes) -> None:
        cut_after = self._faults.cut_websocket_after
        if cut_after is not None and connection.frames >= cut_after and connection.transport is not None:
            self._faults.cut_websocket_after = None
            connection.transport.abort()
            return
        connection.frames += 1
        try:
            if isinstance(payload, str):
                await connection.socket.send_str(payload)
            else:
                await connection.socket.send_bytes(payload)
        except (ConnectionError, RuntimeError):
            return  # gone: its own handler takes it out of the list

    def _status(self) -> Json:
        return {"status": {"exec_info": {"queue_remaining": self._queue_remaining()}}}


def _text(event: str, payload: Json) -> str:
    return json.dumps({"type": event, "data": payload})
