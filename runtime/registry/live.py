"""The registry of a process that runs for long: the file is watched, and a valid change takes effect as a whole.

An invalid file changes nothing: what was loaded last goes on. Who works on a job keeps the registry that it began with,
so a running job ends on the version of its command that it started with.
"""

import asyncio
import importlib
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import structlog

from db.pool import AWAY
from runtime import metrics
from runtime.api import VeilrunError
from runtime.registry.errors import RegistryInvalid
from runtime.registry.registry import Registry

log = structlog.get_logger("veilrun.registry")

SETTLE_SECONDS = 0.2
"""An editor may write a file in several steps: it is read once it has been left alone for so long."""

Fingerprint: TypeAlias = tuple[tuple[str, int, int, int, int], ...]
"""(path, mtime and ctime in ns, size, inode) of each file that is there. ctime tells of a right that was given."""


@dataclass(frozen=True, slots=True)
class Edition:
    """One reading of the registry. command_ids: command -> its row in `commands`, the version that it means."""

    registry: Registry
    command_ids: Mapping[str, int] = field(default_factory=dict)


class LiveRegistry:
    """The edition that is in force in this process. Take `edition` once for what has to fit together.

    problem: why the file as it is now was refused, one line each; None: what is in force is what the file says.
    """

    def __init__(self, registry: Registry, command_ids: Mapping[str, int] | None = None) -> None:
        self.edition = Edition(registry, command_ids or {})
        self.problem: str | None = None

    @property
    def current(self) -> Registry:
        return self.edition.registry

    @property
    def command_ids(self) -> Mapping[str, int]:
        return self.edition.command_ids


OnChange: TypeAlias = Callable[[Registry], Awaitable[None]]


class RegistryWatch:
    """Looks at the files every `seconds` and renews `live` when they have changed.

    load: reads the registry, called in a thread. sync: brings the tables in line with it and gives the ids of its
    commands. on_change: awaited with the new registry once it is in force. folder: of single-file plugins, watched as
    well. seen: what the files were when `live` was loaded, see `fingerprint`.
    """

    def __init__(
        self,
        live: LiveRegistry,
        *,
        load: Callable[[], Registry],
        sync: Callable[[Registry], Awaitable[Mapping[str, int]]],
        on_change: Sequence[OnChange] = (),
        seconds: float = 1.0,
        folder: Path | None = None,
        seen: Fingerprint | None = None,
    ) -> None:
        self._live = live
        self._load = load
        self._sync = sync
        self._on_change = on_change
        self._seconds = seconds
        self._folder = folder
        self._seen = fingerprint(live.current.path, folder) if seen is None else seen
        metrics.registry_refused.set(0)

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await asyncio.sleep(self._seconds)
            now = fingerprint(self._live.current.path, self._folder)
            if now == self._seen:
                continue
            await asyncio.sleep(SETTLE_SECONDS)
            if now != fingerprint(self._live.current.path, self._folder):
                continue
            try:
                await self.reload()
            except AWAY as error:
                log.warning("registry not renewed yet", error=type(error).__name__)
                continue
            self._seen = now

    async def reload(self) -> bool:
        """Put the files as they are now in force; False if they were refused, and nothing has changed.

        Raises: psycopg.OperationalError if the database is away; then nothing has changed either.
        """
        try:
            importlib.invalidate_caches()  # a plugin may have been installed since
            registry = await asyncio.to_thread(self._load)
            edition = Edition(registry, await self._sync(registry))
        except VeilrunError as error:
            self._refuse(str(error), len(error.problems) if isinstance(error, RegistryInvalid) else 1)
            return False
        except AWAY:
            raise
        except Exception as error:  # noqa: BLE001 - whatever else it trips over: the old one stays, and is watched on
            self._refuse(f"{type(error).__name__} while it was read: report this, it is a fault of veilrun", 1)
            return False
        self._live.edition, self._live.problem = edition, None
        metrics.registry_reloads.labels("done").inc()
        metrics.registry_refused.set(0)
        log.info(
            "registry renewed",
            commands=sorted(registry.commands),
            backends=[backend.name for backend in registry.backends],
            inactive=[plugin.name for plugin in registry.plugins if plugin.enabled and plugin.error],
        )
        for follow in self._on_change:
            await follow(registry)
        return True

    def _refuse(self, problem: str, count: int) -> None:
        self._live.problem = problem
        metrics.registry_reloads.labels("refused").inc()
        metrics.registry_refused.set(1)
        log.error("registry refused, the old one stays in force", problems=count, first=problem.partition("\n")[0])


def fingerprint(path: Path, folder: Path | None = None) -> Fingerprint:
    """What tells one state of the files from another, without reading them."""
    return tuple(_stats(path, folder))


def _stats(path: Path, folder: Path | None) -> Iterator[tuple[str, int, int, int, int]]:
    files = [path, *(sorted(folder.glob("*.py")) + sorted(folder.glob("*.json")) if folder else ())]
    for file in files:
        try:
            stat = os.stat(file)
        except OSError:
            continue
        yield str(file), stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino
