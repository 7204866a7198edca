"""The console as one ASGI application, to be mounted at /console."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote

import structlog
from psycopg import DataError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from db import console_access
from db.pool import AWAY, Pool
from runtime.console.keys import IDLE_SECONDS, SESSION_SECONDS, digest, is_secret, new_secret
from runtime.registry import LiveRegistry
from webhooks.console.actions import SAID, Actions, Done, Place
from webhooks.console.errors import LinkVoid, NotThere, SignedOut, Unanswered
from webhooks.console.gate import Gate, Visitor, admit, dismiss, guarded, read_form
from webhooks.console.pages import STATES, Board, Name, View
from webhooks.console.rendering import STATIC, TYPES, render, version
from webhooks.console.stream import Streams

log = structlog.get_logger("veilrun.console")

YEAR_SECONDS = 365 * 86400
MOST_JOB = 2**63 - 1


@dataclass(frozen=True, slots=True)
class _Parts:
    board: Board
    streams: Streams
    actions: Actions


class NotServing(RuntimeError):
    """Asked before `Console.serving` was opened, or after it was closed."""


class Console:
    """The console of one web process. `application` is mounted; it answers while `serving` is open.

    public_url: VEILRUN_PUBLIC_URL. is_ending: whether the server is about to stop.
    """

    def __init__(self, public_url: str | None, *, is_ending: Callable[[], bool] = lambda: False) -> None:
        self._gate = Gate(public_url)
        self._one_link_at_a_time = asyncio.Lock()
        self._is_ending = is_ending
        self._parts: _Parts | None = None
        self.application = guarded(self._starlette())

    @contextlib.asynccontextmanager
    async def serving(self, pool: Pool, live: LiveRegistry, place: Place) -> AsyncIterator[None]:
        """Show what `pool` and `live` say. place: gives waiting jobs their places after an operator's word."""
        board = Board(pool, live)
        self._parts = _Parts(board, Streams(board, self._is_ending), Actions(board, place))
        try:
            yield
        finally:
            self._parts = None

    @property
    def _open(self) -> "_Parts":
        if self._parts is None:
            raise NotServing
        return self._parts

    def _starlette(self) -> Starlette:
        act = partial(Route, methods=["POST"])
        routes = [
            Route("/static/{name}", self._static),
            Route("/sign-in/{secret}", self._offer, methods=["GET"]),
            act("/sign-in/{secret}", self._sign_in),
            act("/sign-out", self._sign_out),
            *(Route(path, self._showing(name)) for path, name in _PAGES),
            act("/backends/{backend}/drain", self._doing("drain", "backend")),
            act("/backends/{backend}/resume", self._doing("resume", "backend")),
            act("/backends/{backend}/reset", self._doing("reset", "backend")),
            act("/jobs/{number}/cancel", self._doing("cancel", "number")),
            act("/jobs/{number}/replay", self._doing("replay", "number")),
            act("/dead/replay", self._doing("replay_chosen", None)),
        ]
        handlers: dict[Any, Any] = {
            Unanswered: _plain,
            HTTPException: _not_found,
            DataError: _not_found,
            **dict.fromkeys(AWAY, _away),
        }
        return Starlette(routes=routes, exception_handlers=handlers)

    def _showing(self, name: Name) -> Callable[[Request], Awaitable[Response]]:
        async def show(request: Request) -> Response:
            return await self._page(name, request)

        return show

    async def _page(self, name: Name, request: Request) -> Response:
        """A page, or what changes on it for whoever asks for a stream of events."""
        self._gate.check_host(request)
        visitor = await self._welcome(request)
        view = view_of(name, request)
        if "text/event-stream" in request.headers.get("accept", ""):
            return self._stream(view, visitor)
        facts = {**await self._open.board.facts(view), "is_live": False}
        said, count = request.query_params.get("said", ""), request.query_params.get("count", "")
        more = {
            "template": f"{name}.html",
            "form_key": visitor.form_key,
            "said": SAID.get(said, ""),
            "said_count": count if count.isdecimal() and len(count) < 6 else "",
        }
        return HTMLResponse(render("layout.html", {**facts, **more}), headers={"Vary": "Accept, Cookie"})

    def _stream(self, view: View, visitor: Visitor) -> Response:
        streams = self._open.streams
        if streams.is_full:
            return Response("too many open pages", 503, headers={"Retry-After": "30"})
        events = streams.follow(view, partial(self._lasts, visitor))
        return StreamingResponse(events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    async def _offer(self, request: Request) -> Response:
        """A button. Who only looks at the link, as a preview of it does, does not use it up."""
        self._gate.check_host(request)
        return HTMLResponse(render("sign_in.html", _bare(request, "Sign in")))

    async def _sign_in(self, request: Request) -> Response:
        """Links are looked up however often some did not sign in: whoever tries them finds none of 256 bits, and must
        not keep operators out. One at a time leaves pages their connections."""
        self._gate.check_host(request)
        is_https = self._gate.check_origin(request)
        link, session = request.path_params["secret"], new_secret()
        if not is_secret(link):
            raise LinkVoid
        if not await self._used(link, session):
            log.warning("a link did not sign in")
            raise LinkVoid
        log.info("operator signed in", session=digest(session).hex()[:8])
        response = RedirectResponse("../", 303)
        admit(response, session, is_https=is_https)
        return response

    async def _used(self, link: str, session: str) -> bool:
        async with self._one_link_at_a_time, self._open.board.connection() as connection:
            return await console_access.sign_in(connection, digest(link), digest(session), SESSION_SECONDS)

    async def _sign_out(self, request: Request) -> Response:
        visitor, _ = await self._form(request)
        async with self._open.board.connection() as connection:
            await console_access.sign_out(connection, digest(visitor.secret))
        response = RedirectResponse("./?said=signed-out", 303)
        dismiss(response)
        return response

    def _doing(self, action: str, parameter: str | None) -> Callable[[Request], Awaitable[Response]]:
        """An endpoint for one of the methods of `Actions`, which gets this part of the path."""

        async def do(request: Request) -> Response:
            _, fields = await self._form(request)
            given = [] if parameter is None else [request.path_params[parameter]]
            if parameter == "number":
                given = [_number(given[0])]
            done: Done = await getattr(self._open.actions, action)(*given, fields)
            count = f"&count={done.count}" if done.count is not None else ""
            where = quote(str(given[0]), safe="") if given else "dead"
            return RedirectResponse(f"../{where}?said={done.said}{count}", 303)

        return do

    async def _form(self, request: Request) -> tuple[Visitor, dict[str, list[str]]]:
        """Who sent a form of ours, and what it says. Raises: WrongHost, Refused, SignedOut."""
        self._gate.check_host(request)
        self._gate.check_origin(request)
        visitor = await self._welcome(request)
        fields = await read_form(request)
        self._gate.check_form(visitor, fields)
        return visitor, fields

    async def _welcome(self, request: Request) -> Visitor:
        visitor = self._gate.visitor(request)
        if not await self._lasts(visitor):
            raise SignedOut
        return visitor

    async def _lasts(self, visitor: Visitor) -> bool:
        async with self._open.board.connection() as connection:
            session = await console_access.look(connection, digest(visitor.secret), idle_seconds=IDLE_SECONDS)
        return session is not None

    async def _static(self, request: Request) -> Response:
        path = _FILES.get(request.path_params["name"])
        if path is None:
            raise NotThere
        kept = (
            f"public, max-age={YEAR_SECONDS}, immutable" if request.query_params.get("v") == version() else "no-cache"
        )
        return Response(path.read_bytes(), media_type=TYPES[path.suffix], headers={"Cache-Control": kept})


_FILES = {path.name: path for path in STATIC.iterdir() if path.suffix in TYPES}
_PAGES: tuple[tuple[str, Name], ...] = (
    ("/", "overview"),
    ("/backends", "backends"),
    ("/backends/{backend}", "backend"),
    ("/queue", "queue"),
    ("/jobs", "jobs"),
    ("/jobs/{number}", "job"),
    ("/dead", "dead"),
    ("/plugins", "plugins"),
)


def _number(text: str) -> int:
    """A job's number. Raises: NotThere."""
    number = int(text) if len(text) < 20 and text.isascii() and text.isdecimal() else -1
    if not 0 <= number <= MOST_JOB:
        raise NotThere
    return number


def view_of(name: Name, request: Request) -> View:
    """The page that is asked for. What makes no sense of the query is left out. Raises: NotThere."""
    number = _number(request.path_params.get("number", "0"))
    query = request.query_params if name in ("jobs", "dead") else {}
    before, state = query.get("before", ""), query.get("state", "")
    return View(
        name,
        number=number,
        backend=request.path_params.get("backend", ""),
        state=state if state in STATES and name == "jobs" else "",
        command=query.get("command", "")[:64],
        before=int(before) if before.isdecimal() and len(before) < 19 else None,
    )


def _bare(request: Request, title: str) -> dict[str, Any]:
    """What the template of a page needs that belongs to nobody."""
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    return {"root": "../" * (path.count("/") - 1) or "./", "title": title}


def _plain(request: Request, error: Exception) -> Response:
    assert isinstance(error, Unanswered)
    facts = {
        **_bare(request, error.title),
        "text": error.text,
        "is_signed_out": isinstance(error, SignedOut | LinkVoid),
    }
    said = SAID.get(request.query_params.get("said", ""), "")
    return HTMLResponse(render("plain.html", {**facts, "said": said}), error.status)


def _not_found(request: Request, error: Exception) -> Response:
    """No such path, no such method there, or a word that no table can hold."""
    return _plain(request, NotThere())


def _away(request: Request, error: Exception) -> Response:
    log.warning("console without a database", error=type(error).__name__)
    facts = {**_bare(request, "The database does not answer"), "is_signed_out": False, "said": ""}
    text = "Jobs that run go on, and updates wait at Telegram. This page comes back with the database: reload it."
    return HTMLResponse(render("plain.html", {**facts, "text": text}), 503, headers={"Retry-After": "5"})
