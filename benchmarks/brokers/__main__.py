"""From placed to claimed, and jobs a second, through each broker: ours, and the one that Dramatiq's users take.

A job is placed in one transaction and its wake-up sent; a real worker process claims it and ends it, doing nothing in
between. Both times are the database's. The sides take turns.
"""

import argparse
import asyncio
import contextlib
import random
import shutil
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from benchmarks.brokers.brokers import WHOSE, broker_of
from db import migrate
from db.embedded import embedded_database
from db.leases import Wakeup
from db.pool import Pool, open_pool
from runtime.worker.broker import Waker
from tests.scale.servers import RabbitmqServer, RedisServer

PAUSE_SECONDS, PATIENCE_SECONDS = 0.02, 120.0

PREPARE = """
    insert into backends (name) values ('none');
    insert into commands (name, aliases, plugin, plugin_version, summary, workflow_digest, workflow)
    values ('nothing', '{}', 'benchmark', '0', '', '', '{}');
"""
PLACE = """
    insert into jobs (command_id, command, arguments, state, backend, placed_at, woken_at)
    select commands.id, 'nothing', '{}', 'placed', 'none', now(), now() from commands, generate_series(1, %s)
    returning jobs.id, fence
"""
MILLISECONDS = "select extract(epoch from started_at - placed_at)::float * 1000 from jobs order by id"
SPAN = "select count(*) / extract(epoch from max(ended_at) - min(started_at))::float from jobs"


@contextlib.asynccontextmanager
async def working(whose: str, url: str, dsn: str) -> AsyncIterator[None]:
    """A worker process, ready for messages."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.brokers.work", whose, url, dsn, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        await process.stdout.readline()
        yield
    finally:
        process.terminate()
        await process.wait()


async def place(pool: Pool, count: int) -> list[Wakeup]:
    async with pool.connection() as connection:
        cursor = await connection.execute(PLACE, (count,))
        return [Wakeup(job_id, fence) async for job_id, fence in cursor]


async def until_over(pool: Pool) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            async with pool.connection() as connection:
                row = await (await connection.execute("select from jobs where state <> 'collected' limit 1")).fetchone()
            if row is None:
                return
            await asyncio.sleep(0.1)


async def numbers(pool: Pool, query: str) -> list[float]:
    async with pool.connection() as connection:
        return [value async for (value,) in await connection.execute(query)]


async def measured(whose: str, url: str, dsn: str, pool: Pool, jobs: int) -> tuple[float, float, float]:
    """(p50 ms, p99 ms) from placed to claimed one by one, and jobs a second from a backlog."""
    broker = broker_of(whose, url, dsn)
    waker = Waker(broker)
    try:
        async with pool.connection() as connection:
            await connection.execute("truncate jobs cascade")
        async with working(whose, url, dsn):
            for _ in range(jobs):
                await waker.wake_execute(await place(pool, 1))
                await asyncio.sleep(PAUSE_SECONDS * random.uniform(0.5, 1.5))
            await until_over(pool)
        one_by_one = sorted((await numbers(pool, MILLISECONDS))[jobs // 10 :])
        async with pool.connection() as connection:
            await connection.execute("truncate jobs cascade")
        await waker.wake_execute(await place(pool, 5 * jobs))
        async with working(whose, url, dsn):
            await until_over(pool)
        (rate,) = await numbers(pool, SPAN)
    finally:
        waker.close()
        broker.close()
    return statistics.median(one_by_one), one_by_one[int(len(one_by_one) * 0.99)], rate


async def compare(dsn: str, jobs: int, rounds: int) -> None:
    urls = {"postgresql": "postgresql"}
    with contextlib.ExitStack() as stack:
        for kind in (RedisServer, RabbitmqServer):
            if reason := kind.missing():
                print(f"{kind.name} left out: {reason}")
                continue
            server = kind()
            stack.callback(server.close)
            server.start()
            urls[kind.name] = server.url
        async with open_pool(dsn, "benchmark") as pool:
            async with pool.connection() as connection:
                await connection.execute(PREPARE)
            found: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
            for _ in range(rounds):
                for name, url in urls.items():
                    for whose in WHOSE:
                        found.setdefault((name, whose), []).append(await measured(whose, url, dsn, pool, jobs))
    medians = {
        key: tuple(statistics.median(side) for side in zip(*values, strict=True)) for key, values in found.items()
    }
    base = medians["postgresql", "ours"]
    print(f"{'':24}{'p50 ms':>9}{'p99 ms':>9}{'jobs/s':>9}   against postgresql, ours")
    for (name, whose), (half, slow, rate) in medians.items():
        ratios = f"p50 {half / base[0]:.2f}x  p99 {slow / base[1]:.2f}x  jobs/s {rate / base[2]:.2f}x"
        label = name if whose == "ours" else f"{name}, Dramatiq's"
        print(f"{label:24}{half:9.1f}{slow:9.1f}{rate:9.0f}   {ratios}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.brokers", description=__doc__)
    parser.add_argument("--jobs", type=int, default=300, help="in each round, one by one; five times so many at once")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="veilrun-bench-"))
    folder.chmod(0o711)
    try:
        with embedded_database(folder) as dsn:
            migrate.upgrade(dsn)
            asyncio.run(compare(dsn, options.jobs, options.rounds))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
