"""What each page shows: a view says which page it is, a board finds out what is on it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from psycopg import AsyncConnection

from db import console, console_job, endings, events
from db.jobs import State
from db.pool import Pool
from runtime.console import snapshot
from runtime.console.attention import attention
from runtime.console.snapshot import Snapshot
from runtime.console.words import kind_of
from runtime.registry import LiveRegistry
from webhooks.console.errors import NotThere
from webhooks.console.rendering import render
from webhooks.console.shared import Shared

Name: TypeAlias = Literal["overview", "backends", "backend", "queue", "jobs", "job", "dead", "plugins"]
NAV: tuple[tuple[Name, str, str], ...] = (
    ("overview", "./", "Overview"),
    ("backends", "backends", "Backends"),
    ("queue", "queue", "Queue"),
    ("jobs", "jobs", "Jobs"),
    ("dead", "dead", "Dead letters"),
    ("plugins", "plugins", "Plugins"),
)
STATES: tuple[State, ...] = get_args(State)

SECONDS = 1.0
"""For so long what was read is used for everybody."""

PAST_SECONDS = 10.0
"""The same for what lasts longer to read and changes less."""

AT_ONCE = 4
"""Connections that the console takes at a time: the others are for the bot."""

PATIENCE_SECONDS = 3.0
SAFE_KEYS = ("error", "backend", "command", "recalled", "replayed", "counts")
"""What is shown of an event, should anybody ever write more into one."""


@dataclass(frozen=True, slots=True)
class View:
    """One page. number: of its job; backend: its name; states, command, before: what a list is narrowed to."""

    name: Name
    number: int = 0
    backend: str = ""
    state: str = ""
    command: str = ""
    before: int | None = None

    @property
    def root(self) -> str:
        """The way from this page to the console's root."""
        return "../" if self.name in ("job", "backend") else "./"

    @property
    def section(self) -> str:
        """The entry of the navigation that it belongs to."""
        return {"job": "jobs", "backend": "backends"}.get(self.name, self.name)


class Board:
    """What is on the pages of one web process. live: the registry in force."""

    def __init__(self, pool: Pool, live: LiveRegistry) -> None:
        self._pool = pool
        self._live = live
        self._shared = Shared(SECONDS)
        self._turns = asyncio.Semaphore(AT_ONCE)

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection]:
        """A connection, for a short while. Raises: psycopg.OperationalError, PoolTimeout when there is none."""
        async with self._turns, self._pool.connection(timeout=PATIENCE_SECONDS) as connection:
            yield connection

    def forget(self) -> None:
        """Something was changed here: who looks next sees it."""
        self._shared.forget()

    async def snapshot(self) -> Snapshot:
        """As it was a second ago at most."""
        return await self._shared.get("snapshot", self._read)

    async def facts(self, view: View) -> dict[str, Any]:
        """What the templates of this page need. Raises: NotThere, and what `connection` raises."""
        seen = await self.snapshot()
        registry = self._live.current
        common = {
            "view": view,
            "root": view.root,
            "nav": NAV,
            "seen": seen,
            "at": seen.at,
            "notices": attention(seen, registry, self._live.problem),
            "registry": registry,
            "problem": self._live.problem,
        }
        special = await _SPECIAL[view.name](self, view, seen)
        return {**common, **special}

    async def live(self, view: View) -> tuple[Mapping[str, str], float]:
        """The parts of the page that change, and the database's time in seconds since 1970; rendered once for all who
        look at the same page."""

        async def make() -> tuple[Mapping[str, str], float]:
            facts = {**await self.facts(view), "is_live": True}
            parts = {"nav": render("nav.html", facts), "main": render(f"{view.name}.html", facts)}
            return parts, facts["at"].timestamp()

        return await self._shared.get(view, make)

    async def _read(self) -> Snapshot:
        async def read_past_hour() -> console.PastHour:
            async with self.connection() as connection:
                return await snapshot.read_past_hour(connection)

        past_hour = await self._shared.get("past hour", read_past_hour, seconds=PAST_SECONDS)
        async with self.connection() as connection:
            return await snapshot.read(connection, past_hour)

    async def _nothing(self, view: View, seen: Snapshot) -> dict[str, Any]:
        return {}

    async def _backend(self, view: View, seen: Snapshot) -> dict[str, Any]:
        backend = seen.by_name.get(view.backend)
        if backend is None:
            raise NotThere
        return {"backend": backend, "config": self._live.current.backend(view.backend)}

    async def _jobs(self, view: View, seen: Snapshot) -> dict[str, Any]:
        states = [state for state in STATES if state == view.state] or None
        async with self.connection() as connection:
            listing = await console.jobs(
                connection,
                states=["dead"] if view.name == "dead" else states,
                command=view.command or None,
                before=view.before,
            )
        return {"listing": listing, "states": STATES, "commands": sorted(self._live.current.commands)}

    async def _job(self, view: View, seen: Snapshot) -> dict[str, Any]:
        async with self.connection() as connection:
            job = await console_job.detail(connection, view.number)
            if job is None:
                raise NotThere
            tries = await endings.tries(connection, view.number)
            feed = await events.of_job(connection, view.number)
            kinds = await console_job.argument_kinds(connection, view.number)
            messages = await console_job.messages(connection, view.number)
        loaded = self._live.current.commands.get(job.command)
        command = loaded.command if loaded else None
        return {
            "job": job,
            "tries": tries,
            "feed": [(event.at, event.kind, _told(event.data)) for event in feed],
            "parameters": [(name, kind_of(command, name, kind)) for name, kind in kinds.items()],
            "messages": messages,
            "position": next((waiting.position for waiting in seen.queue if waiting.id == job.id), None),
        }


Finding: TypeAlias = Callable[[Board, View, Snapshot], Awaitable[dict[str, Any]]]
_SPECIAL: Mapping[Name, Finding] = {
    "overview": Board._nothing,
    "backends": Board._nothing,
    "backend": Board._backend,
    "queue": Board._nothing,
    "jobs": Board._jobs,
    "job": Board._job,
    "dead": Board._jobs,
    "plugins": Board._nothing,
}


def _told(data: Mapping[str, Any]) -> str:
    """`backend gpu-a, error LoadTimeout`."""
    found = {key: data[key] for key in SAFE_KEYS if isinstance(data.get(key), str | bool | int)}
    return ", ".join(key if value is True else f"{key} {value}" for key, value in found.items())
