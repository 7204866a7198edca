"""Which backends take jobs, and which commands each can run: seen from this process, written to the database.

A backend is ready after its first good check, and away after the first bad one.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

import structlog

from db import backends, breakers, views
from db.pool import AWAY, Pool, listen
from db.views import HERE
from runtime.api import VeilrunError, Workflow
from runtime.comfyui import BackendError, Catalogue, PathAway, SystemStats, check_graph
from runtime.registry import BackendConfig, LiveRegistry, LoadedCommand, Override
from runtime.scheduler.breakers import LACKS
from runtime.scheduler.fleet import Backend, Fleet
from runtime.scheduler.overrides import broken_by, with_overrides
from runtime.scheduler.view import command_key

log = structlog.get_logger("veilrun.health")

READY_SECONDS, AWAY_SECONDS = 30.0, 5.0
"""From one check of a backend to the next."""

PATH_SECONDS = 1.0
"""The same while our own way to the backend is down: to look costs nothing then."""

CHECK_SECONDS = {"direct": 20.0, "anon": 100.0}
"""A check that takes longer counts as failed. Circuits to a hidden service may take a minute to come about."""

VRAM_SHARE = 0.95
"""A card that is sold with 24 GB tells 23.5 GiB or so: from this share on it is the one that the registry means."""

NO_OVERRIDES: Mapping[str, Override] = {}


@dataclass(frozen=True, slots=True)
class Card:
    """One compute device as its server tells. vram_gb in GiB."""

    name: str
    vram_gb: float


@dataclass(frozen=True, slots=True)
class Health:
    """What one check found. missing: command (with variant, `flux --dev`) -> what the backend lacks for it.

    cards: what the server computes on. doubt: what of that does not fit the registry.

    is_path_down: nothing is known of the backend itself, since our way to it is down. round_trip_seconds: of one small
    request on an open connection; it differs from check to check, and makes no other finding.
    """

    state: Literal["ready", "away"]
    reason: str | None = None
    comfyui_version: str | None = None
    missing: Mapping[str, str] = field(default_factory=dict)
    cards: tuple[Card, ...] = ()
    doubt: str | None = None
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
    cards = cards_of(stats)
    return Health(
        "ready",
        comfyui_version=stats.comfyui_version,
        missing=missing_commands(catalogue, commands, backend.config.overrides),
        cards=cards,
        doubt=doubt_of(backend.config, cards),
        round_trip_seconds=round_trip_seconds,
    )


def cards_of(stats: SystemStats) -> tuple[Card, ...]:
    """The server's devices. ComfyUI lists the one that it computes on, whichever others the machine has."""
    return tuple(Card(device.name, round(device.vram_total / 2**30, 1)) for device in stats.devices)


def doubt_of(config: BackendConfig, cards: tuple[Card, ...]) -> str | None:
    """What of the cards does not fit the registry, in words. With overrides, a model set may be on several cards, of
    which the server tells one: then there is nothing to compare."""
    largest = max(cards, key=lambda card: card.vram_gb, default=None)
    if largest is None or config.overrides or largest.vram_gb >= VRAM_SHARE * config.vram_gb:
        return None
    return f"the registry says {config.vram_gb:g} GB, but {largest.name} has {largest.vram_gb:g} GB"


def missing_commands(
    catalogue: Catalogue, commands: Mapping[str, LoadedCommand], overrides: Mapping[str, Override] = NO_OVERRIDES
) -> Mapping[str, str]:
    """Command (with variant) -> the node classes and model files that the server lacks for it, in words.

    The graphs are looked at as they are sent there, with the backend's own overrides.
    """
    missing = {}
    for name, loaded in commands.items():
        for variant in (None, *(variant.name for variant in loaded.command.variants)):
            lacks = _lacks(catalogue, loaded.command.workflow_of(variant), overrides)
            if lacks:
                missing[command_key(name, variant)] = lacks
    return missing


def _lacks(catalogue: Catalogue, workflow: Workflow, overrides: Mapping[str, Override]) -> str:
    told = {override.class_type for override in overrides.values()}
    problems = check_graph(with_overrides(workflow.graph, overrides), catalogue, workflow.models)
    lacks = [
        problem.message
        for problem in problems
        if problem.kind in LACKS and not (problem.kind == "unknown_class" and problem.class_type in told)
    ]
    return "; ".join(dict.fromkeys([*broken_by(workflow, catalogue, overrides), *lacks]))


