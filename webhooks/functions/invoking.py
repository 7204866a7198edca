"""GET /functions, POST /functions/{command}: what there is, and asking for it."""

import asyncio
import re
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from db.tokens import Token
from runtime.api import Command
from runtime.functions import PATH
from runtime.functions.invoke import Invoked, resolved
from runtime.functions.schema import request_schema
from runtime.functions.tokens import may_invoke
from runtime.functions.views import JobView
from runtime.functions.wanted import Wanted, from_form, from_json
from runtime.registry import LoadedCommand
from webhooks.functions.body import form_fields, json_value, media_type, unsupported
from webhooks.functions.problems import refusals
from webhooks.functions.sharing import LOOK_SECONDS, Invoking, Reading, Shared, Sharing

router = APIRouter(tags=["functions"])

LONGEST_WAIT_SECONDS = 60.0
_KEY = re.compile(r"[!-~]{1,255}")


class VariantView(BaseModel):
    """Another way in which the function works."""

    name: str
    summary: str


class FunctionView(BaseModel):
    """A function: a command of a plugin."""

    name: str
    aliases: list[str]
    summary: str
    kind: str
    variants: list[VariantView]
    plugin: str
    version: str
    request_schema: dict[str, Any]
    url: str


class FunctionList(BaseModel):
    """Every function that the token may invoke."""

    functions: list[FunctionView]


@router.get("/functions", responses=refusals())
async def list_functions(token: Reading, shared: Shared) -> FunctionList:
    """List the functions that the token may invoke, each with the JSON Schema of its request."""
    commands = shared.live.current.commands.values()
    mine = [one for one in commands if may_invoke(token, one.command.name)]
    return FunctionList(functions=[_function(one, shared.has_callbacks) for one in mine])


def _function(loaded: LoadedCommand, has_callbacks: bool) -> FunctionView:
    command = loaded.command
    return FunctionView(
        name=command.name,
        aliases=list(command.aliases),
        summary=command.summary,
        kind=command.kind,
        variants=[VariantView(name=variant.name, summary=variant.summary) for variant in command.variants],
        plugin=loaded.plugin,
        version=loaded.plugin_version,
        request_schema=request_schema(command, has_callbacks=has_callbacks),
        url=f"{PATH}/functions/{command.name}",
    )


LOCATION = {"Location": {"description": "the job", "schema": {"type": "string"}}}
REPEATED = {
    "Idempotency-Replayed": {
        "description": "`true`: an earlier request with this key had become the job",
        "schema": {"enum": ["true"]},
    }
}


@router.post(
    "/functions/{command}",
    status_code=202,
    response_model=JobView,
    responses={
        **refusals(400, 404, 409, 413, 415, 422),
        200: {"model": JobView, "description": "The job was over in time", "headers": LOCATION | REPEATED},
        202: {"model": JobView, "description": "The job is queued", "headers": LOCATION | REPEATED},
    },
)
async def invoke_function(
    command: str,
    request: Request,
    token: Invoking,
    shared: Shared,
    wait: Annotated[
        float, Query(ge=0, le=LONGEST_WAIT_SECONDS, description="seconds to wait for the job to be over")
    ] = 0.0,
    idempotency_key: Annotated[
        str | None,
        Header(
            pattern=f"^{_KEY.pattern}$",
            description="the same key with the same request gives the same job, for 24 hours",
        ),
    ] = None,
) -> Response:
    """Ask for a job. With `wait` the answer is held back for so long, and is 200 if the job is over by then."""
    loaded = resolved(shared.live.current, token, command)
    with shared.receiving(token, request):
        wanted = await _wanted(request, shared, loaded.command)
        invoked = await shared.invoker.invoke(token, wanted, idempotency_key)
    if wait > 0:
        await _until_over(shared, token, invoked.job_id, wait)
    return await _answer(shared, token, invoked)


async def _wanted(request: Request, shared: Sharing, command: Command) -> Wanted:
    match media_type(request):
        case "application/json":
            return from_json(command, await json_value(request, shared.body_bytes))
        case "multipart/form-data":
            return from_form(command, await form_fields(request, shared.body_bytes))
        case found:
            raise unsupported(found, "application/json", "multipart/form-data")


async def _until_over(shared: Sharing, token: Token, job_id: int, seconds: float) -> None:
    """Return when the job is over, after so many seconds, or at once if too many requests wait already."""
    if shared.is_full(token):
        return
    clock = asyncio.get_running_loop().time
    until = clock() + seconds
    with shared.streaming(token), shared.feed.watching(job_id) as event:
        while not shared.is_ending():
            event.clear()
            if (await shared.job(token, job_id)).is_over or (left := until - clock()) <= 0:
                return
            await shared.news(event, min(left, LOOK_SECONDS))


async def _answer(shared: Sharing, token: Token, invoked: Invoked) -> Response:
    job = await shared.job(token, invoked.job_id)
    async with shared.pool.connection() as connection:
        view = await shared.viewer.single(connection, job)
    headers = {"Location": view.url}
    if not invoked.is_new:
        headers["Idempotency-Replayed"] = "true"
    return JSONResponse(view.model_dump(mode="json"), 200 if job.is_over else 202, headers)
