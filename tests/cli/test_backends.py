"""`veilrun backends`, on a real database."""

import json
from collections.abc import AsyncIterator

import pytest
from psycopg import AsyncConnection

from db import backends, breakers, jobs, placement, views
from db.breakers import Failure
from db.jobs import NewJob
from db.placement import BackendRow, CommandRow
from tests.cli.conftest import Shell
from tests.conftest import Database

PROMPT = "a secret birthday present"
CARD = {"name": "cuda:0 NVIDIA GeForce RTX 4090", "vram_gb": 24.0}


@pytest.fixture
async def connection(database: Database, shell: Shell) -> AsyncIterator[AsyncConnection]:
    """gpu-a is ready, with two places; gpu-b was never checked."""
    shell.environment["DATABASE_URL"] = database.dsn
    async with await database.connect() as opened:
        rows = [BackendRow("gpu-a", "RTX 4090", 32, slots=2), BackendRow("gpu-b", "RTX 5090", 32, slots=1)]
        async with opened.transaction():
            await placement.sync_backends(opened, rows)
        await views.report(
            opened,
            "gpu-a",
            health="ready",
            comfyui_version="0.3.64",
            missing={"wan": "model file wan_2.1_vae.safetensors is missing"},
            round_trip_seconds=0.0123,
        )
        await backends.tell_devices(opened, "gpu-a", [CARD], "the registry says 32 GB, but the card has 24 GB")
        await opened.execute("update backends set warm_model_set = 'flux-schnell' where name = 'gpu-a'")
        yield opened


async def place_two(connection: AsyncConnection) -> list[int]:
    """Two jobs on gpu-a: one runs, one waits behind it."""
    command = (await placement.sync_commands(connection, [CommandRow("flux", (), "flux", "1", "", "digest", {})]))[
        "flux"
    ]
    numbers = []
    for position in (0, 1):
        job_id = await jobs.insert(connection, NewJob(command, "flux", {"prompt": PROMPT}))
        assert job_id is not None
        numbers.append(job_id)
        assert await placement.place(connection, job_id, "gpu-a", position, "gpu-a is free", is_cold=False)
    await connection.execute("update jobs set state = 'running', began_at = now() where id = %s", (numbers[0],))
    return numbers


async def listed(shell: Shell) -> dict[str, dict[str, object]]:
    found = json.loads((await shell.run("backends", "list", "--json")).out)
    return {backend["name"]: backend for backend in found}


async def test_backends_are_listed_with_what_they_do_and_what_is_wrong_with_them(shell: Shell, connection):
    running, waiting = await place_two(connection)
    async with connection.transaction():
        for _ in range(3):
            await breakers.failed(connection, Failure("gpu-a", "flux --dev", "LoadTimeout", True, ()))

    words = await shell.run("backends", "list")
    lines = words.out.splitlines()
    document = await listed(shell)

    assert words.status == 0
    assert lines[0].startswith("gpu-a  RTX 4090, 32 GB, ready, round trip 12 ms, ComfyUI 0.3.64, checked at ")
    assert lines[1:4] == [
        f"       holds flux-schnell; runs {running}; next {waiting}",
        "       the registry says 32 GB, but the card has 24 GB",
        "       cannot run wan: model file wan_2.1_vae.safetensors is missing",
    ]
    assert lines[4].startswith("       flux --dev failed there 3 times in a row (LoadTimeout) and is tried again at ")
    assert lines[5:] == ["gpu-b  RTX 5090, 32 GB, unknown, never checked"]
    one = document["gpu-a"]
    assert (one["running"], one["waiting"], one["collecting"]) == ([running], [waiting], [])
    assert (one["health"], one["is_drained"], one["warm_model_set"]) == ("ready", False, "flux-schnell")
    assert one["devices"] == [CARD]
    assert list(one["tripped"]) == ["flux --dev"]
    assert document["gpu-b"]["checked_at"] is None
    assert PROMPT not in "".join(shell.said)


async def test_a_job_whose_files_are_fetched_is_listed_apart_since_its_place_is_free(shell: Shell, connection):
    running, waiting = await place_two(connection)
    await connection.execute("update slots set job_id = null where job_id = %s", (running,))
    await connection.execute("update jobs set state = 'running', began_at = now() where id = %s", (waiting,))

    one = (await listed(shell))["gpu-a"]

    assert (one["running"], one["waiting"], one["collecting"]) == ([waiting], [], [running])


