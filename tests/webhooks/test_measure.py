"""What a scrape tells of backends and of anon, and that it is true at that moment."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from psycopg_pool import PoolClosed

from db import backends, jobs, placement, views
from db.jobs import NewJob
from db.placement import BackendRow, CommandRow
from db.pool import Pool, open_pool
from runtime import metrics
from runtime.anon.state import AnonState, forget_state, write_state
from runtime.tallying import tally, tallying
from tests.conftest import Database
from webhooks.measure import Measure

STATE = AnonState(("127.0.0.1", 1), ("127.0.0.1", 2), "0.4.9.11-live", 75, "loading", bytes_read=500, bytes_written=40)


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    for gathered in (metrics.telegram_calls, metrics.deliveries_ended):
        gathered.take()  # of tests before
    async with open_pool(database.dsn, "test") as pool:
        yield pool


def told(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


def moved(direction: str) -> float:
    return told("veilrun_anon_bytes_total", direction=direction) or 0.0


async def test_without_anon_nothing_is_bootstrapped(pool: Pool, tmp_path: Path) -> None:
    measure = Measure(pool, tmp_path)
    write_state(tmp_path, STATE)
    await measure()
    assert told("veilrun_anon_bootstrap_percent") == 75

    forget_state(tmp_path)
    await measure()

    assert told("veilrun_anon_bootstrap_percent") == 0


async def test_what_anon_moves_is_counted_on_when_the_daemon_begins_anew(pool: Pool, tmp_path: Path) -> None:
    measure = Measure(pool, tmp_path)
    read, written = moved("read"), moved("written")

    for state in (STATE, replace(STATE, bytes_read=800), replace(STATE, bytes_read=10, bytes_written=5)):
        write_state(tmp_path, state)
        await measure()

    assert (moved("read") - read, moved("written") - written) == (810, 45)


async def test_a_backend_tells_its_round_trip_while_it_is_ready(pool: Pool, tmp_path: Path) -> None:
    measure = Measure(pool, tmp_path)
    async with pool.connection() as connection:
        await placement.sync_backends(connection, [BackendRow("near", "", 24, 2), BackendRow("far", "", 24, 2)])
        await views.report(connection, "near", health="ready", round_trip_seconds=0.004)
        await views.report(connection, "far", health="ready", round_trip_seconds=0.7)
    await measure()
    assert told("veilrun_backend_round_trip_seconds", backend="near") == 0.004
    assert told("veilrun_backend_round_trip_seconds", backend="far") == 0.7

    async with pool.connection() as connection:
        await views.report(connection, "far", health="away", reason="no answer")
    await measure()

    assert told("veilrun_backend_round_trip_seconds", backend="near") == 0.004
    assert told("veilrun_backend_round_trip_seconds", backend="far") is None
    assert told("veilrun_backends", health="away") == 1


async def test_that_no_backend_is_ready_is_told_as_0(pool: Pool, tmp_path: Path) -> None:
    """An alert compares with it; with nothing it could not."""
    measure = Measure(pool, tmp_path)
    async with pool.connection() as connection:
        await placement.sync_backends(connection, [BackendRow("near", "", 24, 2)])
        await views.report(connection, "near", health="away", reason="no answer")
    await measure()

    assert (told("veilrun_backends", health="ready"), told("veilrun_backends", health="away")) == (0, 1)


async def test_a_drained_backend_is_counted_as_drained_whatever_its_health(pool: Pool, tmp_path: Path) -> None:
    measure = Measure(pool, tmp_path)
    async with pool.connection() as connection:
        await placement.sync_backends(connection, [BackendRow("near", "", 24, 2), BackendRow("far", "", 24, 2)])
        for name in ("near", "far"):
            await views.report(connection, name, health="ready")
        await backends.drain(connection, "far", None)
    await measure()

    assert (told("veilrun_backends", health="ready"), told("veilrun_backends", health="drained")) == (1, 1)


async def test_that_no_backend_is_ready_is_told_as_none_and_not_left_out(pool: Pool, tmp_path: Path) -> None:
    """An alert on `== 0` never fires on what is not there."""
    measure = Measure(pool, tmp_path)
    async with pool.connection() as connection:
        await placement.sync_backends(connection, [BackendRow("near", "", 24, 2), BackendRow("old", "", 24, 2)])
        await views.report(connection, "near", health="away", reason="no answer")
        await placement.sync_backends(connection, [BackendRow("near", "", 24, 2)])
    await measure()

    counts = {health: told("veilrun_backends", health=health) for health in ("ready", "away", "unknown", "drained")}
    assert counts == {"ready": 0, "away": 1, "unknown": 0, "drained": 0}


async def test_calls_and_messages_of_every_process_are_told(pool: Pool, database: Database, tmp_path: Path) -> None:
    """A worker sends the pictures, and nobody asks it for metrics."""
    measure = Measure(pool, tmp_path)
    metrics.telegram_calls.add("sendMessage", "ok")
    async with open_pool(database.dsn, "worker") as of_worker, tallying(of_worker):
        metrics.telegram_calls.add("sendPhoto", "ok")
        metrics.deliveries_ended.add("result", "sent")
    metrics.telegram_calls.add("sendPhoto", "ok")
    await measure()

    assert told("veilrun_telegram_calls_total", method="sendMessage", outcome="ok") == 1
    assert told("veilrun_telegram_calls_total", method="sendPhoto", outcome="ok") == 2
    assert told("veilrun_deliveries_total", kind="result", outcome="sent") == 1


async def test_what_could_not_be_stored_is_told_later(pool: Pool, database: Database, tmp_path: Path) -> None:
    metrics.telegram_calls.add("sendVideo", "ok")
    async with open_pool(database.dsn, "away") as away:
        pass
    with pytest.raises(PoolClosed):
        await tally(away)
    await Measure(pool, tmp_path)()

    assert told("veilrun_telegram_calls_total", method="sendVideo", outcome="ok") == 1


async def test_what_waits_is_told_by_command_with_its_variant_and_how_long_it_has_waited(
    pool: Pool, tmp_path: Path
) -> None:
    async with pool.connection() as connection:
        (ids,) = [await placement.sync_commands(connection, [CommandRow("flux", (), "flux", "1", "s", "d", {})])]
        for variant in (None, None, "dev", "dev"):
            await jobs.insert(connection, NewJob(ids["flux"], "flux", {}, variant=variant))
        await connection.execute("update jobs set run_at = now() - interval '90 seconds' where id = 2")
        await connection.execute("update jobs set is_due = false, run_at = now() + interval '1 hour' where id = 4")
    measure = Measure(pool, tmp_path)
    await measure()

    assert told("veilrun_queue_depth", command="flux") == 2
    assert told("veilrun_queue_depth", command="flux --dev") == 1
    assert told("veilrun_queue_oldest_seconds", command="flux") == pytest.approx(90, abs=5)
    assert told("veilrun_oldest_queued_seconds") == pytest.approx(90, abs=5)

    async with pool.connection() as connection:
        await connection.execute("update jobs set state = 'cancelled'")
    await measure()

    assert told("veilrun_queue_depth", command="flux") is None
    assert told("veilrun_oldest_queued_seconds") == 0
