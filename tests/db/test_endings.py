"""After a job's end: its tries, another go, what is kept, and whose plugins have not heard."""

import pytest
from psycopg import AsyncConnection

from db import artifacts, deliveries, endings, jobs, leases, placement, retention
from db.artifacts import NewArtifact
from db.leases import Wakeup
from db.placement import BackendRow, CommandRow
from tests.conftest import Database

ADA = 11


@pytest.fixture
async def connection(database: Database):  # type: ignore[no-untyped-def]
    async with await database.connect() as connection:
        yield connection


async def ask(connection: AsyncConnection, *, inputs: tuple[int, ...] = (), **values: object) -> int:
    row = CommandRow("flux", ("f",), "flux", "1", "text to image", "digest", {"": {}, "dev": {}})
    command_id = (await placement.sync_commands(connection, [row]))["flux"]
    job = jobs.NewJob(command_id, "flux", {"prompt": "x"}, **{"user_id": ADA, "chat_id": 5, **values})  # type: ignore[arg-type]
    job_id = await jobs.insert(connection, job, inputs)
    assert job_id is not None
    return job_id


async def picture(connection: AsyncConnection, content: bytes | None = b"x", **values: object) -> int:
    return await artifacts.add(connection, NewArtifact("image", "image/png", **values), content)  # type: ignore[arg-type]


async def die(connection: AsyncConnection, job_id: int, state: str = "dead") -> None:
    """As after its last try, told to its chat."""
    await placement.sync_backends(connection, [BackendRow("gpu", "RTX", 24, 1)])
    fence = await placement.place(connection, job_id, "gpu", 0, "free")
    assert fence is not None
    claimed = await leases.claim(connection, Wakeup(job_id, fence), owner="me", seconds=9, prompt_id="p", versions={})
    assert claimed is not None
    assert await leases.end(connection, claimed[1], state, error="PromptLost", detail="It is lost.")  # type: ignore[arg-type]
    for kind in ("status", "failure"):
        await deliveries.owe(connection, 5, kind, {}, job_id)  # type: ignore[arg-type]
    await jobs.set_status_message(connection, job_id, 77)


@pytest.mark.parametrize("state", ["dead", "failed"])
async def test_a_job_that_failed_is_queued_again_as_if_it_were_new(connection: AsyncConnection, state: str) -> None:
    job_id = await ask(connection, inputs=(await picture(connection),))
    await die(connection, job_id, state)

    assert await endings.replay(connection, job_id) == "queued"

    job = await jobs.get(connection, job_id)
    assert job is not None
    assert (job.state, job.attempt, job.error, job.prompt_id, job.backend) == ("queued", 0, None, None, None)
    assert (job.started_at, job.ended_at, job.status_message_id) == (None, None, None)
    assert await endings.tries(connection, job_id) == []
    rows = await (await connection.execute("select kind, state from deliveries")).fetchall()
    assert rows == [("status", "pending")], "its chat is told again"
    assert await deliveries.owe(connection, 5, "result", {}, job_id) is not None


async def test_a_job_queued_again_stands_behind_what_its_user_has_waiting(connection: AsyncConnection) -> None:
    job_id = await ask(connection)
    await die(connection, job_id)
    waiting = await ask(connection)

    await endings.replay(connection, job_id)

    assert [await jobs.position(connection, number) for number in (waiting, job_id)] == [1, 2]


@pytest.mark.parametrize("state", ["queued", "placed", "running", "collected", "delivered", "cancelled"])
async def test_no_other_job_is_queued_again(connection: AsyncConnection, state: str) -> None:
    job_id = await ask(connection)
    await connection.execute("update jobs set state = %s", (state,))

    assert await endings.replay(connection, job_id) == "not failed"
    assert await endings.replay(connection, 999_999) == "not there"


async def test_a_job_whose_command_or_variant_is_gone_is_left_dead(connection: AsyncConnection) -> None:
    plain, variant, gone = (
        await ask(connection),
        await ask(connection, variant="dev"),
        await ask(connection, variant="x"),
    )
    for job_id in (plain, variant, gone):
        await die(connection, job_id)

    assert await endings.replay(connection, gone) == "command gone"
    assert await endings.replay(connection, variant) == "queued"
    await placement.sync_commands(connection, [])
    assert await endings.replay(connection, plain) == "command gone"


