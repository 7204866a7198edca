"""Who may ask at all, and how many at once."""

import asyncio
import ipaddress

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from yarl import URL

from runtime.gate.answers import SIGNATURE, refused
from runtime.logs import where
from runtime.transport.address import is_hidden_service

MOST_CONNECTIONS = 256
MOST_REQUESTS = 128
"""At once, open event sockets included. More are told to come again."""

BROWSER_HEADERS = ("Origin", "Sec-Fetch-Site")

LINE_BYTES, FIELD_BYTES = 8 * 1024, 8 * 1024
KEEP_ALIVE_SECONDS = 75.0
"""As ComfyUI's own; a connection that never asks anything is closed after it, too."""

log = structlog.get_logger("veilrun.gate")

FULL = b"HTTP/1.1 503 Service Unavailable\r\nVeilrun-Gate: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


def doorkeeper(most_requests: int = MOST_REQUESTS) -> Middleware:
    """Turns away browsers and those who come when it is full; aiohttp's own refusals become the gate's."""
    under_way = 0

    @web.middleware
    async def let_in(request: web.Request, handler: Handler) -> web.StreamResponse:
        nonlocal under_way
        if any(name in request.headers for name in BROWSER_HEADERS) or not is_meant_for_us(request):
            raise refused(web.HTTPForbidden, "this is no server for browsers")
        if under_way >= most_requests:
            raise refused(web.HTTPServiceUnavailable, "too many requests at once; try again in a moment")
        under_way += 1
        try:
            return await handler(request)
        except web.HTTPRequestEntityTooLarge:
            return web.json_response({"error": "this is larger than the gate lets pass"}, status=413)
        except (web.HTTPNotFound, web.HTTPMethodNotAllowed) as error:
            if error.content_type == "application/json":
                raise
            raise refused(web.HTTPNotFound, "this route does not pass the gate") from error
        finally:
            under_way -= 1

    return let_in


def is_meant_for_us(request: web.Request) -> bool:
    """Whether the Host is a hidden service or an IP address.

    A page in a browser on this machine could come under a name of its own that it has made to point here (DNS
    rebinding). ComfyUI has a check against that, but sees no header of the browser behind the gate.
    """
    try:
        url = URL(f"http://{request.headers['Host']}")
    except (KeyError, ValueError):
        return False
    if url.host == "localhost" or is_hidden_service(url):
        return True
    try:
        ipaddress.ip_address(url.host or "")
    except ValueError:
        return False
    return True


class Turnstile:
    """Makes a protocol for each connection, up to `most`; those above are told so and closed."""

    def __init__(self, server: web.Server, most: int = MOST_CONNECTIONS) -> None:
        self._server, self._most = server, most

    def __call__(self) -> asyncio.BaseProtocol:
        return _Connection(self._server) if len(self._server.connections) < self._most else _Full()


class _Connection(web.RequestHandler):
    """A connection whose faults are answered and logged without anything of what was sent."""

    __slots__ = ()

    def __init__(self, server: web.Server) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            access_log=None,  # type: ignore[arg-type]  # None is how it is turned off
            max_line_size=LINE_BYTES,
            max_field_size=FIELD_BYTES,
        )

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What aiohttp calls for a head that it cannot read, and for an exception that no handler expected."""
        place = where(exc) if exc is not None else ""
        log.warning("request not answered", status=status, error=type(exc).__name__, where=place)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer had begun")
        reason = "the gate has a fault of its own; its log says where"
        if status < 500:
            reason = "this is no request that the gate understands"
        response = web.json_response({"error": reason}, status=status, headers=SIGNATURE)
        response.force_close()
        return response


class _Full(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            transport.write(FULL)
            transport.close()
