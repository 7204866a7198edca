"""What is learned of runs and loads, from whichever order things are told in."""

from collections.abc import AsyncIterator

import pytest
from psycopg import AsyncConnection

from db import backends, jobs, leases, placement, timings, views
from db.jobs import NewJob
from db.leases import Lease, Wakeup
from db.placement import BackendRow, CommandRow
from tests.conftest import Database

CARD = "RTX 4090"


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[AsyncConnection]:
    async with await database.connect() as opened:
        rows = [BackendRow("gpu-a", CARD, 24, 2), BackendRow("gpu-b", "", 24, 2)]
        await placement.sync_backends(opened, rows)
        for row in rows:
            await views.report(opened, row.name, health="ready")
        yield opened


async def queue(connection: AsyncConnection, model_set: str = "flux", variant: str | None = None) -> int:
    ids = await placement.sync_commands(connection, [CommandRow("flux", (), "flux", "1", "s", "d", {})])
    new = NewJob(ids["flux"], "flux", {"prompt": "x"}, variant=variant, model_set=model_set)
    job_id = await jobs.insert(connection, new)
    assert job_id is not None
    return job_id


async def claim(connection: AsyncConnection, job_id: int, backend: str = "gpu-a", prompt_id: str = "") -> Lease:
    fence = await placement.place(connection, job_id, backend, 0, "it is free")
    assert fence is not None
    return await claim_placed(connection, job_id, fence, prompt_id)


async def claim_placed(connection: AsyncConnection, job_id: int, fence: int, prompt_id: str = "") -> Lease:
    claimed = await leases.claim(
        connection,
        Wakeup(job_id, fence),
        owner="me",
        seconds=60,
        prompt_id=prompt_id or f"prompt-{job_id}-{fence}",
        versions={},
    )
    assert claimed is not None
    return claimed[1]


async def run(
    connection: AsyncConnection,
    seconds: float,
    *,
    model_set: str = "flux",
    backend: str = "gpu-a",
    size_class: str = "1x",
    load_seconds: float | None = None,
    variant: str | None = None,
) -> int:
    """One job from the queue to its end."""
    job_id = await queue(connection, model_set, variant)
    lease = await claim(connection, job_id, backend)
    await timings.began(connection, lease)
    assert await leases.end(connection, lease, "collected")
    await timings.learn(connection, lease, seconds=seconds, size_class=size_class, load_seconds=load_seconds)
    return job_id


async def tried(connection: AsyncConnection, job_id: int) -> tuple[object, ...] | None:
    cursor = await connection.execute(
        """select was_warm, load_seconds, run_seconds from attempts where job_id = %s order by number desc""", (job_id,)
    )
    return await cursor.fetchone()


async def held(connection: AsyncConnection, backend: str = "gpu-a") -> str | None:
    cursor = await connection.execute("select warm_model_set from backends where name = %s", (backend,))
    found = await cursor.fetchone()
    assert found is not None
    return found[0]


async def test_weights_count_as_loaded_when_a_job_begins_and_not_when_it_is_claimed(connection: AsyncConnection):
    lease = await claim(connection, await queue(connection))
    assert await held(connection) is None

    await timings.began(connection, lease)

    assert await held(connection) == "flux"


async def test_a_run_is_warm_if_the_one_before_had_the_same_weights(connection: AsyncConnection):
    numbers = [await run(connection, 5, model_set=name) for name in ("flux", "flux", "wan", "flux", "")]
    found = [await tried(connection, number) for number in numbers]
    assert [one and one[0] for one in found] == [False, True, False, False, True]
    assert await held(connection) == "flux", "a job without weights leaves those of others where they are"


@pytest.mark.parametrize("forgotten", ["away", "freed"])
async def test_after_a_restart_and_after_memory_was_freed_a_run_is_cold(connection: AsyncConnection, forgotten: str):
    await run(connection, 5)
    if forgotten == "away":
        await views.report(connection, "gpu-a", health="away")
        await views.report(connection, "gpu-a", health="ready")
    else:
        await backends.forget_weights(connection, "gpu-a")
    found = await tried(connection, await run(connection, 25))
    assert found is not None
    assert found[0] is False


async def test_told_twice_that_a_job_began_it_is_as_cold_as_it_was(connection: AsyncConnection):
    job_id = await queue(connection)
    lease = await claim(connection, job_id)
    for _ in range(2):
        await timings.began(connection, lease)
    found = await tried(connection, job_id)
    assert found is not None
    assert found[0] is False


async def test_who_takes_over_a_run_does_not_take_it_for_a_warm_one(connection: AsyncConnection):
    job_id = await queue(connection)
    await timings.began(connection, await claim(connection, job_id))
    await connection.execute("update jobs set lease_until = now() - interval '1 second'")
    await leases.reap(connection)
    job = await jobs.get(connection, job_id)
    assert job is not None

    lease = await claim_placed(connection, job_id, job.fence)
    await timings.began(connection, lease)
    assert await leases.end(connection, lease, "collected")
    await timings.learn(connection, lease, seconds=30, size_class="1x", load_seconds=None)

    assert await tried(connection, job_id) == (False, None, 30)
    assert (await timings.read(connection)).runs == {}


