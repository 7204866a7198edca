"""What callers over HTTP are told of a job, as values that describe themselves."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias, get_args

from psycopg import AsyncConnection
from pydantic import BaseModel, ConfigDict, Field

from db import artifacts, jobs
from db.artifacts import Artifact
from db.jobs import Job, State
from runtime.chat.captions import file_stem
from runtime.chat.progress_bar import Progress
from runtime.functions import PATH
from runtime.functions.job_errors import JobErrorCode, code_of
from runtime.media.sniff import SUFFIXES

JobState: TypeAlias = Literal["queued", "starting", "running", "succeeded", "failed", "cancelled"]
STATES: tuple[JobState, ...] = get_args(JobState)

PUBLIC: Mapping[State, JobState] = {
    "queued": "queued",
    "placed": "starting",
    "running": "running",
    "collected": "succeeded",
    "delivered": "succeeded",
    "failed": "failed",
    "dead": "failed",
    "cancelled": "cancelled",
}


def inner_states(state: JobState) -> list[State]:
    """The states of the table that callers see as this one."""
    return [inner for inner, public in PUBLIC.items() if public == state]


class View(BaseModel):
    """Base: attributes are documented in the OpenAPI document, and nothing else is sent."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ArtifactView(View):
    """A picture or a video."""

    id: int
    kind: Literal["image", "video"]
    media_type: str
    size_bytes: int | None
    width: int | None
    height: int | None
    duration_seconds: float | None
    sha256: str | None
    url: str
    """Where its content is, with the token, until it expires."""


class ProgressView(View):
    """How far a running job is."""

    fraction: float = Field(ge=0, le=1)
    """Of the whole run."""
    node: str | None
    """What the graph is at."""
    step: int | None
    steps: int | None
    is_loading: bool
    """Whether the weights are being loaded."""


class JobErrorView(View):
    """Why a job failed."""

    code: JobErrorCode
    message: str


class JobView(View):
    """A job: one invocation of a function."""

    id: int
    command: str
    variant: str | None
    state: JobState
    reason: str | None
    """Why it waits, while it does."""
    position: int | None
    """Place in the queue, 1 = next, 101 = beyond 100; told of a single job that waits for a GPU."""
    eta_seconds: float | None
    """Until it is expected to be done; null: nobody can say. 0 when it should be done by now."""
    progress: ProgressView | None
    cancel_requested: bool
    attempt: int
    """How often it was started."""
    backend: str | None
    created_at: datetime
    not_before: datetime | None
    """When it may start, if that was put off."""
    started_at: datetime | None
    ended_at: datetime | None
    expires_at: datetime | None
    """When the job and its artifacts are forgotten."""
    error: JobErrorView | None
    artifacts: list[ArtifactView]
    arguments: dict[str, Any] | None
    """As they were used, the seed included; told of a single job."""
    url: str


class Viewer:
    """Makes views. retention_hours: how long what is over is kept."""

    def __init__(self, retention_hours: float) -> None:
        self._kept = timedelta(hours=retention_hours)

    async def single(self, connection: AsyncConnection, job: Job, *, with_arguments: bool = True) -> JobView:
        """All that is told of the job."""
        position = await jobs.position(connection, job.id) if job.state == "queued" else None
        made = await artifacts.outputs(connection, job.id) if job.state in ("collected", "delivered") else []
        return self.view(job, made, position=position, with_arguments=with_arguments)

    def view(
        self, job: Job, made: Sequence[Artifact], *, position: int | None = None, with_arguments: bool = False
    ) -> JobView:
        """The job as it is told."""
        is_put_off = job.state == "queued" and job.due_seconds > 0
        return JobView(
            id=job.id,
            command=job.command,
            variant=job.variant,
            state=PUBLIC[job.state],
            reason=job.placement if job.state == "queued" and not is_put_off else None,
            position=position,
            eta_seconds=None if job.is_over or job.expected_seconds is None else round(max(job.expected_seconds, 0), 1),
            progress=progress_view(job),
            cancel_requested=job.cancel_requested,
            attempt=job.attempt,
            backend=job.backend,
            created_at=job.created_at,
            not_before=job.run_at if is_put_off else None,
            started_at=job.started_at,
            ended_at=job.ended_at,
            expires_at=job.ended_at + self._kept if job.ended_at else None,
            error=_error(job),
            artifacts=[artifact_view(one) for one in made],
            arguments=dict(job.arguments) if with_arguments else None,
            url=f"{PATH}/jobs/{job.id}",
        )


def progress_view(job: Job) -> ProgressView | None:
    """How far it is; None if it does not run."""
    if job.state != "running" or job.progress is None:
        return None
    read = Progress.read(job.progress)
    return ProgressView(
        fraction=round(read.fraction, 4),
        node=read.node,
        step=read.step,
        steps=read.steps,
        is_loading=read.is_loading,
    )


def artifact_view(artifact: Artifact) -> ArtifactView:
    """The artifact as it is told."""
    return ArtifactView(
        id=artifact.id,
        kind=artifact.kind,
        media_type=artifact.media_type,
        size_bytes=artifact.size_bytes,
        width=artifact.width,
        height=artifact.height,
        duration_seconds=artifact.duration_seconds,
        sha256=artifact.digest,
        url=f"{PATH}/artifacts/{artifact.id}",
    )


def file_name(artifact: Artifact, job: Job | None) -> str:
    """What the artifact is called when it is saved: `flux-7.png`, or `artifact-12.png`."""
    suffix = SUFFIXES.get(artifact.media_type, "")
    if job is None:
        return f"artifact-{artifact.id}{suffix}"
    seed = job.arguments.get("seed")
    return file_stem(job.command, seed if isinstance(seed, int) else None, artifact.position, artifact.position + 1) + (
        suffix
    )


def _error(job: Job) -> JobErrorView | None:
    if job.state not in ("failed", "dead"):
        return None
    return JobErrorView(code=code_of(job.error), message=job.error_detail or "Something went wrong.")
