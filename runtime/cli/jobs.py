"""`veilrun jobs`: what was asked for and what became of it. Prompts and media are never shown."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, cast

import typer
from psycopg import AsyncConnection

import db.endings
import db.events
import db.jobs
from db.endings import Replayed
from db.jobs import Job, State
from runtime.api import VeilrunError
from runtime.cli.database import ask
from runtime.cli.output import AsJson, Commands, print_error, print_json, print_table, screen

app = Commands(help="List, show, cancel, replay jobs. Prompts are never shown.")


def add_to(parent: typer.Typer) -> None:
    """Register these commands."""
    parent.add_typer(app, name="jobs", epilog="Example: veilrun jobs list --state running")


STATES = ("queued", "placed", "running", "collected", "delivered", "failed", "cancelled", "dead")
JobId = Annotated[int, typer.Argument(metavar="JOB", help="The job's number.")]
JobIds = Annotated[list[int] | None, typer.Argument(metavar="JOB", help="Numbers of jobs.")]
OfCommand = Annotated[str | None, typer.Option("--command", metavar="NAME", help="Only of this command.")]
OfUser = Annotated[
    int | None, typer.Option("--user", metavar="ID", max=2**63 - 1, help="Only of this Telegram user id.")
]

MOST_AT_ONCE = 10_000

NOT_REPLAYED: Mapping[Replayed, str] = {
    "not there": "there is no such job",
    "not failed": "it has neither failed nor died: only such jobs can be replayed",
    "command gone": "its command or variant is not offered any more",
    "inputs gone": "the pictures that it was to work on have expired",
}


class NoSuchJob(VeilrunError):
    """There is no job with this number, or it has expired."""

    def __init__(self, job_id: int) -> None:
        super().__init__(f"there is no job {job_id}; `veilrun jobs list` shows those there are")


class WrongState(VeilrunError):
    """The job is in a state in which this cannot be done."""


def _document(job: Job) -> dict[str, Any]:
    hidden = {"arguments", "due_seconds"}
    return {name: value for name, value in asdict(job).items() if name not in hidden}


def _note(job: Job) -> str:
    is_for_later = job.state == "queued" and job.due_seconds > 0
    return job.error or (f"not before {_when(job.run_at)} UTC" if is_for_later else job.placement or "")


def _when(moment: datetime, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """In UTC, whatever the database's time zone is."""
    return moment.astimezone(UTC).strftime(form)


