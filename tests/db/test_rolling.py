"""Old processes go on with the new schema: what they send is understood, and what they wrote is worked on."""

from psycopg.types.json import Jsonb

from db import jobs, leases, placement
from db.jobs import NewJob
from db.leases import Wakeup
from db.placement import BackendRow, CommandRow
from tests.conftest import Database
from tests.db.statements_before import CLAIM, END, INSERT

OLD_FIELDS = {
    "variant": None,
    "model_set": "flux",
    "size_class": "",
    "max_attempts": 3,
    "chat_id": 7,
    "user_id": 8,
    "message_id": 9,
    "thread_id": None,
    "media_group_id": None,
    "language": "en",
    "dedupe_key": "update:1:1",
    "unique_key": None,
    "priority": 0,
    "input_count": 0,
    "delay_seconds": 0.0,
    "turn_seconds": 60.0,
    "priority_seconds": 6.0,
}


async def test_a_job_may_pass_from_old_processes_to_new_ones_and_back(database: Database) -> None:
    async with await database.connect() as connection:
        await placement.sync_backends(connection, [BackendRow("gpu-1", "", 24.0, slots=1)])
        ids = await placement.sync_commands(connection, [CommandRow("flux", (), "flux", "1", "s", "d", {})])
        values = OLD_FIELDS | {"command_id": ids["flux"], "command": "flux", "arguments": Jsonb({"prompt": "x"})}
        (by_old,) = await (await connection.execute(INSERT, values)).fetchone() or (0,)
        by_new = await jobs.insert(connection, NewJob(ids["flux"], "flux", {"prompt": "y"}, user_id=8))
        assert by_new is not None
        found = [await jobs.get(connection, number) for number in (by_old, by_new)]
        assert [job.owner for job in found if job] == [8, 8]  # both count for the same person

        placed = "update jobs set state = 'placed', backend = 'gpu-1' where id = %s returning fence"
        fences = {}
        for number in (by_old, by_new):
            row = await (await connection.execute(placed, (number,))).fetchone()
            assert row is not None
            fences[number] = row[0]
        claim = {"job_id": by_new, "fence": fences[by_new], "owner": "old:1:x", "seconds": 9.0, "prompt_id": "p"}
        claimed = await (await connection.execute(CLAIM, claim | {"versions": Jsonb(dict(ids))})).fetchone()
        assert claimed is not None
        end = {"job_id": by_new, "fence": fences[by_new] + 1, "owner": "old:1:x", "outcome": "failed"}
        ended = await (await connection.execute(END, end | {"error": "E", "detail": "d"})).fetchone()
        assert ended == ("failed",)
        async with connection.transaction():
            taken = await leases.claim(
                connection, Wakeup(by_old, fences[by_old]), owner="new", seconds=9.0, prompt_id="q", versions=ids
            )

    assert taken is not None
    assert taken[0].arguments == {"prompt": "x"}
