"""The ComfyUI behind the gate: always the same one, reached directly, its answers taken as they are."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from aiohttp import web

from runtime.gate.answers import refused
from runtime.transport import Part, Reply, Socket, Timeouts, TransportError, open_transport
from runtime.transport.address import is_hidden_service, parse_address

TIMEOUTS = Timeouts(connect=10.0, read=120.0)
LIMIT_BYTES = 256 * 1024 * 1024


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
        form: list[Part] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Reply]:
        """One exchange; the body is read within the context."""
        with _away():
            async with self._transport.request(
                method, self.url + route, params=params, json=document, form=form, headers=headers
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

    @asynccontextmanager
    async def websocket(self, client_id: str) -> AsyncIterator[Socket]:
        """The events of that client."""
        with _away():
            async with self._transport.websocket(f"{self.url}/ws", params={"clientId": client_id}) as socket:
                yield socket


def is_usable(url: str) -> bool:
    """Whether `url` is an address that the gate may stand in front of."""
    try:
        parsed = parse_address(url)
    except TransportError:
        return False
    return parsed.scheme == "http" and not is_hidden_service(parsed) and parsed.path == "/" and not parsed.query_string


@contextmanager
def _away() -> Iterator[None]:
    try:
        yield
    except TransportError as error:
        raise refused(web.HTTPBadGateway, f"ComfyUI does not answer behind the gate: {error}") from error