@app.command("list", epilog="Example: veilrun jobs list --dead --command flux --json")
def list_jobs(
    state: Annotated[list[str] | None, typer.Option(metavar="STATE", help=f"Only these: {', '.join(STATES)}.")] = None,
    dead: Annotated[bool, typer.Option("--dead", help="Only dead letters.")] = False,
    command: OfCommand = None,
    user: OfUser = None,
    limit: Annotated[int, typer.Option(min=1, max=MOST_AT_ONCE, metavar="N", help="How many, newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first."""
    wanted = ["dead"] if dead else state
    for name in wanted or ():
        if name not in STATES:
            raise typer.BadParameter(f"{name!r} is none of {', '.join(STATES)}", param_hint="--state")

    async def newest(connection: AsyncConnection) -> list[Job]:
        states = cast("list[State] | None", wanted)
        return await db.jobs.newest(connection, states=states, command=command, user_id=user, limit=limit)

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
            _when(job.created_at),
            _note(job),
        ]
        for job in jobs
    ]
    print_table("jobs", ["job", "state", "command", "backend", "attempt", "created, UTC", "note"], rows)


@app.command(epilog="Example: veilrun jobs show 42 --json")
def show(job_id: JobId, as_json: AsJson = False) -> None:
    """Show one job, its tries, and what happened to it."""

    async def found(connection: AsyncConnection) -> dict[str, Any]:
        job = await db.jobs.get(connection, job_id)
        if job is None:
            raise NoSuchJob(job_id)
        tries = await db.endings.tries(connection, job_id)
        events = await db.events.of_job(connection, job_id)
        return {
            **_document(job),
            "position": await db.jobs.position(connection, job_id),
            "tries": [asdict(one) for one in tries],
            "events": [{"at": e.at, "kind": e.kind, **e.data} for e in events],
        }

    document = ask(found)
    if as_json:
        print_json(document)
        return
    for name, value in document.items():
        if name not in ("tries", "events") and value is not None:
            shown = f"{_when(value)} UTC" if isinstance(value, datetime) else value
            screen.print(f"{name:18} {shown}", markup=False, soft_wrap=True)
    for one in document["tries"]:
        screen.print(f"try {one['number']:<3} {_told(one)}", markup=False, soft_wrap=True)
    for event in document["events"]:
        details = {name: value for name, value in event.items() if name not in ("at", "kind")}
        told = f"{event['kind']:16} {json.dumps(details) if details else ''}"
        screen.print(f"{_when(event['at'], '%H:%M:%S.%f')}  {told}", markup=False, soft_wrap=True)


def _told(one: Mapping[str, Any]) -> str:
    """`13:05:01-13:05:20 gpu-a: failed, OutOfMemory; cold, load 9.1 s, run 4.2 s; worker host:7:ab`."""
    ended = _when(one["ended_at"], "%H:%M:%S") if one["ended_at"] else "..."
    outcome = ", ".join(word for word in (one["outcome"] or "at work", one["error"]) if word)
    measured = [{True: "warm", False: "cold"}[one["was_warm"]]] if one["was_warm"] is not None else []
    measured += [
        f"{kind} {one[f'{kind}_seconds']:.1f} s" for kind in ("load", "run") if one[f"{kind}_seconds"] is not None
    ]
    started = _when(one["started_at"], "%H:%M:%S")
    parts = [f"{started}-{ended} {one['backend']}: {outcome}", ", ".join(measured)]
    return "; ".join(part for part in (*parts, f"worker {one['worker']}") if part)


@app.command(epilog="Example: veilrun jobs cancel 42, or veilrun jobs cancel --all-queued --user 123456")
def cancel(
    job_ids: JobIds = None,
    all_queued: Annotated[bool, typer.Option("--all-queued", help="Every job that waits, also for later.")] = False,
    command: OfCommand = None,
    user: OfUser = None,
) -> None:
    """Cancel jobs.

    A waiting one ends at once, a running one is stopped by its worker. Their chats are told.
    """
    _check_choice(job_ids, all_queued, "--all-queued", command=command, user=user)

    async def cancelled(connection: AsyncConnection, job_id: int) -> str:
        if await db.jobs.get(connection, job_id) is None:
            raise NoSuchJob(job_id)
        state = await db.jobs.cancel(connection, job_id)
        if state is None:
            raise WrongState(f"job {job_id} is over already: there is nothing to cancel")
        return "cancelled" if state == "cancelled" else "asked its worker to stop"

    async def all_cancelled(connection: AsyncConnection) -> int:
        count = 0
        waiting: Sequence[State] = ["queued"]
        while found := await db.jobs.newest(connection, states=waiting, command=command, user_id=user, limit=1000):
            for job in found:
                count += await db.jobs.cancel(connection, job.id) is not None
                await connection.commit()
        return count

    if all_queued:
        screen.print(f"{ask(all_cancelled)} job(s) cancelled")
    if job_ids:
        ask(partial(_do_each, job_ids, cancelled))


@app.command(epilog="Example: veilrun jobs replay 42, or veilrun jobs replay --all --command flux")
def replay(
    job_ids: JobIds = None,
    all_dead: Annotated[bool, typer.Option("--all", help="Every dead letter.")] = False,
    command: OfCommand = None,
    user: OfUser = None,
) -> None:
    """Queue failed or dead jobs again, with fresh tries.

    A job whose command or pictures are gone is left as it is, with a word why.
    """
    _check_choice(job_ids, all_dead, "--all", command=command, user=user)

    async def replayed(connection: AsyncConnection, job_id: int) -> str:
        verdict = await db.endings.replay(connection, job_id)
        if verdict == "not there":
            raise NoSuchJob(job_id)
        if verdict != "queued":
            raise WrongState(f"job {job_id}: {NOT_REPLAYED[verdict]}")
        return "queued again"

    async def all_replayed(connection: AsyncConnection) -> dict[int, Replayed]:
        dead = await db.jobs.newest(connection, states=["dead"], command=command, user_id=user, limit=MOST_AT_ONCE)
        verdicts: dict[int, Replayed] = {}
        for job in reversed(dead):
            verdicts[job.id] = await db.endings.replay(connection, job.id)
            await connection.commit()
        return verdicts

    if all_dead:
        verdicts = ask(all_replayed)
        for job_id, verdict in verdicts.items():
            if verdict != "queued":
                screen.print(f"job {job_id}: left dead, {NOT_REPLAYED[verdict]}")
        screen.print(f"{sum(verdict == 'queued' for verdict in verdicts.values())} job(s) queued again")
    if job_ids:
        ask(partial(_do_each, job_ids, replayed))


async def _do_each(
    job_ids: Sequence[int], work: Callable[[AsyncConnection, int], Awaitable[str]], connection: AsyncConnection
) -> None:
    """Do it to every job, whatever becomes of the others, and say so. Raises: typer.Exit if one could not be done."""
    is_done = True
    for job_id in job_ids:
        try:
            screen.print(f"job {job_id}: {await work(connection, job_id)}")
        except (NoSuchJob, WrongState) as error:
            print_error(f"error: {error}")
            is_done = False
        await connection.commit()
    if not is_done:
        raise typer.Exit(1)


def _check_choice(job_ids: list[int] | None, is_all: bool, option: str, **narrowed: object) -> None:
    if bool(job_ids) == is_all:
        raise typer.BadParameter(f"give the numbers of jobs, or {option}")
    if not is_all and any(value is not None for value in narrowed.values()):
        raise typer.BadParameter(f"--command and --user narrow {option}")
