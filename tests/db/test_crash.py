"""What a database server that crashes may forget, and what it may not."""

import signal
from collections.abc import AsyncIterator

import pytest
from psycopg import AsyncConnection

from db import jobs, leases, migrate, placement
from db.leases import Wakeup
from db.placement import BackendRow
from tests.chaos.database import Database as Server
from tests.db.test_jobs import new_job

pytestmark = pytest.mark.slow


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """One that writes to its log only what somebody waits for."""
    async with Server() as server:
        migrate.upgrade(server.dsn)
        async with await AsyncConnection.connect(server.dsn, autocommit=True) as connection:
            await connection.execute("alter system set wal_writer_delay = '10s'")
            await connection.execute("select pg_reload_conf()")
        yield server


async def test_a_job_that_a_worker_has_begun_is_not_forgotten(server: Server) -> None:
    async with await AsyncConnection.connect(server.dsn, autocommit=True) as connection:
        await placement.sync_backends(connection, [BackendRow("gpu", "RTX", 24, 1)])
        job_id = await jobs.insert(connection, await new_job(connection))
        assert job_id is not None
        async with connection.transaction():
            await placement.snapshot(connection, 64)
            fence = await placement.place(connection, job_id, "gpu", 0, "first free slot")
        assert fence is not None
        wakeup = Wakeup(job_id, fence)
        async with connection.transaction():
            claimed = await leases.claim(connection, wakeup, owner="me", seconds=60, prompt_id="p-1", versions={})
    assert claimed is not None

    await server.strike(signal.SIGQUIT, away_seconds=0)

    async with await AsyncConnection.connect(server.dsn, autocommit=True) as connection:
        job = await jobs.get(connection, job_id)
    assert job is not None
    assert (job.state, job.backend, job.prompt_id) == ("running", "gpu", "p-1")
