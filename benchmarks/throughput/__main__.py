"""Jobs a second of the whole runtime, with backends that answer at once: what is left is scheduling and bookkeeping.

Jobs are queued rows when the workers start. Each is placed by the scheduler, woken through Dramatiq, claimed, checked,
posted, followed by events, its file fetched, checked and stored. Worker processes, PostgreSQL and the broker are real;
the backends share one light process, and all of it shares this machine.
"""

import argparse
import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from db import jobs, migrate
from db.embedded import embedded_database
from db.jobs import NewJob
from db.pool import Pool, open_pool
from runtime.cli.machine import WORKER
from runtime.registry import Registry, load_registry
from runtime.scheduler.sync import sync_registry
from runtime.supervisor import child_environment, python_module
from tests.e2e.deployment import TOKEN

COMMAND = "flux"
NOBODY = "http://127.0.0.1:9"  # the discard port: no job here has a chat
PATIENCE_SECONDS = 300.0
WARM_UP = 20

REGISTRY = """\
version: 1
access: {{default: public}}
backends:
{backends}
plugins: {{flux: {{enabled: true}}}}
"""
MORE = """
    insert into jobs (command_id, command, arguments, model_set, size_class)
    select command_id, command, arguments || jsonb_build_object('seed', seed), model_set, size_class
    from jobs, generate_series(2, %s) as seed
"""
LEFT = "select count(*) from jobs where state in ('queued', 'placed', 'running')"
FIRST = "select ended_at from jobs where state = 'collected' order by ended_at offset %s limit 1"
SPAN = """
    select count(*) / extract(epoch from max(ended_at) - %(since)s)::float8,
        array_agg(distinct coalesce(error, state)), max(attempt)
    from jobs where ended_at > %(since)s
"""


@contextlib.asynccontextmanager
async def listening(count: int) -> AsyncIterator[list[int]]:
    """The ports of so many backends."""
    process = await asyncio.create_subprocess_exec(
        *python_module("benchmarks.throughput.backends"), str(count), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield [int(port) for port in (await process.stdout.readline()).split()]
    finally:
        process.terminate()
        await process.wait()


@contextlib.asynccontextmanager
async def working(dsn: str, registry: Path, workers: int, threads: int) -> AsyncIterator[None]:
    """So many worker processes, of so many jobs at once each."""
    environment = child_environment(
        DATABASE_URL=dsn,
        TELEGRAM_BOT_TOKEN=TOKEN,
        TELEGRAM_API_URL=NOBODY,
        VEILRUN_REGISTRY=str(registry),
        VEILRUN_STATE_DIR=str(registry.parent),
        VEILRUN_WORKER_THREADS=str(threads),
        VEILRUN_LOG_LEVEL="error",
    )
    processes = [await asyncio.create_subprocess_exec(*WORKER, env=environment) for _ in range(workers)]
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            await process.wait()


def written(folder: Path, ports: Sequence[int]) -> Path:
    path = folder / "plugin_registry.yaml"
    backends = "\n".join(
        f'  - {{name: gpu-{number}, url: "http://127.0.0.1:{port}", vram_gb: 32, traces: keep}}'
        for number, port in enumerate(ports, 1)
    )
    path.write_text(REGISTRY.format(backends=backends), encoding="utf-8")
    return path


async def queue(pool: Pool, registry: Registry, count: int) -> None:
    ids = await sync_registry(pool, registry)
    command = registry.commands[COMMAND].command
    arguments = {one.name: one.initial() for one in command.parameters if one.initial() is not None}
    arguments |= {"prompt": "an astronaut", "size": [64, 64], "seed": 1}
    job = NewJob(ids[COMMAND], COMMAND, arguments, model_set=command.affinity.model_set)
    async with pool.connection() as connection:
        await jobs.insert(connection, job)
        await connection.execute(MORE, (count,))


async def measured(folder: Path, backends: int, workers: int, count: int) -> float:
    """Jobs a second, from when the first few have ended until all have."""
    with embedded_database(folder / "database") as dsn:
        migrate.upgrade(dsn)
        async with listening(backends) as ports, open_pool(dsn, "benchmark") as pool:
            path = written(folder, ports)
            await queue(pool, load_registry(path), count)
            async with working(dsn, path, workers, threads=max(8, 2 * backends // workers)):
                await until_over(pool)
            since = await value(pool, FIRST, WARM_UP - 1)
            async with pool.connection() as connection:
                row = await (await connection.execute(SPAN, {"since": since})).fetchone()
    assert row is not None
    rate, *ends = row
    if ends != [["collected"], 1]:
        raise RuntimeError(f"jobs ended as {ends[0]}, after {ends[1]} tries at most")
    return float(rate)


async def until_over(pool: Pool) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            if not await value(pool, LEFT):
                return
            await asyncio.sleep(0.25)


async def value(pool: Pool, query: str, *values: object) -> object:
    async with pool.connection() as connection:
        row = await (await connection.execute(query, values)).fetchone()
    return row[0] if row is not None else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backends", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--jobs", type=int, default=600)
    options = parser.parse_args()
    print(f"{options.jobs} jobs, jobs a second" + "".join(f"   {one} worker processes" for one in options.workers))
    for backends in options.backends:
        rates = []
        for workers in options.workers:
            folder = Path(tempfile.mkdtemp(prefix="veilrun-bench-"))
            folder.chmod(0o711)
            try:
                rates.append(asyncio.run(measured(folder, backends, workers, options.jobs)))
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        print(f"{backends:3} backends" + "".join(f"   {rate:8.1f}" for rate in rates), flush=True)


if __name__ == "__main__":
    main()