async def test_without_the_lease_nothing_is_said_of_the_weights(connection: AsyncConnection):
    lease = await claim(connection, await queue(connection))
    await timings.began(connection, Lease(lease.job_id, lease.fence - 1, lease.owner, lease.seconds))
    assert await held(connection) is None


async def test_what_a_cold_run_took_more_than_warm_ones_is_a_load(connection: AsyncConnection):
    await run(connection, 35)
    await run(connection, 5)
    await run(connection, 70, model_set="wan")
    cold = await run(connection, 36)

    found = await timings.read(connection)

    assert found.runs == {("flux", CARD, "1x"): 5}
    assert found.loads[("flux", CARD)] == 31
    assert await tried(connection, cold) == (False, 31, 5)


async def test_a_cold_run_that_is_no_slower_was_a_load_of_no_time(connection: AsyncConnection):
    for seconds, model_set in ((35, "flux"), (5, "flux"), (70, "wan"), (4.5, "flux")):
        await run(connection, seconds, model_set=model_set)
    assert (await timings.read(connection)).loads[("flux", CARD)] == 0


async def test_before_there_was_a_warm_run_a_cold_one_is_split_by_the_pace_of_its_steps(connection: AsyncConnection):
    cold = await run(connection, 35, load_seconds=29)
    found = await timings.read(connection)
    assert (found.runs, found.loads) == ({("flux", CARD, "1x"): 6}, {("flux", CARD): 29})
    assert await tried(connection, cold) == (False, 29, 6)

    await run(connection, 5)

    assert (await timings.read(connection)).runs == {("flux", CARD, "1x"): 5}, "measured, and no estimate any more"


async def test_before_there_was_a_warm_run_estimates_replace_each_other(connection: AsyncConnection):
    for model_set, seconds, load_seconds in (("flux", 35, 29), ("wan", 90, 50), ("flux", 36, 28)):
        await run(connection, seconds, model_set=model_set, load_seconds=load_seconds, variant=model_set)
    assert (await timings.read(connection)).runs[("flux --flux", CARD, "1x")] == 8


async def test_one_run_that_was_far_off_changes_little(connection: AsyncConnection):
    await run(connection, 30)
    for seconds in (5, 6, 300, 5, 4):
        await run(connection, seconds)
    ((mean,),) = ((await timings.read(connection)).runs.values(),)
    assert mean == pytest.approx(16 / 3)


async def test_the_newest_twenty_runs_count(connection: AsyncConnection):
    await run(connection, 30)
    for seconds in [9] * 15 + [3] * 20:
        await run(connection, seconds)
    assert (await timings.read(connection)).runs == {("flux", CARD, "1x"): 3}
    ((runs,),) = await (await connection.execute("select runs from run_times")).fetchall()
    assert runs == 35


async def test_sizes_and_variants_are_kept_apart(connection: AsyncConnection):
    await run(connection, 30)
    await run(connection, 5)
    await run(connection, 11, size_class="2x")
    await run(connection, 16, variant="dev")
    assert (await timings.read(connection)).runs == {
        ("flux", CARD, "1x"): 5,
        ("flux", CARD, "2x"): 11,
        ("flux --dev", CARD, "1x"): 16,
    }


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([{"name": "cuda:1 NVIDIA GeForce RTX 5090 : cudaMallocAsync", "vram_gb": 31.8}], "NVIDIA GeForce RTX 5090"),
        ([{"name": "cuda:0 NVIDIA A100 80GB PCIe : native", "vram_gb": 79.2}], "NVIDIA A100 80GB PCIe"),
        ([{"name": "cpu", "vram_gb": 62.0}], "gpu-b"),
        ([], "gpu-b"),
    ],
)
async def test_a_card_that_the_registry_does_not_name_goes_by_what_its_server_says(
    connection: AsyncConnection, told: list[dict[str, object]], expected: str
):
    await backends.tell_devices(connection, "gpu-b", told, None)
    for _ in range(2):
        await run(connection, 3, backend="gpu-b")

    assert (await timings.read(connection)).runs == {("flux", expected, "1x"): 3}
    assert [state.device for state in await placement.backends(connection)] == [CARD, expected]


async def test_what_was_expected_is_stored_until_the_run_begins(connection: AsyncConnection):
    waiting, begun = await queue(connection), await queue(connection)
    lease = await claim(connection, begun)
    await timings.began(connection, lease)

    await timings.expect(connection, {waiting: 90.0, begun: 90.0})

    found = [await jobs.get(connection, number) for number in (waiting, begun)]
    assert [job is not None and job.expected_at is not None for job in found] == [True, False]
    await timings.expect(connection, {waiting: None})
    job = await jobs.get(connection, waiting)
    assert job is not None
    assert job.expected_at is None


async def test_nobody_waits_for_somebody_else_who_learns_of_the_same(connection: AsyncConnection, database: Database):
    await run(connection, 30)
    await run(connection, 5)
    async with await database.connect(autocommit=False) as other:
        await other.execute("update run_times set seconds = seconds")
        await connection.execute("set lock_timeout = '1s'")

        number = await run(connection, 9)

        assert await tried(connection, number) == (True, None, 9)
    assert (await timings.read(connection)).runs == {("flux", CARD, "1x"): 5}
