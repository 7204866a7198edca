"""GET /jobs, GET /jobs/{id}, its events, POST /jobs/{id}/cancel."""

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel

from db import functions, jobs
from runtime.functions import PATH
from runtime.functions.errors import OverAlready
from runtime.functions.schema import LARGEST_ID
from runtime.functions.views import JobState, JobView, inner_states
from webhooks.functions.problems import refusals
from webhooks.functions.sharing import Cancelling, Reading, Shared
from webhooks.functions.stream import follow

router = APIRouter(tags=["jobs"])

JobId = Annotated[int, Path(ge=1, le=LARGEST_ID)]


class JobPage(BaseModel):
    """Jobs, newest first."""

    jobs: list[JobView]
    next: str | None
    """Where the next page is; null: there is none."""


@router.get("/jobs", responses=refusals(422))
async def list_jobs(
    token: Reading,
    shared: Shared,
    before: Annotated[int | None, Query(ge=1, le=LARGEST_ID, description="only jobs with a smaller number")] = None,
    state: Annotated[JobState | None, Query(description="only these")] = None,
    command: Annotated[
        str | None, Query(max_length=32, pattern=r"^[a-z0-9_]+$", description="only of this one")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> JobPage:
    """List the token's jobs, newest first, without their arguments."""
    async with shared.pool.connection() as connection:
        found = await functions.page(
            connection,
            token.id,
            before=before,
            states=inner_states(state) if state else None,
            command=command,
            limit=limit + 1,
        )
        made = await functions.outputs(connection, [job.id for job in found[:limit]])
    views = [shared.viewer.view(job, made.get(job.id, ())) for job in found[:limit]]
    more = {"before": views[-1].id, "limit": limit, "state": state, "command": command} if len(found) > limit else {}
    query = "&".join(f"{name}={value}" for name, value in more.items() if value is not None)
    return JobPage(jobs=views, next=f"{PATH}/jobs?{query}" if query else None)


@router.get("/jobs/{job_id}", responses=refusals(404, 422))
async def get_job(job_id: JobId, token: Reading, shared: Shared) -> JobView:
    """How a job is: its state, why it waits, when it will be done, how far it is, what it made, what went wrong."""
    job = await shared.job(token, job_id)
    async with shared.pool.connection() as connection:
        return await shared.viewer.single(connection, job)


@router.post(
    "/jobs/{job_id}/cancel",
    status_code=202,
    response_model=JobView,
    responses={
        **refusals(404, 409, 422),
        200: {"model": JobView, "description": "It waited, and is cancelled"},
        202: {"model": JobView, "description": "It runs, and is being stopped"},
    },
)
async def cancel_job(job_id: JobId, token: Cancelling, shared: Shared) -> Response:
    """Stop a job. One that waits is over at once, one that runs is stopped by its worker; 409 if it is over already."""
    await shared.job(token, job_id)
    async with shared.pool.connection() as connection:
        state = await jobs.cancel(connection, job_id)
    if state is None:
        raise OverAlready("the job is over: there is nothing to cancel")
    shared.invoker.place()
    job = await shared.job(token, job_id)
    async with shared.pool.connection() as connection:
        view = await shared.viewer.single(connection, job)
    return JSONResponse(view.model_dump(mode="json"), 200 if job.is_over else 202)


STREAM = {
    "description": (
        "Server-sent events. `state`: `{state, at, backend?, attempt?, error?}`, with an id; `progress`: as in the "
        "job; `end`: the job, then the stream ends. Comments keep it alive."
    ),
    "content": {"text/event-stream": {}},
}


@router.get(
    "/jobs/{job_id}/events",
    response_class=StreamingResponse,
    responses={
        **refusals(404, 422),
        200: STREAM,
        204: {"description": "The job is over and the caller has seen everything: do not connect again"},
    },
)
async def follow_job(
    job_id: JobId,
    token: Reading,
    shared: Shared,
    last_event_id: Annotated[
        str | None, Header(pattern=r"^[0-9]{1,18}$", description="the id of the last event that was seen")
    ] = None,
) -> Response:
    """Follow a job by server-sent events, from its beginning or from the event after `Last-Event-ID`."""
    job = await shared.job(token, job_id)
    seen = int(last_event_id or 0)
    if job.is_over and last_event_id is not None:
        async with shared.pool.connection() as connection:
            if not await functions.events_after(connection, job.id, seen):
                return Response(status_code=204)
    shared.check_room(token)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(follow(shared, token, job_id, seen), media_type="text/event-stream", headers=headers)
