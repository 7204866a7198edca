"""One worker process whose jobs do nothing: each is claimed as always, and ended."""

import asyncio
import sys

from benchmarks.brokers.brokers import broker_of
from db import leases
from db.leases import Wakeup
from db.pool import open_pool
from runtime.supervisor import die_with_parent, hand_over_promptly, stop_on_signals
from runtime.worker.actors import declare_actors
from runtime.worker.process import new_event_loop, start_threads

THREADS = 8


async def main(whose: str, url: str, dsn: str) -> None:
    stop = stop_on_signals()
    broker = broker_of(whose, url, dsn, THREADS)
    async with open_pool(dsn, "benchmark") as pool:

        async def execute(job_id: int, fence: int) -> None:
            async with pool.connection() as connection, connection.pipeline():
                claimed = await leases.claim(
                    connection, Wakeup(job_id, fence), owner="benchmark", seconds=60, prompt_id="none", versions={}
                )
            if claimed is not None:
                async with pool.connection() as connection, connection.pipeline():
                    await leases.end(connection, claimed[1], "collected")

        async def deliver(delivery_id: int) -> None: ...

        declare_actors(broker, execute=execute, deliver=deliver)
        worker = start_threads(broker, THREADS)
        print("ready", flush=True)
        await stop.wait()
        await asyncio.to_thread(worker.stop, 5000)


if __name__ == "__main__":
    die_with_parent()
    hand_over_promptly()
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(main(*sys.argv[1:4]))
