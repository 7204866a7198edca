"""The web process as one ASGI application: the webhook in front, FastAPI behind it for everything else."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import TypeAlias

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.routing import Mount

from runtime.chat.webhook import PATH
from webhooks.telegram import Receive, Scope, Send

Asgi: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Check: TypeAlias = Callable[[], Awaitable[str | None]]
"""Why the process is not ready, or None."""

CHECK_SECONDS = 5.0


def create_app(
    webhook: Asgi,
    checks: dict[str, Check],
    measure: Callable[[], Awaitable[None]],
    lifespan: Callable[[], AbstractAsyncContextManager[None]],
    mounts: Mapping[str, Asgi] | None = None,
) -> Asgi:
    """The application.

    checks: what must be well for /readyz, by name. measure: brings gauges up to date before /metrics is written.
    lifespan: opened before the first request, closed after the last. mounts: applications of their own, by the path
    under which they are found.
    """

    @asynccontextmanager
    async def opened(_: FastAPI) -> AsyncIterator[None]:
        async with lifespan():
            yield

    api = FastAPI(title="veilrun", lifespan=opened, docs_url=None, redoc_url=None, openapi_url=None)

    @api.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @api.get("/readyz")
    async def readyz() -> JSONResponse:
        answers = await asyncio.gather(*(_asked(check) for check in checks.values()))
        reasons = {name: reason for name, reason in zip(checks, answers, strict=True) if reason is not None}
        if reasons:
            return JSONResponse({"status": "not ready", "reasons": reasons}, 503)
        return JSONResponse({"status": "ready"})

    @api.get("/metrics")
    async def prometheus() -> Response:
        await measure()
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    for path, mounted in (mounts or {}).items():
        api.add_route(path, partial(_with_slash, path.rpartition("/")[2]))
        api.router.routes.append(_Below(path, mounted))

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == PATH:
            await webhook(scope, receive, send)
        else:
            await api(scope, receive, send)

    return application


class _Below(Mount):
    """Everything below a path goes to an application, with a line break (%0A) in it too: a plain Mount has no match."""

    def __init__(self, path: str, app: Asgi) -> None:
        super().__init__(path, app)
        self.path_regex = re.compile(self.path_regex.pattern, re.DOTALL)


async def _with_slash(name: str, request: Request) -> Response:
    """To where the mounted application begins; relative, since only a proxy knows how it was asked for."""
    return RedirectResponse(f"{name}/", 307)


async def _asked(check: Check) -> str | None:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check()
    except TimeoutError:
        return f"no answer within {CHECK_SECONDS:g} s"
