"""What is measured when somebody asks for it: the gauges and tallies over the tables, and this machine's anon."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from psycopg import AsyncConnection

from db import breakers, reports, tallies
from db.pool import AWAY, Pool
from runtime import metrics
from runtime.anon.state import AnonState, read_state
from runtime.tallying import tally

MEASURE_SECONDS = 2.0  # a scrape has little time
MOST_ROUNDS = 5  # of counting ended tries, in one scrape

BOUNDS = {metric: tallied.bounds for metric, tallied in metrics.TALLIED.items()}


class Measure:
    """Brings the metrics up to date with each call; what is there no longer is no longer reported."""

    def __init__(self, pool: Pool, anon_dir: Path) -> None:
        self._pool = pool
        self._anon_dir = anon_dir
        self._counted: dict[str, int] = {}

    async def __call__(self) -> None:
        """A database that is away leaves its gauges as they were."""
        self._measure_anon(read_state(self._anon_dir))
        try:
            await tally(self._pool)
            async with self._pool.connection(timeout=MEASURE_SECONDS) as connection:
                _measure_fleet(await reports.fleet(connection))
                _measure_queue(await reports.lines(connection))
                _measure_breakers(await breakers.not_closed(connection))
                await _tally(connection)
                metrics.tallies.show(await tallies.read(connection))
        except AWAY:
            return

    def _measure_anon(self, state: AnonState | None) -> None:
        metrics.anon_bootstrap_percent.set(state.bootstrap_percent if state else 0)
        if state is not None:
            self._count("read", state.bytes_read)
            self._count("written", state.bytes_written)

    def _count(self, direction: str, bytes_now: int) -> None:
        """The daemon counts from 0 when it is started again."""
        before = self._counted.get(direction, 0)
        metrics.anon_bytes.labels(direction).inc(bytes_now - before if bytes_now >= before else bytes_now)
        self._counted[direction] = bytes_now


def _measure_fleet(found: reports.Fleet) -> None:
    for gauge in (metrics.jobs_by_state, metrics.backends_by_health, metrics.round_trip_seconds):
        gauge.clear()
    for (command, state), count in found.jobs.items():
        metrics.jobs_by_state.labels(command, state).set(count)
    for health, count in found.backends.items():
        metrics.backends_by_health.labels(health).set(count)
    for backend, seconds in found.round_trips.items():
        metrics.round_trip_seconds.labels(backend).set(seconds)


def _measure_queue(lines: Sequence[reports.Line]) -> None:
    metrics.queue_depth.clear()
    metrics.queue_oldest_seconds.clear()
    for line in lines:
        metrics.queue_depth.labels(line.command).set(line.depth)
        metrics.queue_oldest_seconds.labels(line.command).set(line.oldest_seconds)
    metrics.oldest_queued_seconds.set(max((line.oldest_seconds for line in lines), default=0.0))


async def _tally(connection: AsyncConnection) -> None:
    """Count what has ended. After a long time without a scrape the next ones count the rest."""
    for _ in range(MOST_ROUNDS):
        if await tallies.tally(connection, BOUNDS) < tallies.AT_A_TIME:
            return


def _measure_breakers(found: Sequence[breakers.Breaker]) -> None:
    metrics.open_breakers.clear()
    for backend, count in Counter(breaker.backend for breaker in found).items():
        metrics.open_breakers.labels(backend).set(count)
