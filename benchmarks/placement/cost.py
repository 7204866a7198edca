"""What a decision costs on a fleet of 1,000 slots, with a short queue and a long one.

The whole way from the tables to the decision, on a real PostgreSQL: the bounded window of the queue is read with all
slots and backends, rows become values, `place()` decides. Twice: in the midst of work, when one GPU of 500 has just
become free, and with every GPU free at once, as after a power cut. Medians of rounds in which both queues take turns.
"""

import argparse
import asyncio
import contextlib
import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.conninfo import make_conninfo

from benchmarks.placement.workload import COMMANDS, MEANS, RTX_4090, RTX_5090, VRAM_GB
from db import migrate, placement
from db.embedded import embedded_database
from db.pool import Pool, open_pool
from runtime.registry import Registry, load_registry
from runtime.scheduler import schedule
from runtime.scheduler.expectations import Learned
from runtime.scheduler.place import place
from runtime.scheduler.sync import sync_registry

GPUS, SHORT, LONG = 500, 1_000, 100_000
USERS = 5_000
MOST_MILLISECONDS, MOST_RATIO = 50.0, 1.2

QUEUED = """
    insert into jobs (command_id, command, variant, arguments, model_set, user_id, rank_at)
    select %(command_id)s, %(name)s, %(variant)s, '{"prompt": "an astronaut"}', %(model_set)s, number %% %(users)s,
        now() - interval '1 hour' + make_interval(secs => 3 * number)
    from generate_series(1, %(count)s) as number
"""
"""A backlog that began an hour ago. The long one goes on where the short one ends: both begin alike."""

HELD = """
    with given as (
        insert into jobs (command_id, command, variant, arguments, model_set, user_id, state, backend, placed_at,
                          began_at)
        select %(command_id)s, %(name)s, %(variant)s, '{}', %(model_set)s, 1000000 + random() * 1000, 'running',
            backend, now() - make_interval(secs => random() * 4), case when position = 0 then now() end
        from slots where position = %(position)s and backend = any(%(backends)s)
        returning id, backend)
    update slots set job_id = given.id from given where slots.backend = given.backend and position = %(position)s
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds: `reading` as they pass, the rest of processor time, as nobody is waited for. rows: jobs read."""

    rows: int
    reading: float
    values: float
    deciding: float
    placed: int

    @property
    def whole(self) -> float:
        return self.reading + self.values + self.deciding


async def decision_cost(pool: Pool, registry: Registry, learned: Learned) -> Cost:
    """One decision, which is not written."""
    async with pool.connection() as connection:
        started = time.perf_counter()
        seen = await placement.snapshot(connection, schedule.WINDOW)
        known = await learned.timings(connection, registry)
        reading, read = time.perf_counter() - started, time.thread_time()
        queued = [schedule._queued(row, registry) for row in seen.waiting]
        slots = schedule._slots(seen, registry)
        made = time.thread_time()
        decision = place(queued, slots, now=seen.waiting[0].seen_at, timings=known)
        decided = time.thread_time()
        await connection.rollback()
    return Cost(
        rows=len(queued),
        reading=1000 * reading,
        values=1000 * (made - read),
        deciding=1000 * (decided - made),
        placed=len(decision.placements),
    )


def write_registry(folder: Path) -> Registry:
    """500 GPUs with one look-ahead each, every other one an RTX 5090."""
    lines = ["version: 1", "access: {default: public}", "backends:"]
    for number in range(GPUS):
        device = (RTX_4090, RTX_5090)[number % 2]
        url = f"http://127.0.0.1:{10_000 + number}"
        lines.append(
            f'  - {{name: gpu-{number:03}, url: "{url}", device: "{device}", vram_gb: {VRAM_GB[device]}, lookahead: 1}}'
        )
    lines.append("plugins: {flux: {enabled: true}, qwen: {enabled: true}, wan: {enabled: true}, sd3: {enabled: true}}")
    path = folder / "plugin_registry.yaml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return load_registry(path)


