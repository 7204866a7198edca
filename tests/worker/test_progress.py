"""Progress on its way to the table when the run ends."""

import asyncio

from runtime.comfyui import Progress
from runtime.worker.progress import ProgressWriter
from runtime.worker.stopwatch import Stopwatch
from tests.worker.test_keeper import claimed
from tests.worker.yard import Yard, eventually


async def test_a_run_that_ends_amid_a_write_waits_for_that_and_not_for_ever(yard: Yard):
    lease = await claimed(yard, 60)
    writer = ProgressWriter(yard.pool, lease, Stopwatch())

    async def waits_for_a_lock() -> bool:
        return bool(await yard.rows("select from pg_locks where not granted"))

    async def run() -> None:
        async with writer.writing():
            writer.report(Progress("running", 0.5))
            await eventually(waits_for_a_lock)

    async with yard.pool.connection() as connection:
        await connection.execute("select from jobs for update")
        running = asyncio.create_task(run())
        await eventually(waits_for_a_lock)
        await asyncio.wait({running}, timeout=0.2)
    async with asyncio.timeout(5):
        await running

    assert await yard.rows("select progress ->> 'fraction', began_at is null from jobs") == [("0.5", False)]
