"""The ComfyUI behind the gate: always the same one, reached directly, its answers taken as they are."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import IO, Any
from uuid import uuid4

from aiohttp import web

from runtime.gate.answers import refused
from runtime.transport import Reply, Socket, Timeouts, TransportError, open_transport
from runtime.transport.address import is_hidden_service, parse_address

TIMEOUTS = Timeouts(connect=10.0, read=120.0)
LIMIT_BYTES = 256 * 1024 * 1024
CHUNK_BYTES = 64 * 1024

QUEUE = ("queue_running", "queue_pending")
"""The two parts of GET /queue; an item is [number, prompt id, graph, extra data, outputs]."""

CLIENT = "gate-"
"""Before the ids of clients of ours, so that none of them can be another client's."""


class Upstream:
    """Raises web.HTTPBadGateway from every method if ComfyUI does not answer."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._transport = open_transport("direct", timeouts=TIMEOUTS)

    async def close(self) -> None:
        """Close every connection."""
        await self._transport.close()

    @asynccontextmanager
    async def request(
        self,
        method: str,
        route: str,
        *,
        params: Mapping[str, str] | None = None,
        document: Any = None,
        body: AsyncIterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Reply]:
        """One exchange; the body is read within the context."""
        with _away():
            async with self._transport.request(
                method, self.url + route, params=params, json=document, body=body, headers=headers
            ) as reply:
                yield reply

    async def document(self, method: str, route: str, document: Any = None) -> tuple[int, Any]:
        """(status, the JSON answered or None)."""
        async with self.request(method, route, document=document) as reply:
            with _away():
                body = await reply.read(LIMIT_BYTES)
        try:
            return reply.status, json.loads(body)
        except ValueError:
            return reply.status, None

    async def queue(self) -> dict[str, list[list[Any]]]:
        """GET /queue: running and pending items, of everybody. Raises: web.HTTPBadGateway if it is not told."""
        status, answer = await self.document("GET", "/queue")
        if status != 200 or not isinstance(answer, dict):
            raise refused(web.HTTPBadGateway, f"ComfyUI does not tell its queue (HTTP {status})")
        return {part: [item for item in answer.get(part, ()) if len(item) > 1] for part in QUEUE}

    async def history(self, prompt_id: str) -> dict[str, Any] | None:
        """GET /history/{id}: the entry, None if there is none. Raises: web.HTTPBadGateway if it is not told."""
        status, answer = await self.document("GET", f"/history/{prompt_id}")
        if status != 200 or not isinstance(answer, dict):
            raise refused(web.HTTPBadGateway, f"ComfyUI does not tell its history (HTTP {status})")
        entry = answer.get(prompt_id)
        return entry if isinstance(entry, dict) else None

    async def forget(self, prompt_ids: Sequence[str]) -> None:
        """POST /history: delete these entries. Raises: web.HTTPBadGateway if it does not."""
        status, _ = await self.document("POST", "/history", {"delete": list(prompt_ids)})
        if status != 200:
            raise refused(web.HTTPBadGateway, f"ComfyUI does not delete from its history (HTTP {status})")

    async def upload(self, file: IO[bytes], name: str, kind: str) -> tuple[int, Any]:
        """POST /upload/image, read from `file` as it is sent: (status, the JSON answered or None).

        name: without quotes, backslashes and line breaks.
        """
        boundary = uuid4().hex
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        body = _form(file, name, {"type": kind, "overwrite": "false"}, boundary)
        async with self.request("POST", "/upload/image", body=body, headers=headers) as reply:
            answer = await reply.read()
        try:
            return reply.status, json.loads(answer)
        except ValueError:
            return reply.status, None

    @asynccontextmanager
    async def websocket(self, client_id: str) -> AsyncIterator[Socket]:
        """The events of that client."""
        with _away():
            params = {"clientId": CLIENT + client_id}
            async with self._transport.websocket(f"{self.url}/ws", params=params) as socket:
                yield socket


def is_usable(url: str) -> bool:
    """Whether `url` is an address that the gate may stand in front of."""
    try:
        parsed = parse_address(url)
    except TransportError:
        return False
    return parsed.scheme == "http" and not is_hidden_service(parsed) and parsed.path == "/" and not parsed.query_string


async def _form(file: IO[bytes], name: str, fields: Mapping[str, str], boundary: str) -> AsyncIterator[bytes]:
    """multipart/form-data (RFC 7578)."""
    head = f'Content-Disposition: form-data; name="image"; filename="{name}"\r\nContent-Type: application/octet-stream'
    yield f"--{boundary}\r\n{head}\r\n\r\n".encode()
    while chunk := file.read(CHUNK_BYTES):
        yield chunk
    for field, value in fields.items():
        yield f'\r\n--{boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}'.encode()
    yield f"\r\n--{boundary}--\r\n".encode()


@contextmanager
def _away() -> Iterator[None]:
    try:
        yield
    except TransportError as error:
        raise refused(web.HTTPBadGateway, f"ComfyUI does not answer behind the gate: {error}") from error
