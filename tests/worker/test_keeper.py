"""Leases in one process: extended while held, and given up as soon as they are lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from psycopg import AsyncConnection, sql
from structlog.testing import capture_logs

from db import jobs, leases
from db.leases import Lease, Wakeup
from runtime.worker.keeper import Held, LeaseKeeper, Stop
from tests.worker.yard import Yard, eventually, expire


async def claimed(yard: Yard, seconds: float) -> Lease:
    job_id = await yard.queue("flux")
    (wakeup,) = await yard.place()
    async with yard.pool.connection() as connection:
        found = await leases.claim(
            connection, Wakeup(job_id, wakeup.fence), owner="me", seconds=seconds, prompt_id="p", versions={}
        )
    assert found is not None
    return found[1]


async def stopped(held: Held, seconds: float = 5.0) -> Stop | None:
    await asyncio.wait_for(held.stopped.wait(), seconds)
    return held.stop


async def test_a_held_lease_outlives_its_length(yard: Yard):
    lease = await claimed(yard, 0.6)

    async with LeaseKeeper(yard.dsn, 0.6) as keeper, keeper.hold(lease) as held:
        with pytest.raises(TimeoutError):
            await stopped(held, 1.5)
        assert await yard.rows("select lease_until > now() from jobs") == [(True,)]

    assert held.stop is None


async def test_a_lease_that_another_has_taken_stops_the_work(yard: Yard):
    lease = await claimed(yard, 0.6)

    async with LeaseKeeper(yard.dsn, 0.6) as keeper, keeper.hold(lease) as held:
        await expire(yard.pool)
        assert await stopped(held) is Stop.LEASE_LOST


async def test_cancellation_arrives_by_notification_long_before_the_next_heartbeat(yard: Yard):
    lease = await claimed(yard, 60)

    async with LeaseKeeper(yard.dsn, 60) as keeper, keeper.hold(lease) as held:
        await asyncio.sleep(0.3)  # until it listens
        async with yard.pool.connection() as connection:
            await jobs.cancel(connection, lease.job_id)
        assert await stopped(held, 1.0) is Stop.CANCEL


async def test_cancellation_arrives_with_the_heartbeat_if_the_notification_was_missed(yard: Yard):
    lease = await claimed(yard, 0.6)
    await yard.execute_sql("update jobs set cancel_requested = true")

    async with LeaseKeeper(yard.dsn, 0.6) as keeper, keeper.hold(lease) as held:
        assert await stopped(held, 1.0) is Stop.CANCEL


async def test_with_the_database_away_for_a_whole_lease_it_counts_as_lost(yard: Yard):
    lease = await claimed(yard, 0.6)

    async with LeaseKeeper("postgresql://nobody@127.0.0.1:9/nothing", 0.6) as keeper, keeper.hold(lease) as held:
        assert await stopped(held, 3.0) is Stop.LEASE_LOST


async def test_a_broken_heartbeat_connection_comes_back(yard: Yard):
    lease = await claimed(yard, 3)

    async with LeaseKeeper(yard.dsn, 3) as keeper, keeper.hold(lease) as held:
        await asyncio.sleep(0.3)
        async with yard.pool.connection() as connection:
            await _cut_others(connection)
        with pytest.raises(TimeoutError):
            await stopped(held, 3.5)


async def test_heartbeats_go_on_when_a_standby_has_become_the_primary(yard: Yard):
    lease = await claimed(yard, 4)

    async with LeaseKeeper(yard.dsn, 4) as keeper, keeper.hold(lease) as held:
        with capture_logs() as logs:
            async with only_reading(yard):
                await eventually(lambda: _has_logged(logs, "ReadOnlySqlTransaction"))
        with pytest.raises(TimeoutError):
            await stopped(held, 4.5)


@asynccontextmanager
async def only_reading(yard: Yard) -> AsyncIterator[None]:
    """Every connection to the database is cut, and new ones can only read: it has failed over."""
    async with await AsyncConnection.connect(yard.dsn, autocommit=True) as operator:
        ((name,),) = await yard.rows("select current_database()")
        database = sql.Identifier(name)
        await operator.execute(sql.SQL("alter database {} set default_transaction_read_only = on").format(database))
        try:
            await _cut_others(operator)
            yield
        finally:
            await operator.execute(sql.SQL("alter database {} reset default_transaction_read_only").format(database))
            await _cut_others(operator)


async def _has_logged(logs: list[Any], error: str) -> bool:
    return any(entry.get("error") == error for entry in logs)


async def _cut_others(connection: AsyncConnection) -> None:
    """Break every connection to the database but this one."""
    await connection.execute(
        """select pg_terminate_backend(pid) from pg_stat_activity
           where datname = current_database() and pid <> pg_backend_pid()"""
    )


async def test_handing_back_stops_what_is_held_and_what_is_taken_afterwards(yard: Yard):
    async with LeaseKeeper(yard.dsn, 60) as keeper:
        async with keeper.hold(Lease(1, 1, "me", 60)) as first:
            assert not keeper.idle.is_set()
            keeper.hand_back()
            async with keeper.hold(Lease(2, 1, "me", 60)) as second:
                assert (first.stop, second.stop) == (Stop.HAND_BACK, Stop.HAND_BACK)
        assert keeper.idle.is_set()


async def test_a_lost_lease_outweighs_a_cancellation():
    held = Held(Lease(1, 1, "me", 60))

    held.end(Stop.CANCEL)
    held.end(Stop.HAND_BACK)
    assert held.stop is Stop.CANCEL
    held.end(Stop.LEASE_LOST)

    assert held.stop is Stop.LEASE_LOST
