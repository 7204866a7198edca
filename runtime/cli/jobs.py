"""`veilrun jobs`: what was asked for and what became of it. Prompts and media are never shown."""

import json
from dataclasses import asdict
from typing import Annotated, Any, cast

import typer
from psycopg import AsyncConnection

import db.endings
import db.events
import db.jobs
from db.jobs import Job, State
from runtime.api import VeilrunError
from runtime.cli.database import ask
from runtime.cli.output import AsJson, Commands, print_json, print_table, screen

app = Commands(help="List, show, cancel, replay jobs. Prompts are never shown.")

STATES = ("queued", "placed", "running", "collected", "delivered", "failed", "cancelled", "dead")
JobId = Annotated[int, typer.Argument(metavar="JOB", help="The job's number.")]


class NoSuchJob(VeilrunError):
    """There is no job with this number, or it has expired."""

    def __init__(self, job_id: int) -> None:
        super().__init__(f"there is no job {job_id}; `veilrun jobs list` shows those there are")


class WrongState(VeilrunError):
    """The job is in a state in which this cannot be done."""


def _document(job: Job) -> dict[str, Any]:
    hidden = {"arguments"}
    return {name: value for name, value in asdict(job).items() if name not in hidden}


@app.command("list", epilog="Example: veilrun jobs list --state dead --json")
def list_jobs(
    state: Annotated[list[str] | None, typer.Option(help=f"Only these: {', '.join(STATES)}.")] = None,
    dead: Annotated[bool, typer.Option("--dead", help="Only dead letters.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first."""
    wanted = ["dead"] if dead else state
    for name in wanted or ():
        if name not in STATES:
            raise typer.BadParameter(f"{name!r} is none of {', '.join(STATES)}", param_hint="--state")

    async def newest(connection: AsyncConnection) -> list[Job]:
        return await db.jobs.newest(connection, states=cast("list[State] | None", wanted), limit=limit)

    jobs = ask(newest)
    if as_json:
        print_json([_document(job) for job in jobs])
        return
    rows = [
        [
            str(job.id),
            job.state,
            f"{job.command} --{job.variant}" if job.variant else job.command,
            job.backend or "",
            f"{job.attempt}/{job.max_attempts}",
            f"{job.created_at:%Y-%m-%d %H:%M:%S}",
            job.error or job.placement or "",
        ]
        for job in jobs
    ]
    print_table("jobs", ["job", "state", "command", "backend", "attempt", "created", "note"], rows)


@app.command(epilog="Example: veilrun jobs show 42 --json")
def show(job_id: JobId, as_json: AsJson = False) -> None:
    """Show one job and what happened to it."""

    async def found(connection: AsyncConnection) -> dict[str, Any]:
        job = await db.jobs.get(connection, job_id)
        if job is None:
            raise NoSuchJob(job_id)
        events = await db.events.of_job(connection, job_id)
        return _document(job) | {"events": [{"at": e.at, "kind": e.kind, **e.data} for e in events]}

    document = ask(found)
    if as_json:
        print_json(document)
        return
    for name, value in document.items():
        if name != "events" and value is not None:
            screen.print(f"{name:18} {value}")
    for event in document["events"]:
        details = {name: value for name, value in event.items() if name not in ("at", "kind")}
        screen.print(f"{event['at']:%H:%M:%S.%f}  {event['kind']:16} {json.dumps(details) if details else ''}")


@app.command(epilog="Example: veilrun jobs cancel 42")
def cancel(job_id: JobId) -> None:
    """Cancel a job.

    A waiting one ends at once, a running one is stopped by its worker.
    """

    async def cancelled(connection: AsyncConnection) -> str:
        if await db.jobs.get(connection, job_id) is None:
            raise NoSuchJob(job_id)
        state = await db.jobs.cancel(connection, job_id)
        if state is None:
            raise WrongState(f"job {job_id} is over already: there is nothing to cancel")
        return "cancelled" if state == "cancelled" else "asked its worker to stop"

    screen.print(f"job {job_id}: {ask(cancelled)}")


@app.command(epilog="Example: veilrun jobs replay 42")
def replay(job_id: JobId) -> None:
    """Queue a failed or dead job again.

    It gets fresh attempts.
    """

    async def replayed(connection: AsyncConnection) -> None:
        if await db.jobs.get(connection, job_id) is None:
            raise NoSuchJob(job_id)
        if await db.endings.replay(connection, job_id) != "queued":
            raise WrongState(f"job {job_id} has neither failed nor died: only such jobs can be replayed")

    ask(replayed)
    screen.print(f"job {job_id}: queued again")
