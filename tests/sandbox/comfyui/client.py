"""A bare client: requests and websockets with deadlines, nothing of ours in between."""

import io
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from PIL import Image

Json = dict[str, Any]

DEADLINE_SECONDS = 20


@dataclass(frozen=True)
class Binary:
    """A binary frame: its event number and what follows."""

    event: int
    content: bytes

    @property
    def metadata(self) -> Json:
        """Of event 4."""
        size = struct.unpack(">I", self.content[:4])[0]
        return json.loads(self.content[4 : 4 + size])

    @property
    def picture(self) -> Image.Image:
        start = 4 + struct.unpack(">I", self.content[:4])[0] if self.event == 4 else 4
        return Image.open(io.BytesIO(self.content[start:]))


class Listener:
    """One websocket and every frame it has received."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.frames: list[Json | Binary] = []

    async def next(self, timeout: float = DEADLINE_SECONDS) -> Json | Binary:
        message = await self.socket.receive(timeout)
        if message.type is aiohttp.WSMsgType.TEXT:
            frame: Json | Binary = json.loads(message.data)
        elif message.type is aiohttp.WSMsgType.BINARY:
            frame = Binary(struct.unpack(">I", message.data[:4])[0], message.data[4:])
        else:
            raise ConnectionError(message.type)
        self.frames.append(frame)
        return frame

    async def until(self, event: str, **content: Any) -> Json:
        """The next frame of that type whose data has these values; frames before it are kept in `frames`."""
        while True:
            frame = await self.next()
            if isinstance(frame, dict) and frame["type"] == event and content.items() <= frame["data"].items():
                return frame["data"]

    async def until_end(self, prompt_id: str) -> list[Json | Binary]:
        """All frames so far once the server says that the prompt is over."""
        await self.until("executing", node=None, prompt_id=prompt_id)
        return self.frames

    async def silent_for(self, seconds: float) -> bool:
        try:
            await self.next(seconds)
        except TimeoutError:
            return True
        return False

    def types(self) -> list[str]:
        return [frame["type"] if isinstance(frame, dict) else f"binary {frame.event}" for frame in self.frames]


class Client:
    """Requests to one server."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self.http, self.url = http, url

    async def post(self, graph: Json, **extra: Any) -> tuple[int, Json]:
        async with self.http.post(f"{self.url}/prompt", json={"prompt": graph, **extra}) as answer:
            return answer.status, await answer.json()

    async def get(self, path: str, **query: Any) -> Any:
        async with self.http.get(self.url + path, params=query) as answer:
            assert answer.status == 200, (answer.status, await answer.text())
            return await answer.json()

    async def send(self, path: str, body: Any) -> tuple[int, bytes]:
        async with self.http.post(self.url + path, json=body) as answer:
            return answer.status, await answer.read()

    async def view(self, entry: Json, **query: Any) -> tuple[int, bytes]:
        async with self.http.get(f"{self.url}/view", params={**entry, **query}) as answer:
            return answer.status, await answer.read()

    async def picture(self, entry: Json) -> Image.Image:
        status, content = await self.view(entry)
        assert status == 200
        return Image.open(io.BytesIO(content))

    async def upload(self, content: bytes, name: str = "u.png", **fields: str) -> tuple[int, Any]:
        form = aiohttp.FormData(quote_fields=False)
        form.add_field("image", content, filename=name, content_type="image/png")
        for key, value in fields.items():
            form.add_field(key, value)
        async with self.http.post(f"{self.url}/upload/image", data=form) as answer:
            return answer.status, await answer.json() if answer.status == 200 else await answer.text()

    @asynccontextmanager
    async def listen(self, client_id: str = "me") -> AsyncIterator[Listener]:
        """A websocket that has had its first `status`."""
        async with self.http.ws_connect(f"{self.url}/ws", params={"clientId": client_id}, max_msg_size=0) as socket:
            listener = Listener(socket)
            await listener.next()
            yield listener

    async def run(self, graph: Json, prompt_id: str = "job", **extra: Any) -> Json:
        """Post, wait for the end, give the history entry."""
        async with self.listen(f"runner of {prompt_id}") as listener:
            status, answer = await self.post(graph, client_id=f"runner of {prompt_id}", prompt_id=prompt_id, **extra)
            assert status == 200, answer
            await listener.until_end(prompt_id)
        return (await self.get(f"/history/{prompt_id}"))[prompt_id]

    async def saved(self, graph: Json, prompt_id: str = "job", node: str = "save") -> list[Json]:
        """The files that a run of the graph leaves."""
        return (await self.run(graph, prompt_id))["outputs"][node]["images"]


def png_bytes(color: str = "red", size: tuple[int, int] = (48, 32)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, color).save(file, "PNG")
    return file.getvalue()