@pytest.mark.parametrize(
    "loss",
    ["delete from artifacts", "delete from blobs"],
    ids=["the picture has expired", "nobody has its content any more"],
)
async def test_a_job_whose_pictures_are_gone_is_left_dead(connection: AsyncConnection, loss: str) -> None:
    job_id = await ask(connection, inputs=(await picture(connection),))
    await die(connection, job_id)
    await connection.execute(loss)

    assert await endings.replay(connection, job_id) == "inputs gone"
    job = await jobs.get(connection, job_id)
    assert job is not None
    assert job.state == "dead"


async def test_a_picture_that_telegram_has_is_not_gone(connection: AsyncConnection) -> None:
    job_id = await ask(connection, inputs=(await picture(connection, None, telegram_file_id="x"),))
    await die(connection, job_id)

    assert await endings.replay(connection, job_id) == "queued"


async def test_pictures_that_an_album_added_count_as_well(connection: AsyncConnection) -> None:
    job_id = await ask(connection, inputs=(await picture(connection),))
    second = await picture(connection)
    assert await jobs.add_input(connection, job_id, second, at_most=2)
    assert not await jobs.add_input(connection, job_id, await picture(connection), at_most=2)
    await die(connection, job_id)
    await connection.execute("delete from artifacts where id = %s", (second,))

    assert await endings.replay(connection, job_id) == "inputs gone"


async def test_the_tries_of_a_job_tell_where_and_how_they_ended(connection: AsyncConnection) -> None:
    job_id = await ask(connection)
    await die(connection, job_id)

    (only,) = await endings.tries(connection, job_id)
    assert (only.number, only.backend, only.worker, only.outcome, only.error) == (1, "gpu", "me", "dead", "PromptLost")


async def test_a_job_for_later_and_its_picture_outlast_the_retention(connection: AsyncConnection) -> None:
    kept, lost = await picture(connection), await picture(connection)
    waiting = await ask(connection, inputs=(kept,), delay_seconds=6 * 86_400)
    over = await ask(connection, inputs=(lost,))
    await jobs.cancel(connection, over)
    for table in ("jobs", "artifacts"):
        await connection.execute(f"update {table} set created_at = now() - interval '5 days'")
    await connection.execute("update jobs set ended_at = now() - interval '5 days' where id = %s", (over,))

    forgotten = await retention.forget_expired(connection, 24)

    assert (forgotten.jobs, forgotten.artifacts) == (1, 1)
    assert await jobs.get(connection, over) is None
    assert [artifact.id for artifact in await artifacts.inputs(connection, waiting)] == [kept]


async def test_a_dead_letter_expires_with_everything_else(connection: AsyncConnection) -> None:
    job_id = await ask(connection)
    await die(connection, job_id)
    await connection.execute("update jobs set ended_at = now() - interval '25 hours'")

    await retention.forget_expired(connection, 24)

    assert await endings.replay(connection, job_id) == "not there"


async def test_what_ends_without_a_worker_is_told_once(connection: AsyncConnection) -> None:
    cancelled, expired, lost, ran = [await ask(connection) for _ in range(4)]
    await jobs.cancel(connection, cancelled)
    await placement.give_up(connection, expired, "QueueTimeout", "too late")
    await die(connection, ran)
    await connection.execute(
        "update jobs set state = 'running', attempt = 3, lease_until = now() - interval '1 s' where id = %s", (lost,)
    )
    await connection.execute(
        """insert into attempts (job_id, number, fence, command_id, backend, prompt_id, worker, outcome)
           select id, number, number, command_id, 'gpu', 'p', 'gone', 'lost' from jobs, generate_series(1, %s) as number
           where id = %s""",
        (leases.FREE_LOSSES, lost),
    )
    await leases.reap(connection)

    assert {job.id for job in await endings.take_untold(connection)} == {cancelled, expired, lost}
    assert await endings.take_untold(connection) == []