def has_come_back(before: Health | None, now: Health) -> bool:
    """Whether the server itself was away and is there again, so that it may have been restarted and mended."""
    return now.state == "ready" and before is not None and before.state == "away" and not before.is_path_down


class HealthWatch:
    """Checks every backend now and again, and at once when asked to.

    machine: whose view this is. dsn: where other machines say that they lost sight of a backend, which is then looked
    at from here as well; None: nobody else is asked.
    on_ready: awaited when a backend has become ready or can run something it could not: jobs may be waiting for it.
    """

    def __init__(
        self,
        fleet: Fleet,
        live: LiveRegistry,
        pool: Pool,
        on_ready: Callable[[], Awaitable[None]],
        *,
        machine: str = HERE,
        dsn: str | None = None,
    ) -> None:
        self._fleet = fleet
        self._live = live
        self._pool = pool
        self._on_ready = on_ready
        self._dsn = dsn
        self.machine = machine
        self._due: dict[str, asyncio.Event] = {}
        self._last: dict[str, Health] = {}
        self._doubted: set[str] = set()

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            if self._dsn is not None:
                tasks.create_task(self._heed(self._dsn), name="health-doubts")
            tasks.create_task(self._fleet.each(self._watch, "health"), name="health")

    def follow(self) -> None:
        """The registry has changed: look at every backend at once."""
        for name in self._due:
            self.check_soon(name)

    def check_soon(self, backend: str) -> None:
        """Check that backend now: a job could not reach it."""
        if backend in self._due:
            self._doubted.add(backend)
            self._due[backend].set()

    @property
    def reached(self) -> list[str]:
        """The backends that this process reached when it last looked, with no reason to doubt it since."""
        ready = [backend.name for backend in self._fleet if self._is_ready(backend.name)]
        return [name for name in ready if name not in self._doubted]

    @property
    def is_reaching_all(self) -> bool:
        return len(self.reached) == len(list(self._fleet))

    def _is_ready(self, name: str) -> bool:
        last = self._last.get(name)
        return last is not None and last.state == "ready"

    async def _heed(self, dsn: str) -> None:
        """Look at once at what another machine lost sight of: it is that machine's way, or the backend is gone."""
        async for notice in listen(dsn, views.CHANNEL):
            if notice is not None and notice.get("machine") != self.machine:
                self.check_soon(notice.get("doubted", ""))

    async def _watch(self, backend: Backend) -> None:
        due = self._due[backend.name] = asyncio.Event()
        self._last.pop(backend.name, None)
        while True:
            due.clear()
            health = await check_backend(backend, self._live.current.commands)
            try:
                await self._report(backend.name, health)
            except AWAY as error:
                log.warning("backend health not stored", backend=backend.name, error=type(error).__name__)
            if not due.is_set():
                self._doubted.discard(backend.name)
            try:
                async with asyncio.timeout(health.pause_seconds * random.uniform(0.8, 1.2)):
                    await due.wait()
            except TimeoutError:
                continue

    async def _report(self, name: str, health: Health) -> None:
        async with self._pool.connection() as connection:
            await views.report(
                connection,
                name,
                machine=self.machine,
                health=health.state,
                reason=health.reason,
                comfyui_version=health.comfyui_version,
                missing=health.missing if health.state == "ready" else None,
                round_trip_seconds=health.round_trip_seconds,
            )
            before = self._last.get(name)
            if health.state == "away" and (before is None or before.state == "ready"):
                await views.doubt(connection, name, self.machine)
            if health.state == "ready" and (
                before is None or (before.cards, before.doubt) != (health.cards, health.doubt)
            ):
                cards = [asdict(card) for card in health.cards]
                await backends.tell_devices(connection, name, cards, health.doubt)
            if has_come_back(before, health):
                await breakers.probe_now(connection, name)
        if before != health:
            self._last[name] = health
            log.info("backend checked", backend=name, health=health.state, reason=health.reason)
            if health.doubt and (before is None or before.doubt != health.doubt):
                log.warning("backend is not as the registry says", backend=name, doubt=health.doubt)
            if health.state == "ready":
                await self._on_ready()
