"""`veilrun backends`: the GPUs as they stand, and taking one out of service for a while."""

import asyncio
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC
from typing import Annotated, Any, NoReturn

import typer
from psycopg import AsyncConnection

import db.backends
import db.breakers
import db.views
from db import migrate
from db.backends import Listed
from db.breakers import Breaker
from db.events import CHANNEL
from db.pool import listen
from db.views import View
from runtime.api import VeilrunError
from runtime.cli.database import ask, connected, database
from runtime.cli.output import AsJson, Commands, notices, print_json, screen
from runtime.scheduler.breakers import reason as words_of
from runtime.settings import read_settings

app = Commands(help="List the GPUs, take one out of service, put it back.")


def add_to(parent: typer.Typer) -> None:
    """Register these commands."""
    parent.add_typer(app, name="backends", epilog="Example: veilrun backends list")


Name = Annotated[str, typer.Argument(metavar="NAME", help="The backend's name in the registry.")]


class NoSuchBackend(VeilrunError):
    """There is no backend of this name."""


@app.command("list", epilog="Example: veilrun backends list --json")
def list_backends(as_json: AsJson = False) -> None:
    """List the GPUs, what they do, and what they lack.

    That is health, weights, jobs by number, and which commands are kept away from which. Each with what wants
    attention: why it takes no jobs, commands that cannot run there, a card smaller than the registry says.
    """

    shown = ask(_found)
    if as_json:
        print_json([_document(*one) for one in shown])
        return
    if not shown:
        screen.print("no backends")
    width = max((len(backend.name) for backend, _, _ in shown), default=0)
    for backend, breakers, views in shown:
        head, *rest = _lines(backend, breakers, views)
        screen.print(f"{backend.name:<{width}}  {head}", markup=False, soft_wrap=True)
        for line in rest:
            screen.print(f"{'':<{width}}  {line}", markup=False, soft_wrap=True)


@app.command(epilog='Example: veilrun backends drain gpu-a --reason "new driver" --wait')
def drain(
    name: Name,
    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Shown to users whose jobs wait for it, and in the list.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Return when nothing runs there any more.")] = False,
) -> None:
    """Place no new jobs there until it is resumed.

    What runs there ends well; jobs that wait behind it go back into the queue. It stays drained over restarts, and
    when --wait is stopped by Ctrl-C.
    """

    async def drained(dsn: str) -> None:
        async with connected(dsn) as connection:
            recalled = await db.backends.drain(connection, name, reason)
            if recalled is None:
                await _complain(connection, name)
        screen.print(f"{name}: takes no new jobs{f': {reason}' if reason else ''}")
        if recalled:
            screen.print(f"asked back into the queue: {_numbers(recalled)}")
        if wait:
            await _until_empty(dsn, name)

    with database(read_settings()) as dsn:
        migrate.upgrade(dsn)
        asyncio.run(drained(dsn))


@app.command(epilog="Example: veilrun backends resume gpu-a")
def resume(name: Name) -> None:
    """Place jobs there again."""

    async def resumed(connection: AsyncConnection) -> bool:
        was_drained = await db.backends.resume(connection, name)
        if was_drained is None:
            await _complain(connection, name)
        return was_drained

    screen.print(f"{name}: takes jobs again" if ask(resumed) else f"{name}: was not drained")


@app.command(epilog='Example: veilrun backends reset gpu-a "flux --dev"')
def reset(
    name: Name,
    command: Annotated[
        str | None, typer.Argument(metavar="COMMAND", help='As in the list: flux, or "flux --dev". Default: all.')
    ] = None,
) -> None:
    """Try a command there again at once.

    That is one that is kept away since it failed there again and again.
    """

    async def closed(connection: AsyncConnection) -> list[str]:
        if name not in await db.backends.names(connection):
            await _complain(connection, name)
        return await db.breakers.reset(connection, name, command)

    found = ask(closed)
    if found:
        screen.print(f"{name}: takes {', '.join(found)} again")
    else:
        screen.print(f"{name}: {f'{command} was not' if command else 'nothing was'} kept away")


async def _found(connection: AsyncConnection) -> list[tuple[Listed, list[Breaker], list[View]]]:
    """Each backend with its breakers that are not closed, and how each machine sees it."""
    breakers, views = await db.breakers.not_closed(connection), await db.views.views(connection)
    return [
        (
            backend,
            [one for one in breakers if one.backend == backend.name],
            [one for one in views if one.backend == backend.name],
        )
        for backend in await db.backends.listed(connection)
    ]


async def _until_empty(dsn: str, name: str) -> None:
    told: list[int] = []
    async for notification in listen(dsn, CHANNEL):
        if notification is not None and notification.get("kind") == "progress":
            continue
        async with connected(dsn) as connection:
            jobs = await db.backends.busy_with(connection, name)
        if not jobs:
            screen.print(f"{name}: nothing runs there any more")
            return
        if jobs != told:
            told = jobs
            notices.print(f"waiting for {_numbers(jobs)}")


async def _complain(connection: AsyncConnection, name: str) -> NoReturn:
    known = ", ".join(await db.backends.names(connection)) or "none yet; they come with the first start"
    raise NoSuchBackend(f"there is no backend {name!r}; there are: {known}")


def _numbers(jobs: list[int]) -> str:
    return f"job{'s' if len(jobs) > 1 else ''} {', '.join(map(str, jobs))}"


def _document(backend: Listed, breakers: list[Breaker], views: list[View]) -> dict[str, Any]:
    return {
        **asdict(backend),
        "is_drained": backend.drained_at is not None,
        "tripped": {one.bucket: words_of(one) for one in breakers},
        "seen_from": {one.machine: one.health for one in views},
    }


def _lines(backend: Listed, breakers: list[Breaker], views: list[View]) -> Iterator[str]:
    """What it is, what it does, and what wants attention."""
    yield ", ".join(_state(backend))
    work = "; ".join(_work(backend))
    if work:
        yield work
    if backend.drained_at is not None:
        since = f"since {backend.drained_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        yield f"takes no new jobs {since}" + (f": {backend.drain_reason}" if backend.drain_reason else "")
    if backend.health_reason:
        yield f"{backend.health}: {backend.health_reason}"
    for view in views:
        if view.health == "away" and backend.health == "ready":
            yield f"not reached from {view.machine}: {view.reason}"
    if backend.doubt:
        yield backend.doubt
    for command, lacks in backend.missing.items():
        yield f"cannot run {command}: {lacks}"
    yield from map(words_of, breakers)


def _state(backend: Listed) -> Iterator[str]:
    if backend.device:
        yield backend.device
    yield f"{backend.vram_gb:g} GB"
    yield backend.health if backend.drained_at is None else f"drained, {backend.health}"
    if backend.round_trip_seconds is not None:
        yield f"round trip {backend.round_trip_seconds * 1000:.0f} ms"
    if backend.comfyui_version:
        yield f"ComfyUI {backend.comfyui_version}"
    yield f"checked at {backend.checked_at.astimezone(UTC):%H:%M:%S} UTC" if backend.checked_at else "never checked"


def _work(backend: Listed) -> Iterator[str]:
    if backend.warm_model_set:
        yield f"holds {backend.warm_model_set}"
    elif backend.released_at is not None:
        yield f"let go of its weights at {backend.released_at.astimezone(UTC):%H:%M} UTC, being idle"
    for numbers, verb in ((backend.running, "runs"), (backend.waiting, "next"), (backend.collecting, "fetches")):
        if numbers:
            yield f"{verb} {', '.join(map(str, numbers))}"
