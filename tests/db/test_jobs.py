"""Jobs as rows: queueing, order, cancelling."""

import pytest
from psycopg import AsyncConnection

from db import jobs, leases, placement
from db.jobs import NewJob
from db.leases import Wakeup
from db.placement import BackendRow, CommandRow
from tests.conftest import Database


@pytest.fixture
async def connection(database: Database):  # type: ignore[no-untyped-def]
    async with await database.connect() as connection:
        yield connection


async def command_id(connection: AsyncConnection) -> int:
    row = CommandRow("flux", ("f",), "flux", "1", "text to image", "digest", {"node": {}})
    return (await placement.sync_commands(connection, [row]))["flux"]


async def new_job(connection: AsyncConnection, **values: object) -> NewJob:
    return NewJob(await command_id(connection), "flux", {"prompt": "an astronaut", "seed": 2**64 - 1}, **values)  # type: ignore[arg-type]


async def test_a_job_reads_back_as_it_was_queued(connection: AsyncConnection) -> None:
    job_id = await jobs.insert(connection, await new_job(connection, chat_id=5, user_id=6, variant="dev"))

    assert job_id is not None
    job = await jobs.get(connection, job_id)
    assert job is not None
    assert (job.state, job.chat_id, job.user_id, job.variant) == ("queued", 5, 6, "dev")
    assert job.arguments == {"prompt": "an astronaut", "seed": 2**64 - 1}
    assert "astronaut" not in repr(job)


async def test_a_second_job_with_the_same_key_is_not_queued(connection: AsyncConnection) -> None:
    first = await jobs.insert(connection, await new_job(connection, dedupe_key="update:1:2"))
    second = await jobs.insert(connection, await new_job(connection, dedupe_key="update:1:2"))

    assert first is not None
    assert second is None


async def test_position_counts_those_before_me(connection: AsyncConnection) -> None:
    first = await jobs.insert(connection, await new_job(connection))
    second = await jobs.insert(connection, await new_job(connection))
    urgent = await jobs.insert(connection, await new_job(connection, priority=5))
    assert None not in (first, second, urgent)

    assert [await jobs.position(connection, job) for job in (urgent, first, second) if job] == [1, 2, 3]


async def test_cancelling_a_placed_job_frees_its_slot(connection: AsyncConnection) -> None:
    await placement.sync_backends(connection, [BackendRow("gpu", "RTX", 24, 1)])
    job_id = await jobs.insert(connection, await new_job(connection))
    assert job_id is not None
    await placement.place(connection, job_id, "gpu", 0, "first free slot")

    assert await jobs.cancel(connection, job_id) == "cancelled"

    assert [slot.job_id for slot in (await placement.snapshot(connection, 1)).slots] == [None]
    assert await jobs.cancel(connection, job_id) is None


async def test_cancelling_a_job_whose_prompt_may_be_on_the_backend_is_left_to_the_next_worker(
    connection: AsyncConnection,
) -> None:
    await placement.sync_backends(connection, [BackendRow("gpu", "RTX", 24, 1)])
    job_id = await jobs.insert(connection, await new_job(connection))
    assert job_id is not None
    fence = await placement.place(connection, job_id, "gpu", 0, "first free slot")
    assert fence is not None
    claimed = await leases.claim(
        connection, Wakeup(job_id, fence), owner="me", seconds=9, prompt_id="prompt", versions={}
    )
    assert claimed is not None
    wakeup = await leases.hand_back(connection, claimed[1])

    assert await jobs.cancel(connection, job_id) == "placed"

    assert [slot.job_id for slot in (await placement.snapshot(connection, 1)).slots] == [job_id]
    assert wakeup in await leases.due_wakeups(connection, stale_seconds=-1)
