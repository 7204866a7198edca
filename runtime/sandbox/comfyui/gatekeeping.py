"""What happens to a request before its handler: the journal, the faults, the guard against foreign web pages."""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

from runtime.sandbox.comfyui.faults import Faults

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Seen:
    """One request: `route` is "METHOD /path" without /api and with the names of its parameters."""

    method: str
    path: str
    route: str


def route_of(request: web.Request) -> str:
    resource = request.match_info.route.resource
    path = resource.canonical if resource is not None else request.path
    return f"{request.method} {path.removeprefix('/api')}"


def gate(faults: Faults, on_request: Callable[[Seen], None]) -> Middleware:
    """The middleware: note the request, turn foreign origins away, then wait or answer as the fault plan says."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if "/sandbox/" in request.path:
            return await handler(request)
        route = route_of(request)
        on_request(Seen(request.method, request.path, route))
        if is_foreign(request.headers.get("Host"), request.headers.get("Origin")):
            return web.Response(status=403)
        if request.method == "OPTIONS":
            return web.Response()
        if seconds := faults.seconds_before(route):
            await asyncio.sleep(seconds)
        status = faults.next_answer(route)
        return web.Response(status=status) if status is not None else await handler(request)

    return middleware


def is_foreign(host: str | None, origin: str | None) -> bool:
    """Whether a page of another origin calls a server on a loopback host. Another port is another origin."""
    if not host or not origin:
        return False
    ours, theirs = urlsplit(f"//{host.lower()}"), urlsplit(origin)
    if not _is_loopback(ours.hostname):
        return False
    our_name = ours.hostname if theirs.port is None else host.lower()
    their_name = theirs.hostname if ours.port is None else theirs.netloc.lower()
    return bool(our_name) and bool(their_name) and our_name != their_name


def _is_loopback(name: str | None) -> bool:
    if name is None or name == "localhost":
        return name is not None
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
