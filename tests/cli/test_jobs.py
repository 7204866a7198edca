"""`veilrun jobs` and `veilrun db`, on a real database."""

import json

import pytest

from db import jobs, migrate, placement
from db.jobs import NewJob
from db.placement import CommandRow
from tests.cli.conftest import Shell
from tests.conftest import Database

PROMPT = "a secret birthday present"


@pytest.fixture
async def asked(database: Database, shell: Shell) -> list[int]:
    """Three jobs: queued, cancelled, dead."""
    shell.environment["DATABASE_URL"] = database.dsn
    async with await database.connect() as connection:
        row = CommandRow("flux", ("f",), "flux", "1", "text to image", "digest", {"": {}, "dev": {}})
        command = (await placement.sync_commands(connection, [row]))["flux"]
        job = NewJob(command, "flux", {"prompt": PROMPT, "seed": 1}, chat_id=5, user_id=6, variant="dev")
        ids = [number for _ in range(3) if (number := await jobs.insert(connection, job))]
        await jobs.cancel(connection, ids[1])
        await connection.execute("update jobs set state = 'dead', error = 'gave up' where id = %s", (ids[2],))
    return ids


async def test_jobs_are_listed_newest_first_without_their_prompts(shell: Shell, asked: list[int]) -> None:
    table = await shell.run("jobs", "list")
    listed = json.loads((await shell.run("jobs", "list", "--json")).out)
    dead = json.loads((await shell.run("jobs", "list", "--dead", "--json")).out)

    assert table.status == 0
    assert "flux --dev" in table.out
    assert [job["id"] for job in listed] == asked[::-1]
    assert [job["state"] for job in listed] == ["dead", "cancelled", "queued"]
    assert [job["id"] for job in dead] == [asked[2]]
    assert PROMPT not in "".join(shell.said)


async def test_a_job_is_shown_with_what_happened_to_it(shell: Shell, asked: list[int]) -> None:
    words = await shell.run("jobs", "show", str(asked[1]))
    document = json.loads((await shell.run("jobs", "show", str(asked[1]), "--json")).out)

    assert "cancelled" in words.out
    assert [event["kind"] for event in document["events"]] == ["queued", "cancelled"]
    assert PROMPT not in "".join(shell.said)


async def test_a_waiting_job_is_cancelled_once(shell: Shell, asked: list[int]) -> None:
    first = await shell.run("jobs", "cancel", str(asked[0]))
    second = await shell.run("jobs", "cancel", str(asked[0]))

    assert (first.status, first.out) == (0, f"job {asked[0]}: cancelled\n")
    assert second.status == 1
    assert "is over already" in second.complaint


async def test_a_dead_job_is_queued_again_and_no_other(shell: Shell, asked: list[int]) -> None:
    dead = await shell.run("jobs", "replay", str(asked[2]))
    queued = await shell.run("jobs", "replay", str(asked[0]))
    shown = json.loads((await shell.run("jobs", "show", str(asked[2]), "--json")).out)

    assert (dead.status, shown["state"], shown["attempt"]) == (0, "queued", 0)
    assert queued.status == 1
    assert "only such jobs can be replayed" in queued.complaint


@pytest.mark.parametrize("verb", ["show", "cancel", "replay"])
async def test_a_job_that_is_not_there_is_one_line(shell: Shell, asked: list[int], verb: str) -> None:
    done = await shell.run("jobs", verb, "999999")

    assert done.status == 1
    assert done.complaint == "error: there is no job 999999; `veilrun jobs list` shows those there are"


async def test_a_state_that_does_not_exist_is_wrong_usage(shell: Shell, asked: list[int]) -> None:
    done = await shell.run("jobs", "list", "--state", "lost")

    assert done.status == 2
    assert "'lost' is none of queued, placed" in done.err


async def test_the_schema_is_brought_up_to_date_once(shell: Shell, empty_database: Database) -> None:
    shell.environment["DATABASE_URL"] = empty_database.dsn

    before = await shell.run("db", "status", "--json")
    first = await shell.run("db", "migrate")
    second = await shell.run("db", "migrate")
    after = await shell.run("db", "status")

    names = sorted(path.stem for path in migrate.FOLDER.glob("*.sql"))
    assert (before.status, json.loads(before.out)) == (1, {"applied": [], "pending": names})
    assert (first.status, first.out) == (0, f"applied {len(names)} migration(s)\n")
    assert (second.status, second.out) == (0, "the schema is up to date\n")
    assert (after.status, after.out) == (0, "".join(f"applied  {name}\n" for name in names))


@pytest.mark.parametrize("words", [("db", "migrate"), ("db", "status"), ("jobs", "list"), ("jobs", "show", "1")])
async def test_a_database_that_is_away_is_one_line(shell: Shell, words: tuple[str, ...]) -> None:
    done = await shell.run(*words, DATABASE_URL="postgresql://bot:hush@127.0.0.1:9/veilrun")

    assert done.status == 1
    assert done.complaint.startswith("error: the database does not answer: ")
    assert done.complaint.endswith("check DATABASE_URL")
    assert "hush" not in done.err