async def test_a_drained_backend_says_why_until_it_is_resumed_whatever_its_checks_say(shell: Shell, connection):
    drained = await shell.run("backends", "drain", "gpu-a", "--reason", "new driver")
    await views.report(connection, "gpu-a", health="ready", missing={})
    words = await shell.run("backends", "list")
    before = (await listed(shell))["gpu-a"]
    resumed = await shell.run("backends", "resume", "gpu-a")
    again = await shell.run("backends", "resume", "gpu-a")

    assert (drained.status, drained.out) == (0, "gpu-a: takes no new jobs: new driver\n")
    assert "drained, ready" in words.out
    assert ": new driver" in words.out
    assert (before["health"], before["is_drained"], before["drain_reason"]) == ("ready", True, "new driver")
    assert resumed.out == "gpu-a: takes jobs again\n"
    assert again.out == "gpu-a: was not drained\n"
    assert (await listed(shell))["gpu-a"]["is_drained"] is False


async def test_draining_asks_the_jobs_back_that_wait_there_and_waits_for_the_rest(shell: Shell, connection):
    running, waiting = await place_two(connection)
    await connection.execute("update jobs set state = 'running', prompt_id = 'p' where id = %s", (waiting,))

    process = await shell.start("backends", "drain", "gpu-a", "--wait")
    assert process.stdout is not None
    assert process.stderr is not None
    said = [(await process.stdout.readline()).decode() for _ in range(2)]
    waits = (await process.stderr.readline()).decode()
    asked = await (await connection.execute("select id from jobs where recall_requested")).fetchall()
    async with connection.transaction():
        await connection.execute("update jobs set state = 'queued', backend = null where id = %s", (waiting,))
        await connection.execute("select pg_notify('veilrun_jobs', '{}')")
    fewer = (await process.stderr.readline()).decode()
    async with connection.transaction():
        await connection.execute("update jobs set state = 'collected' where id = %s", (running,))
        await connection.execute("select pg_notify('veilrun_jobs', '{}')")
    done = await shell.ended(process)

    assert said == ["gpu-a: takes no new jobs\n", f"asked back into the queue: job {waiting}\n"]
    assert waits == f"waiting for jobs {running}, {waiting}\n"
    assert asked == [(waiting,)]
    assert fewer == f"waiting for job {running}\n"
    assert (done.status, done.out) == (0, "gpu-a: nothing runs there any more\n")


async def test_a_backend_that_only_some_machines_reach_is_ready_and_says_who_does_not(shell: Shell, connection):
    await views.report(connection, "gpu-a", machine="attic", health="away", reason="no connection")

    words = await shell.run("backends", "list")

    assert "       not reached from attic: no connection\n" in words.out
    assert (await listed(shell))["gpu-a"]["seen_from"] == {"attic": "away", "here": "ready"}


async def test_a_backend_that_let_go_of_its_weights_says_since_when(shell: Shell, connection):
    await connection.execute("update backends set used_at = now() - interval '1 hour'")
    assert await backends.release(connection, "gpu-a", 60.0)

    assert "       let go of its weights at " in (await shell.run("backends", "list")).out


async def test_an_idle_backend_is_drained_at_once(shell: Shell, connection):
    done = await shell.run("backends", "drain", "gpu-b", "--wait")

    assert done.out == "gpu-b: takes no new jobs\ngpu-b: nothing runs there any more\n"


async def test_a_command_that_was_kept_away_is_let_in_again_by_hand(shell: Shell, connection):
    async with connection.transaction():
        for command in ("flux", "flux --dev"):
            for _ in range(3):
                await breakers.failed(connection, Failure("gpu-a", command, "LoadTimeout", True, ()))

    other = await shell.run("backends", "reset", "gpu-a", "wan")
    one = await shell.run("backends", "reset", "gpu-a", "flux --dev")
    rest = await shell.run("backends", "reset", "gpu-a")
    none = await shell.run("backends", "reset", "gpu-a")

    assert [done.out for done in (other, one, rest, none)] == [
        "gpu-a: wan was not kept away\n",
        "gpu-a: takes flux --dev again\n",
        "gpu-a: takes flux again\n",
        "gpu-a: nothing was kept away\n",
    ]
    assert await breakers.not_closed(connection) == []


@pytest.mark.parametrize("verb", ["drain", "resume", "reset"])
async def test_a_backend_that_is_not_there_is_one_line_with_those_that_are(shell: Shell, connection, verb: str):
    done = await shell.run("backends", verb, "gpu-x")

    assert done.status == 1
    assert done.complaint == "error: there is no backend 'gpu-x'; there are: gpu-a, gpu-b"


async def test_before_the_first_start_there_are_no_backends(shell: Shell, database: Database):
    shell.environment["DATABASE_URL"] = database.dsn

    assert (await shell.run("backends", "list")).out == "no backends\n"
    assert "none yet; they come with the first start" in (await shell.run("backends", "drain", "gpu-a")).complaint
