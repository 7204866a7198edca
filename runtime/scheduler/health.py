"""Which backends take jobs, and which commands each can run: seen from this process, written to the database.

A backend is ready after its first good check, and away after the first bad one.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import structlog

from db import placement
from db.pool import AWAY, Pool
from runtime.api import VeilrunError, Workflow
from runtime.comfyui import BackendError, Catalogue, PathAway, check_graph
from runtime.registry import LoadedCommand
from runtime.scheduler.fleet import Backend, Fleet
from runtime.scheduler.view import command_key

log = structlog.get_logger("veilrun.health")

READY_SECONDS, AWAY_SECONDS = 30.0, 5.0
"""From one check of a backend to the next."""

PATH_SECONDS = 1.0
"""The same while our own way to the backend is down: to look costs nothing then."""

CHECK_SECONDS = {"direct": 20.0, "anon": 100.0}
"""A check that takes longer counts as failed. Circuits to a hidden service may take a minute to come about."""

LACKS = ("unknown_class", "missing_model")
"""What makes a command impossible on a backend, whatever its arguments are."""


@dataclass(frozen=True, slots=True)
class Health:
    """What one check found. missing: command (with variant, `flux --dev`) -> what the backend lacks for it.

    is_path_down: nothing is known of the backend itself, since our way to it is down. round_trip_seconds: of one small
    request on an open connection; it differs from check to check, and makes no other finding.
    """

    state: Literal["ready", "away"]
    reason: str | None = None
    comfyui_version: str | None = None
    missing: Mapping[str, str] = field(default_factory=dict)
    is_path_down: bool = False
    round_trip_seconds: float | None = field(default=None, compare=False)

    @property
    def pause_seconds(self) -> float:
        """Until the next check."""
        if self.is_path_down:
            return PATH_SECONDS
        return READY_SECONDS if self.state == "ready" else AWAY_SECONDS


async def check_backend(backend: Backend, commands: Mapping[str, LoadedCommand]) -> Health:
    """Ask the backend for its state and for what it offers, and compare that with what the commands need."""
    seconds = CHECK_SECONDS.get(backend.config.transport, CHECK_SECONDS["direct"])
    try:
        async with asyncio.timeout(seconds):
            stats = await backend.client.system_stats()
            started = time.monotonic()
            await backend.client.prompt_info()
            round_trip_seconds = time.monotonic() - started
            catalogue = await backend.catalogue(fresh=backend.is_catalogue_due)
    except TimeoutError:
        backend.forget()
        return Health("away", f"no answer within {seconds:g} s")
    except PathAway as error:
        return Health("away", error.message, is_path_down=True)
    except VeilrunError as error:
        backend.forget()
        return Health("away", error.message if isinstance(error, BackendError) else str(error))
    missing = missing_commands(catalogue, commands)
    return Health("ready", None, stats.comfyui_version, missing, round_trip_seconds=round_trip_seconds)


def missing_commands(catalogue: Catalogue, commands: Mapping[str, LoadedCommand]) -> Mapping[str, str]:
    """Command (with variant) -> the node classes and model files that the server lacks for it, in words."""
    missing = {}
    for name, loaded in commands.items():
        for variant in (None, *(variant.name for variant in loaded.command.variants)):
            lacks = _lacks(catalogue, loaded.command.workflow_of(variant))
            if lacks:
                missing[command_key(name, variant)] = lacks
    return missing


def _lacks(catalogue: Catalogue, workflow: Workflow) -> str:
    problems = check_graph(workflow.graph, catalogue, workflow.models)
    return "; ".join(dict.fromkeys(problem.message for problem in problems if problem.kind in LACKS))


class HealthWatch:
    """Checks every backend now and again, and at once when asked to.

    on_ready: awaited when a backend has become ready or can run something it could not: jobs may be waiting for it.
    """

    def __init__(
        self,
        fleet: Fleet,
        commands: Mapping[str, LoadedCommand],
        pool: Pool,
        on_ready: Callable[[], Awaitable[None]],
    ) -> None:
        self._fleet = fleet
        self._commands = commands
        self._pool = pool
        self._on_ready = on_ready
        self._due = {backend.name: asyncio.Event() for backend in fleet}
        self._last: dict[str, Health] = {}

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for backend in self._fleet:
                tasks.create_task(self._watch(backend), name=f"health-{backend.name}")

    def check_soon(self, backend: str) -> None:
        """Check that backend now: a job could not reach it."""
        if backend in self._due:
            self._due[backend].set()

    async def _watch(self, backend: Backend) -> None:
        due = self._due[backend.name]
        while True:
            due.clear()
            health = await check_backend(backend, self._commands)
            try:
                await self._report(backend.name, health)
            except AWAY as error:
                log.warning("backend health not stored", backend=backend.name, error=type(error).__name__)
            try:
                async with asyncio.timeout(health.pause_seconds * random.uniform(0.8, 1.2)):
                    await due.wait()
            except TimeoutError:
                continue

    async def _report(self, name: str, health: Health) -> None:
        async with self._pool.connection() as connection:
            await placement.report_backend(
                connection,
                name,
                health=health.state,
                reason=health.reason,
                comfyui_version=health.comfyui_version,
                missing=health.missing if health.state == "ready" else None,
                round_trip_seconds=health.round_trip_seconds,
            )
        if self._last.get(name) != health:
            self._last[name] = health
            log.info("backend checked", backend=name, health=health.state, reason=health.reason)
            if health.state == "ready":
                await self._on_ready()
