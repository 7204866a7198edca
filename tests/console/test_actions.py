"""What the buttons do to the deployment."""

import pytest

from db import backends, breakers
from tests.console.stage import Operator, Stage
from tests.console.test_pages import words


async def drained(stage: Stage) -> dict[str, str | None]:
    async with stage.pool.connection() as connection:
        return {one.name: one.drain_reason for one in await backends.listed(connection) if one.drained_at}


async def test_a_backend_is_drained_with_a_reason_and_resumed(stage: Stage, somebody: Operator) -> None:
    numbers = await stage.fill()

    answer = await somebody.post("/backends/gpu-a/drain", ("reason", "  new\n  fan "))
    assert answer.status == 303
    assert "No new jobs are placed there." in somebody.page
    assert "Takes no new jobs since" in words(somebody.page)
    assert await drained(stage) == {"gpu-a": "new fan", "gpu-b": "new driver"}
    assert await stage.state(numbers["running"][0]) == "running"
    assert await stage.state(numbers["placed"][0]) == "queued"  # it waited there
    assert stage.placed

    await somebody.post("/backends/gpu-a/resume")
    assert "Takes jobs again." in somebody.page
    assert await drained(stage) == {"gpu-b": "new driver"}
    assert (await somebody.post("/backends/gpu-z/drain")).status == 404


async def test_a_command_is_let_out_of_quarantine(stage: Stage, somebody: Operator) -> None:
    await stage.fill()

    await somebody.post("/backends/gpu-a/reset", ("bucket", "flux --dev"))
    assert "The command may be placed there again." in somebody.page
    async with stage.pool.connection() as connection:
        assert await breakers.not_closed(connection) == []

    await somebody.post("/backends/gpu-a/reset")
    assert "Nothing was kept away any more." in somebody.page


async def test_a_dead_letter_is_replayed(stage: Stage, somebody: Operator) -> None:
    dead = (await stage.fill())["dead"][0]

    answer = await somebody.post(f"/jobs/{dead}/replay")

    assert answer.status == 303
    assert "Queued again, with fresh tries." in somebody.page
    assert f"#{dead}" in somebody.page
    assert await stage.state(dead) == "queued"
    assert len(stage.placed) == 1


async def test_chosen_dead_letters_are_replayed_at_once(stage: Stage, somebody: Operator) -> None:
    numbers = [await stage.job(state="dead") for _ in range(4)]
    chosen = [("job", str(number)) for number in numbers[:2]]

    await somebody.post("/dead/replay", ("choice", "chosen"), *chosen)

    assert "2 Queued again" in words(somebody.page)
    assert [await stage.state(number) for number in numbers] == ["queued", "queued", "dead", "dead"]
    await somebody.post("/dead/replay", ("choice", "chosen"))
    assert "Choose some first." in somebody.page


async def test_all_dead_letters_of_a_command_are_replayed(stage: Stage, somebody: Operator) -> None:
    flux, wan = await stage.job("flux", "dead"), await stage.job("wan", "dead")

    await somebody.post("/dead/replay", ("choice", "all"), ("command", "wan"))
    assert [await stage.state(flux), await stage.state(wan)] == ["dead", "queued"]

    await somebody.post("/dead/replay", ("choice", "all"), ("command", ""))
    assert await stage.state(flux) == "queued"


async def test_a_press_replays_no_more_than_a_moment_allows(stage: Stage, somebody: Operator) -> None:
    await stage.execute(
        """insert into jobs (command_id, command, arguments, state)
           select %s, 'flux', '{}', 'dead' from generate_series(1, 1203)""",
        stage.live.command_ids["flux"],
    )
    async with stage.pool.connection() as connection:
        found = await connection.execute("select min(id), max(id) from jobs")
        ((oldest, newest),) = await found.fetchall()
    await somebody.post("/dead/replay", ("choice", "all"))
    assert "200 Queued again. What is left" in words(somebody.page)
    assert [await stage.state(number) for number in (oldest, oldest + 199, newest)] == ["queued", "queued", "dead"]
    for _ in range(5):
        await somebody.post("/dead/replay", ("choice", "all"))
    await somebody.post("/dead/replay", ("choice", "all"))
    assert "3 Queued again, with fresh tries." in words(somebody.page)


async def test_what_cannot_be_replayed_stays_and_says_why(stage: Stage, somebody: Operator) -> None:
    numbers = await stage.fill()
    await stage.execute("update commands set enabled = false where name = 'wan'")

    await somebody.post(f"/jobs/{numbers['delivered'][0]}/replay")
    assert "Only a job that failed can be replayed." in somebody.page
    await somebody.post(f"/jobs/{numbers['dead'][1]}/replay")
    assert "Its command is not offered any more" in somebody.page
    await somebody.post("/dead/replay", ("choice", "all"), ("command", "wan"))
    assert "None could be queued again" in somebody.page
    assert (await somebody.post("/jobs/999999/replay")).status == 404


@pytest.mark.parametrize(
    ("state", "said"),
    [("queued", "Cancelled."), ("running", "Its worker was asked to stop it."), ("delivered", "It is over already.")],
)
async def test_a_job_is_cancelled(stage: Stage, somebody: Operator, state: str, said: str) -> None:
    number = (await stage.fill())[state][0]

    await somebody.post(f"/jobs/{number}/cancel")

    assert said in somebody.page
    assert await stage.state(number) == {"queued": "cancelled"}.get(state, state)


async def test_a_word_in_the_address_is_not_repeated_on_the_page(stage: Stage, somebody: Operator) -> None:
    await somebody.get("/?said=%3Cb%3Ewe+were+hacked%3C/b%3E&count=%3Ci%3E")

    assert "hacked" not in somebody.page
    assert 'id="said"' not in somebody.page
