"""The application under /v1: its routes, its document, and that every refusal is a problem document."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from db import tokens
from db.pool import AWAY, Pool, is_away
from runtime import metrics
from runtime.functions.callbacks import CallbackSender, open_client
from runtime.functions.errors import (
    DatabaseUnavailable,
    Fault,
    Internal,
    Invalid,
    Malformed,
    MethodNotAllowed,
    NotFound,
    Refused,
)
from runtime.functions.feed import JobFeed
from runtime.functions.invoke import Invoker
from runtime.functions.tokens import admitted, may_invoke
from runtime.functions.views import Viewer
from runtime.logs import where
from runtime.registry import LiveRegistry
from runtime.settings import Settings
from webhooks.functions import artifacts, invoking, jobs
from webhooks.functions.openapi import document_for, generic_document
from webhooks.functions.problems import answer
from webhooks.functions.sharing import Shared, Sharing
from webhooks.telegram import Receive, Scope, Send

log = structlog.get_logger("veilrun.functions")

AWAY_SECONDS = 5.0
ALIVE_SECONDS = 15.0


class Functions:
    """Functions over HTTP in one web process. is_ending, alive_seconds: see `Sharing`."""

    def __init__(
        self, settings: Settings, dsn: str, *, is_ending: Callable[[], bool], alive_seconds: float = ALIVE_SECONDS
    ) -> None:
        self._settings = settings
        self._dsn = dsn
        self._is_ending = is_ending
        self._alive_seconds = alive_seconds
        self._has_callbacks = settings.callbacks_to != "off"
        self._app = _application(self._has_callbacks)

    @asynccontextmanager
    async def serving(
        self, pool: Pool, live: LiveRegistry, place: Callable[[], Awaitable[None]]
    ) -> AsyncIterator[None]:
        """While open, requests are answered and result webhooks sent. place: called when there are jobs to place."""
        settings = self._settings
        feed, viewer = JobFeed(self._dsn), Viewer(settings.retention_hours)
        invoker = Invoker(pool, live, place, settings.callbacks_to)
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(open_client(settings.callbacks_to))
            sender = CallbackSender(
                pool, client, feed, viewer, settings.callbacks_to, sweep_seconds=settings.sweep_seconds
            )
            tasks = [
                asyncio.create_task(feed.run(), name="job-feed"),
                asyncio.create_task(sender.run(), name="callbacks"),
            ]
            self._app.state.sharing = Sharing(
                pool=pool,
                live=live,
                invoker=invoker,
                viewer=viewer,
                feed=feed,
                body_bytes=settings.http_body_mb * 2**20,
                has_callbacks=self._has_callbacks,
                alive_seconds=self._alive_seconds,
                is_ending=self._is_ending,
            )
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await invoker.settled()

    async def application(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. What goes wrong is logged without its text, which may quote what a user wrote."""
        status = 0

        async def sending(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        started = time.perf_counter()
        try:
            await self._app(scope, receive, sending)
        except Exception as error:  # noqa: BLE001  whatever it is, it is one request's
            log.error("request failed", error=type(error).__name__, where=where(error))
        route = getattr(scope.get("route"), "path", "none")
        metrics.function_requests.labels(route, str(status)).inc()
        log.debug("answered", route=route, status=status, seconds=round(time.perf_counter() - started, 4))


def _application(has_callbacks: bool) -> FastAPI:
    app = FastAPI(
        title="veilrun functions",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    for routes in (invoking, jobs, artifacts):
        app.include_router(routes.router)
    generic = generic_document(app, has_callbacks=has_callbacks)

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi(request: Request, shared: Shared) -> Response:
        """With a token, the functions that it may invoke are in it by name. Without any token there is nothing here."""
        if request.headers.get("authorization"):
            token = await admitted(shared.pool, request.headers["authorization"], "read")
            commands = [loaded.command for loaded in shared.live.current.commands.values()]
            mine = [command for command in commands if may_invoke(token, command.name)]
            return JSONResponse(document_for(generic, mine, has_callbacks=has_callbacks))
        async with shared.pool.connection() as connection:
            if not await tokens.is_any_valid(connection):
                raise NotFound("functions over HTTP are off: no token exists")
        return JSONResponse(generic)

    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    for away in AWAY:
        app.add_exception_handler(away, _away)
    app.add_exception_handler(Exception, _internal)
    return app


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return answer(error)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    places = {"query": "query", "header": "header", "path": "path"}
    faults = [
        Fault(".".join(str(part) for part in one["loc"]) if one["loc"][0] in places else "request", one["msg"])
        for one in error.errors()
    ]
    return answer(Invalid(faults))


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    match error.status_code:
        case 404:
            return answer(NotFound("there is nothing at this path"))
        case 405:
            return answer(MethodNotAllowed("this path does not take this method"), error.headers)
    return answer(Malformed("the request cannot be read"))


async def _away(_: Request, error: Exception) -> Response:
    if is_away(error):
        return answer(DatabaseUnavailable("the database does not answer; try again", retry_seconds=AWAY_SECONDS))
    return await _internal(_, error)


async def _internal(_: Request, error: Exception) -> Response:
    return answer(Internal("something went wrong on our side"))
