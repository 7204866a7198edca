"""`veilrun jobs` and `veilrun db`, on a real database."""

import json

import pytest
from psycopg import sql

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


async def test_a_job_is_one_line_with_its_whole_reason_and_times_are_utc(
    shell: Shell, database: Database, asked: list[int]
) -> None:
    reason = "waiting for gpu-a, which takes no new jobs: a new driver [until noon], and a look at its fans"
    async with await database.connect() as connection:
        ((name,),) = await (await connection.execute("select current_database()")).fetchall()
        await connection.execute(sql.SQL("alter database {} set timezone to 'Asia/Tokyo'").format(sql.Identifier(name)))
        await connection.execute(
            "update jobs set created_at = '2026-01-02 03:04:05+00', placement = %s where id = %s", (reason, asked[0])
        )

    listed = await shell.run("jobs", "list", "--state", "queued")
    shown = await shell.run("jobs", "show", str(asked[0]))

    (_, line) = listed.out.splitlines()
    assert line.split() == [str(asked[0]), "queued", "flux", "--dev", "0/3", "2026-01-02", "03:04:05", *reason.split()]
    assert f"placement          {reason}\n" in shown.out
    assert "created_at         2026-01-02 03:04:05 UTC\n" in shown.out


async def test_each_of_several_jobs_is_seen_to_whatever_becomes_of_the_others(shell: Shell, asked: list[int]) -> None:
    queued, cancelled, dead = map(str, asked)

    stopped = await shell.run("jobs", "cancel", "999999", cancelled, queued)
    again = await shell.run("jobs", "replay", cancelled, dead)

    assert (stopped.status, stopped.out) == (1, f"job {queued}: cancelled\n")
    assert [line.partition(":")[0] for line in stopped.err.splitlines()] == ["error", "error"]
    assert (again.status, again.out) == (1, f"job {dead}: queued again\n")


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


async def test_all_dead_letters_of_a_command_are_queued_again_but_for_those_that_cannot_be(
    shell: Shell, database: Database, asked: list[int]
) -> None:
    async with await database.connect() as connection:
        await connection.execute("update jobs set state = 'dead'")
        await connection.execute("update jobs set variant = 'gone' where id = %s", (asked[0],))
        await connection.execute("update jobs set input_count = 1 where id = %s", (asked[1],))

    other = await shell.run("jobs", "replay", "--all", "--command", "wan")
    done = await shell.run("jobs", "replay", "--all", "--command", "flux")
    left = json.loads((await shell.run("jobs", "list", "--dead", "--json")).out)

    assert other.out == "0 job(s) queued again\n"
    assert done.out.splitlines() == [
        f"job {asked[0]}: left dead, its command or variant is not offered any more",
        f"job {asked[1]}: left dead, the pictures that it was to work on have expired",
        "1 job(s) queued again",
    ]
    assert [job["id"] for job in left] == asked[1::-1]


async def test_all_waiting_jobs_of_a_user_are_cancelled(shell: Shell, database: Database, asked: list[int]) -> None:
    async with await database.connect() as connection:
        await connection.execute("update jobs set state = 'queued', user_id = id, is_due = false")

    done = await shell.run("jobs", "cancel", "--all-queued", "--user", str(asked[1]))
    listed = json.loads((await shell.run("jobs", "list", "--json", "--user", str(asked[1]))).out)
    rest = await shell.run("jobs", "cancel", "--all-queued")

    assert done.out == "1 job(s) cancelled\n"
    assert [(job["id"], job["state"]) for job in listed] == [(asked[1], "cancelled")]
    assert rest.out == "2 job(s) cancelled\n"


@pytest.mark.parametrize(
    "words",
    [
        ("cancel",),
        ("replay",),
        ("cancel", "1", "--all-queued"),
        ("replay", "1", "--all"),
        ("cancel", "1", "--user", "6"),
        ("replay", "1", "--command", "flux"),
    ],
)
async def test_some_jobs_or_all_of_them_but_not_both(shell: Shell, asked: list[int], words: tuple[str, ...]) -> None:
    assert (await shell.run("jobs", *words)).status == 2


async def test_the_tries_of_a_job_are_shown(shell: Shell, database: Database, asked: list[int]) -> None:
    async with await database.connect() as connection:
        await connection.execute(
            """insert into attempts (job_id, number, fence, command_id, backend, worker, ended_at, outcome, error,
                                     was_warm, load_seconds, run_seconds)
               select id, 1, 1, command_id, 'gpu-a', 'host:7:ab', now(), 'requeued', 'OutOfMemory', false, 9.12, 4.2
               from jobs where id = %(job)s
               union all
               select id, 2, 2, command_id, 'gpu-b', 'host:8:cd', null, null, null, null, null, null
               from jobs where id = %(job)s""",
            {"job": asked[2]},
        )

    words = await shell.run("jobs", "show", str(asked[2]))
    document = json.loads((await shell.run("jobs", "show", str(asked[2]), "--json")).out)

    assert " gpu-a: requeued, OutOfMemory; cold, load 9.1 s, run 4.2 s; worker host:7:ab\n" in words.out
    assert " gpu-b: at work; worker host:8:cd\n" in words.out
    assert [(one["number"], one["outcome"], one["run_seconds"]) for one in document["tries"]] == [
        (1, "requeued", 4.2),
        (2, None, None),
    ]


async def test_a_job_for_later_says_when(shell: Shell, database: Database, asked: list[int]) -> None:
    async with await database.connect() as connection:
        await connection.execute(
            "update jobs set run_at = '2126-01-02 03:04:05', is_due = false where id = %s", (asked[0],)
        )

    listed = await shell.run("jobs", "list", "--state", "queued")
    shown = json.loads((await shell.run("jobs", "show", str(asked[0]), "--json")).out)

    assert "not before 2126-01-02 03:04:05 UTC" in listed.out
    assert (shown["run_at"][:19], shown["position"]) == ("2126-01-02T03:04:05", None)


@pytest.mark.parametrize("verb", ["show", "cancel", "replay"])
async def test_a_job_that_is_not_there_is_one_line(shell: Shell, asked: list[int], verb: str) -> None:
    done = await shell.run("jobs", verb, "999999")

    assert done.status == 1
    assert done.complaint == "error: there is no job 999999; `veilrun jobs list` shows those there are"


async def test_a_user_that_cannot_be_is_wrong_usage(shell: Shell, asked: list[int]) -> None:
    done = await shell.run("jobs", "list", "--user", str(2**63))

    assert done.status == 2
    assert "'--user'" in done.err


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


async def test_a_database_that_can_only_be_read_is_one_line(shell: Shell, empty_database: Database) -> None:
    standby = f"{empty_database.dsn}&options=-c%20default_transaction_read_only%3Don"

    done = await shell.run("db", "migrate", DATABASE_URL=standby)

    assert done.status == 1
    assert done.complaint.startswith("error: the database does not serve us: cannot execute ")
    assert done.complaint.endswith("check DATABASE_URL")
