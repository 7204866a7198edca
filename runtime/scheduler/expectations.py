"""What is known of run and load times, as decisions use it, and which expected ends have changed by one."""

import time
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from datetime import datetime

from psycopg import AsyncConnection

from db import timings
from db.timings import MOVED_SECONDS, MOVED_SHARE
from runtime.registry import Registry
from runtime.scheduler.timings import Timings

READ_SECONDS = 1.0
"""For how long what was read is used: so much later a decision may learn of a run."""


class Learned:
    """The measured times, read again when they are older than READ_SECONDS or the registry is another one."""

    def __init__(self) -> None:
        self._timings = Timings()
        self._registry: Registry | None = None
        self._read_at = 0.0

    async def timings(self, connection: AsyncConnection, registry: Registry) -> Timings:
        """As the tables and the registry say."""
        if registry is not self._registry or time.monotonic() - self._read_at > READ_SECONDS:
            measured = await timings.read(connection)
            self._timings = Timings(measured.runs, measured.loads, weights_gb(registry))
            self._registry, self._read_at = registry, time.monotonic()
        return self._timings


def weights_gb(registry: Registry) -> Mapping[str, float]:
    """Model set -> the size of its files, in GiB: of all that any command with this set names, each once."""
    files: dict[str, dict[tuple[str, str], float]] = {}
    for loaded in registry.commands.values():
        command = loaded.command
        for variant in (None, *(variant.name for variant in command.variants)):
            model_set = command.affinity_of(variant).model_set
            models = command.workflow_of(variant).models
            if model_set and models:
                files.setdefault(model_set, {}).update({(file.folder, file.name): file.size_gb for file in models})
    return {model_set: sum(sizes.values()) for model_set, sizes in files.items()}


@dataclass(frozen=True, slots=True)
class Awaited:
    """A job whose run has not begun. key: its command with variant. expected_at: when it was last expected to end."""

    job_id: int
    key: str
    expected_at: datetime | None


def moved(
    awaited: Iterable[Awaited], ends: Mapping[int, float], now: datetime, *, measured: Set[str]
) -> Mapping[int, float | None]:
    """Job -> seconds from now until its run is expected to be over, None = nobody can say: of those that have changed.

    ends: as decided. measured: the commands that have run at all; of others nothing is promised.
    """
    changed: dict[int, float | None] = {}
    for job in awaited:
        seconds = ends.get(job.job_id) if job.key in measured else None
        if seconds is None:
            if job.expected_at is not None:
                changed[job.job_id] = None
        elif job.expected_at is None or not _is_same((job.expected_at - now).total_seconds(), seconds):
            changed[job.job_id] = seconds
    return changed


def _is_same(before: float, seconds: float) -> bool:
    return abs(before - seconds) <= max(MOVED_SECONDS, MOVED_SHARE * seconds)
