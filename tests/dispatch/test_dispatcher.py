"""Every stored update takes effect once, in its chat's order, whatever dies or fails meanwhile."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, LiteralString

import pytest
from hypothesis import HealthCheck, given, settings
from psycopg import AsyncConnection, sql
from psycopg.conninfo import conninfo_to_dict
from structlog.testing import capture_logs

from db import deliveries
from db.updates import ORDER_LOCK, StoredUpdate
from runtime.sandbox.telegram import Fault
from tests.conftest import Database
from tests.dispatch.bot import BOT_ID, Bot, said
from tests.dispatch.test_update import odd_updates
from tests.e2e.deployment import deployed, picture_after
from webhooks.envelope import MalformedUpdate

DEADLINE = 20.0


async def until(found: Callable[[], Any]) -> None:
    """Return when the coroutine function gives something true. Raises: TimeoutError."""
    async with asyncio.timeout(DEADLINE):
        while not await found():  # noqa: ASYNC110  nothing tells of what becomes true in the database
            await asyncio.sleep(0.02)


def command(bot: Bot, chat_id: int, prompt: str, **parts: Any) -> dict[str, Any]:
    """`/f prompt` in the private chat of this number."""
    person = {"id": chat_id, "is_bot": False, "first_name": "Somebody"}
    return bot.message(text=f"/f {prompt}", chat={"id": chat_id, "type": "private"}, **{"from": person}, **parts)


async def prompts(bot: Bot, chat_id: int) -> list[str]:
    rows = await bot.query("select arguments ->> 'prompt' from jobs where chat_id = %s order by id", chat_id)
    return [prompt for (prompt,) in rows]


async def states(bot: Bot) -> list[tuple[str, int, str | None]]:
    return await bot.query("select state, attempts, error from updates order by update_id")


async def test_two_processes_at_once_keep_the_order_of_every_chat(bot: Bot) -> None:
    chats, each = range(101, 106), 12
    stored = await bot.store(*(command(bot, chat, f"number {n}") for n in range(each) for chat in chats))
    dispatchers = [bot.another(), bot.another()]
    for dispatcher in dispatchers:
        dispatcher.accept(random.Random(7).sample(stored, len(stored)))

    async with asyncio.timeout(DEADLINE):
        await asyncio.gather(*(dispatcher.idle() for dispatcher in dispatchers))

    assert {chat: await prompts(bot, chat) for chat in chats} == {
        chat: [f"number {n}" for n in range(each)] for chat in chats
    }


async def test_a_later_update_does_not_overtake_one_that_was_left_behind(bot: Bot) -> None:
    _, second = await bot.store(command(bot, 101, "first"), command(bot, 101, "second"))

    bot.dispatcher.accept([second])
    await bot.dispatcher.idle()

    assert await prompts(bot, 101) == ["first", "second"]


async def test_what_a_crash_left_behind_takes_effect_at_the_next_start(bot: Bot) -> None:
    await bot.store(command(bot, 101, "an astronaut"))
    successor = bot.another()
    await successor.start()

    await until(bot.jobs)
    await successor.stop()

    assert await states(bot) == [("done", 0, None)]
    assert await bot.query("select body from updates") == [(b"",)]


async def test_an_update_that_was_never_handed_over_is_found_by_a_sweep(bot: Bot) -> None:
    sweeping = bot.another(sweep_seconds=0.05)
    await sweeping.start()
    await bot.store(command(bot, 101, "an astronaut"))
    await bot.query("update updates set received_at = now() - interval '4 seconds'")

    await until(bot.jobs)
    await sweeping.stop()


async def test_a_process_that_dies_right_after_the_commit_loses_nothing(bot: Bot) -> None:
    deaf = bot.another()

    async def die(*_: object) -> None:
        await asyncio.Event().wait()

    deaf._on_jobs = deaf._on_deliveries = die  # type: ignore[assignment]
    deaf.accept(await bot.store(command(bot, 101, "an astronaut"), bot.message(text="/help")))
    await until(bot.jobs)
    await until(lambda: bot.query("select 1 from deliveries where kind = 'notice'"))

    async with bot.pool.connection() as connection:
        left = await deliveries.due(connection, stale_seconds=0.0)

    assert sorted(kind for _, kind in left) == ["notice", "status"]
    assert [job.state for job in await bot.jobs()] == ["queued"]
    for task in deaf._tasks:
        task.cancel()


async def test_a_connection_that_breaks_in_mid_effect_costs_nothing(bot: Bot, database: Database) -> None:
    async with await database.connect(autocommit=False) as other:
        await other.execute("lock table jobs in access exclusive mode")
        bot.dispatcher.accept(await bot.store(command(bot, 101, "an astronaut")))
        blocked = "select pid from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        await until(lambda: bot.query(blocked))
        with capture_logs() as logs:
            await bot.query(f"select pg_terminate_backend(pid) from ({blocked}) as dispatch")
            await until(lambda: _said(logs, "dispatch waits"))

    async with asyncio.timeout(DEADLINE):
        await bot.dispatcher.idle()

    assert await prompts(bot, 101) == ["an astronaut"]
    assert await states(bot) == [("done", 0, None)]


async def test_a_database_that_is_away_is_waited_for(bot: Bot, database: Database, database_server: str) -> None:
    stored = await bot.store(command(bot, 101, "an astronaut"), command(bot, 102, "a lighthouse"))
    name = conninfo_to_dict(database.dsn)["dbname"]
    with capture_logs() as logs:
        async with _refusing_connections(database_server, name):
            bot.dispatcher.accept(stored)
            await until(lambda: _said(logs, "dispatch waits"))
        async with asyncio.timeout(DEADLINE):
            await bot.dispatcher.idle()

    assert await states(bot) == [("done", 0, None), ("done", 0, None)]
    assert len([line for line in logs if line["event"] == "dispatch waits"]) == 1  # and not one line for each chat


async def test_an_update_that_always_fails_is_set_aside_and_its_chat_goes_on(bot: Bot) -> None:
    bot.ids["wan"] = 987654321  # a row that does not exist: the database refuses the job
    with capture_logs() as logs:
        await bot.give(bot.message(text="/wan a secret wave"), bot.message(text="/f an astronaut"))

    assert await states(bot) == [("failed", 3, "ForeignKeyViolation"), ("done", 0, None)]
    assert [job.command for job in await bot.jobs()] == ["flux"]
    failures = [line for line in logs if line["event"] == "update failed"]
    assert [line["set_aside"] for line in failures] == [False, False, True]
    assert failures[0]["where"].startswith("jobs.py:")
    assert "secret" not in str(logs)


async def test_who_wrote_what_is_set_aside_learns_that_it_was_in_vain(bot: Bot) -> None:
    bot.ids["wan"] = 987654321
    chat = bot.telegram.user("Alice").private_chat
    chat.send("/wan a wave")
    await bot.catch_up()
    await bot.dispatcher.idle()

    assert [text.partition(",")[0] for text in said(chat)] == ["Something went wrong on our side"]


async def test_a_button_whose_press_is_set_aside_is_answered(bot: Bot) -> None:
    chat = bot.telegram.user("Alice").private_chat
    chat.send("/f an astronaut")
    await bot.catch_up()
    bot.ids["flux"] = 987654321
    shown = await chat.wait_for(lambda message: message.from_bot)

    press = chat.press_data(shown, f"again:{(await bot.job()).id}")
    await bot.catch_up()

    answer = await press.answered()
    assert "Something went wrong on our side" in str(answer["text"])
    assert answer["show_alert"]


@pytest.mark.parametrize(
    ("text", "count"), [("/wan a wave", 1), ("/wan@another_bot a wave", 0), ("/nobodys command", 0), ("just words", 0)]
)
async def test_in_a_group_only_who_meant_this_bot_is_told(bot: Bot, text: str, count: int) -> None:
    await bot.query("alter table chats add constraint broken check (chat_id > 0)")
    await bot.say(text=text, chat={"id": -5, "type": "group"})

    assert len(await bot.query("select 1 from deliveries where kind = 'notice'")) == count


async def test_a_failing_chat_holds_up_no_other(bot: Bot) -> None:
    bot.ids["wan"] = 987654321
    failing = [bot.message(text="/wan a wave", chat={"id": chat, "type": "private"}) for chat in range(200, 240)]
    stored = await bot.store(*failing, command(bot, 101, "an astronaut"))

    bot.dispatcher.accept(stored)
    await until(bot.jobs)
    pending = await bot.query("select count(*) from updates where state = 'pending'")
    await bot.dispatcher.idle()

    assert pending[0][0] > 0
    assert {state for state, *_ in await states(bot)} == {"failed", "done"}


async def test_what_is_no_update_is_set_aside_at_once(bot: Bot) -> None:
    nonsense = StoredUpdate(BOT_ID, 5, None, b"[]")
    async with bot.pool.connection() as connection:
        await connection.execute("insert into updates values (%s, 5, null, '[]')", (BOT_ID,))
    bot.dispatcher.accept([nonsense])
    await bot.dispatcher.idle()

    assert await states(bot) == [("failed", 1, "NotUnderstood")]


async def test_a_chat_that_another_process_works_on_waits_and_others_do_not(bot: Bot, database: Database) -> None:
    async with await database.connect(autocommit=False) as other:
        await other.execute("select pg_advisory_xact_lock(%s, hashint8(%s::bigint))", (ORDER_LOCK, 101))
        bot.dispatcher.accept(await bot.store(command(bot, 101, "a cat"), command(bot, 102, "a dog")))
        await until(bot.jobs)
        assert await prompts(bot, 101) == []

    await bot.dispatcher.idle()
    assert await prompts(bot, 101) == ["a cat"]


async def test_one_user_in_two_chats_at_once_gets_no_more_than_allowed(bot: Bot, database: Database) -> None:
    groups = [{"id": -chat, "type": "supergroup"} for chat in range(1, 9)]
    stored = await bot.store(*(bot.message(text="/wan a wave", chat=group) for group in groups))
    limited = bot.registry.commands["wan"].command.limits.per_user
    bot.dispatcher.accept(stored)
    await bot.dispatcher.idle()

    assert limited == 1
    assert len(await bot.jobs()) == 1


async def test_stopping_lets_the_effect_end_and_takes_nothing_new(bot: Bot, database: Database) -> None:
    async with await database.connect(autocommit=False) as other:
        await other.execute("lock table jobs in share mode")
        bot.dispatcher.accept(await bot.store(command(bot, 101, "first"), command(bot, 101, "second")))
        await until(lambda: bot.query("select 1 from pg_stat_activity where wait_event_type = 'Lock'"))
        stopping = asyncio.create_task(bot.dispatcher.stop())
        await asyncio.sleep(0)
    await stopping

    assert await prompts(bot, 101) == ["first"]
    assert [state for state, *_ in await states(bot)] == ["done", "pending"]
    assert not bot.dispatcher.is_alive


async def test_stopping_does_not_wait_for_ever(bot: Bot, database: Database) -> None:
    async with await database.connect(autocommit=False) as other:
        await other.execute("lock table jobs in share mode")
        bot.dispatcher.accept(await bot.store(command(bot, 101, "an astronaut")))
        await until(lambda: bot.query("select 1 from pg_stat_activity where wait_event_type = 'Lock'"))
        async with asyncio.timeout(DEADLINE):
            await bot.dispatcher.stop()

    assert await bot.jobs() == []
    assert [state for state, *_ in await states(bot)] == ["pending"]


@pytest.mark.slow
async def test_a_web_process_killed_in_mid_effect_loses_nothing_and_doubles_nothing(
    database: Database, tmp_path: Path
) -> None:
    async with deployed(database.dsn, tmp_path) as running, await database.connect() as watching:
        async with await database.connect(autocommit=False) as other:
            await other.execute("lock table jobs in share mode")
            asked = running.chat.send("/f an astronaut --size 256x256")
            await until(lambda: _rows(watching, "select 1 from updates where state = 'pending'"))
            await until(lambda: _rows(watching, "select 1 from pg_stat_activity where wait_event_type = 'Lock'"))
            await running.kill("web")
        await running.start("web")

        await picture_after(running.chat, asked)

        assert await _rows(watching, "select count(*) from jobs") == [(1,)]


async def test_it_is_alive_between_start_and_stop(bot: Bot) -> None:
    dispatcher = bot.another()
    assert not dispatcher.is_alive
    await dispatcher.start()
    assert dispatcher.is_alive
    await dispatcher.stop()
    assert not dispatcher.is_alive


async def test_a_command_that_names_a_bot_waits_until_telegram_has_told_our_name(bot: Bot) -> None:
    name = await bot.gateway.username()
    bot.gateway._username = None
    bot.telegram.faults.add(Fault("bad_gateway", "getMe"))

    await bot.give(bot.message(text=f"/f@{name.upper()} an astronaut"), bot.message(text="/f@another_bot a cat"))

    assert [job.arguments["prompt"] for job in await bot.jobs()] == ["an astronaut"]
    assert [state for state, *_ in await states(bot)] == ["done", "done"]


async def test_jobs_are_placed_again_when_the_album_is_complete(bot: Bot) -> None:
    photo = {"photo": [{"file_id": "p", "width": 9, "height": 9}]}
    await bot.say(caption="/qwen mix them", media_group_id="77", **photo)
    assert bot.placed == 1

    bot.placing.clear()
    async with asyncio.timeout(DEADLINE):
        await bot.placing.wait()

    ((is_due,),) = await bot.query("select run_at <= now() from jobs")
    assert is_due


async def test_whatever_comes_is_done_with(bot: Bot) -> None:
    found: list[dict[str, Any]] = []

    @settings(max_examples=150, database=None, suppress_health_check=list(HealthCheck))
    @given(odd_updates())
    def collect(update: dict[str, Any]) -> None:
        found.append(update)

    collect()
    for number, update in enumerate(found):
        try:
            bot.dispatcher.accept(await bot.store(update | {"update_id": number}))
        except MalformedUpdate:  # refused by the receiver
            continue
    async with asyncio.timeout(60):
        await bot.dispatcher.idle()

    assert {(state, error) for state, _, error in await states(bot)} == {("done", None)}


async def _rows(connection: AsyncConnection, query: LiteralString) -> list[tuple[Any, ...]]:
    return await (await connection.execute(query)).fetchall()


async def _said(logs: list[Any], event: str) -> bool:
    return any(line["event"] == event for line in logs)


@contextlib.asynccontextmanager
async def _refusing_connections(server: str, name: Any) -> AsyncIterator[None]:
    """The database is away: it ends its connections, and takes none until the context ends."""
    allow = sql.SQL("alter database {} allow_connections {}")
    async with await AsyncConnection.connect(server, autocommit=True) as administrator:
        await administrator.execute(allow.format(sql.Identifier(name), sql.Literal(False)))
        await administrator.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (name,)
        )
        try:
            yield
        finally:
            await administrator.execute(allow.format(sql.Identifier(name), sql.Literal(True)))