async def fill(connection: AsyncConnection, ids: Mapping[str, int], count: int) -> None:
    """All backends ready and warm, run and load times measured, and that many jobs waiting."""
    await connection.execute(
        """update backends set health = 'ready', round_trip_seconds = 0.3,
               warm_model_set = (%s::text[])[1 + (substr(name, 5)::int / 2) %% %s]""",
        ([command.model_set for command in COMMANDS], len(COMMANDS)),
    )
    for (key, device, size_class), seconds in MEANS.runs.items():
        await connection.execute(
            "insert into run_times (bucket, device, size_class, seconds) values (%s, %s, %s, %s)",
            (key, device, size_class, seconds),
        )
    for (model_set, device), seconds in MEANS.loads.items():
        await connection.execute(
            "insert into load_times (model_set, device, seconds) values (%s, %s, %s)", (model_set, device, seconds)
        )
    for command in COMMANDS:
        values = {"command_id": ids[command.name], "name": command.name, "variant": command.variant}
        values |= {"model_set": command.model_set, "count": count // len(COMMANDS), "users": USERS}
        await connection.execute(QUEUED, values)


async def occupy(connection: AsyncConnection, ids: Mapping[str, int]) -> None:
    """Every GPU but the first runs a job and has another one waiting on it: the same in every database."""
    await connection.execute("select setseed(0.5)")
    for number, command in enumerate(COMMANDS):
        backends = [f"gpu-{gpu:03}" for gpu in range(1, GPUS) if gpu // 2 % len(COMMANDS) == number]
        for position in (0, 1):
            values = {"command_id": ids[command.name], "name": command.name, "variant": command.variant}
            values |= {"model_set": command.model_set, "position": position, "backends": backends}
            await connection.execute(HELD, values)
    await connection.execute("analyze")


@contextlib.asynccontextmanager
async def prepared(dsn: str, registry: Registry, count: int) -> AsyncIterator[tuple[Pool, Mapping[str, int]]]:
    """A database of its own with that many jobs waiting and every slot free; and the ids of the commands."""
    name = f"queued_{count}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    own = make_conninfo(dsn, dbname=name)
    migrate.upgrade(own)
    async with open_pool(own, "bench") as pool:
        ids = await sync_registry(pool, registry)
        async with pool.connection() as connection:
            await fill(connection, ids, count)
            await connection.execute("analyze")
        yield pool, ids


async def compare(dsn: str, registry: Registry, rounds: int) -> None:
    async with prepared(dsn, registry, SHORT) as (short, ids), prepared(dsn, registry, LONG) as (long, long_ids):
        await measure("every GPU free", short, long, registry, rounds)
        for pool, own_ids in ((short, ids), (long, long_ids)):
            async with pool.connection() as connection:
                await occupy(connection, own_ids)
        await measure("one GPU of 500 free", short, long, registry, rounds)


async def measure(what: str, short: Pool, long: Pool, registry: Registry, rounds: int) -> None:
    """Both queues in turn; a first round of each is not counted."""
    costs: tuple[list[Cost], list[Cost]] = ([], [])
    sides = [(pool, Learned(), own) for pool, own in zip((short, long), costs, strict=True)]
    for number in range(rounds + 1):
        for pool, learned, own in sides:
            cost = await decision_cost(pool, registry, learned)
            if number:
                own.append(cost)
    few, many = costs
    print(f"\n{what}: {few[0].placed} and {many[0].placed} jobs placed, {few[0].rows} and {many[0].rows} read")
    print(f"{'':24}{SHORT:>10,} queued{LONG:>10,} queued   ratio")
    for part, name in (("reading", "reading"), ("values", "into values"), ("deciding", "place()"), ("whole", "all")):
        one, other = (median(side, part) for side in costs)
        print(f"{name:24}{one:14.1f} ms{other:14.1f} ms{other / one:8.2f}")
    slowest = max(median(side, "deciding") for side in costs)
    ratio = median(many, "deciding") / median(few, "deciding")
    print(f"{verdict(slowest <= MOST_MILLISECONDS)}  place() in {MOST_MILLISECONDS:g} ms or less: {slowest:.1f} ms")
    print(f"{verdict(ratio <= MOST_RATIO)}  at most {MOST_RATIO:g}x with the long queue: {ratio:.2f}x")


def median(costs: Sequence[Cost], part: str) -> float:
    return statistics.median(float(getattr(cost, part)) for cost in costs)


def verdict(is_met: bool) -> str:
    return "pass" if is_met else "FAIL"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.placement.cost", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    wanted = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="veilrun-bench-"))
    folder.chmod(0o711)  # as root, the server runs as another user
    try:
        registry = write_registry(folder)
        with embedded_database(folder / "state") as dsn:
            asyncio.run(compare(dsn, registry, wanted.rounds))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
