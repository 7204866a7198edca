"""What is not queued: limits of a user, of everybody, of a command, and what is in work already."""

import asyncio

import pytest
from prometheus_client import REGISTRY

from db import jobs
from runtime.dispatch.dispatcher import AT_ONCE
from runtime.dispatch.queue_length import COUNT_SECONDS, FULL_SECONDS
from tests.dispatch.bot import PUBLIC, Bot, said
from tests.dispatch.conftest import picture


def limited(**limits: int | None) -> str:
    words = ", ".join(f"{name}: {'null' if bound is None else bound}" for name, bound in limits.items())
    return PUBLIC.replace("version: 1\n", f"version: 1\nlimits: {{{words}}}\n")


def unique(**limits: object) -> str:
    words = "{enabled: true, limits: {unique: true}}"
    return PUBLIC.replace("qwen: {enabled: true}", f"qwen: {words}").replace("flux: {enabled: true}", f"flux: {words}")


def refused(reason: str) -> float:
    return REGISTRY.get_sample_value("veilrun_jobs_refused_total", {"reason": reason}) or 0.0


async def rows(bot: Bot) -> int:
    ((count,),) = await bot.query("select count(*) from jobs")
    return count


async def test_a_user_has_no_more_waiting_than_the_limit(make_bot) -> None:
    bot = await make_bot(limited(queued_per_user=2))
    chat, other = (bot.telegram.user(name).private_chat for name in ("Alice", "Bob"))
    before = refused("queued_per_user")
    for _ in range(3):
        chat.send("/f an astronaut")
    other.send("/f an astronaut")
    await bot.catch_up()

    assert await rows(bot) == 3, "two of hers and one of his"
    assert "2 of your jobs are waiting already. Stop one with /cancel, or try again when one has ended." in said(chat)
    assert refused("queued_per_user") == before + 1
    assert await bot.query("select distinct state from updates") == [("done",)]


async def test_what_runs_does_not_wait_and_what_has_ended_makes_room(make_bot) -> None:
    bot = await make_bot(limited(queued_per_user=1))
    chat = bot.telegram.user("Alice").private_chat
    chat.send("/f one")
    await bot.catch_up()
    await bot.query("update jobs set state = 'running'")
    chat.send("/f two")
    chat.send("/cancel")
    chat.send("/sd3 three")
    await bot.catch_up()

    assert [job.command for job in await bot.jobs()] == ["flux", "flux", "sd3"]


async def test_jobs_for_later_count_too(make_bot) -> None:
    bot = await make_bot(limited(queued_per_user=1))
    await bot.say(text="/f one --in 2d")
    await bot.say(text="/f two")

    assert await rows(bot) == 1


async def test_again_is_refused_as_the_command_is(make_bot) -> None:
    bot = await make_bot(limited(queued_per_user=1))
    chat = bot.telegram.user("Alice").private_chat
    chat.send("/f one")
    await bot.catch_up()
    (first,) = await bot.jobs()
    shown = await chat.wait_for(lambda message: message.from_bot)

    press = chat.press_data(shown, f"again:{first.id}")
    await bot.catch_up()

    assert "1 of your jobs are waiting" in str((await press.answered())["text"])
    assert await rows(bot) == 1


async def test_a_user_in_many_chats_at_once_gets_no_more_in(make_bot) -> None:
    bot = await make_bot(limited(queued_per_user=3))
    groups = [{"id": -100 - number, "type": "supergroup"} for number in range(12)]

    await bot.give(*(bot.message(text="/f an astronaut", chat=group) for group in groups))

    assert await rows(bot) == 3


async def test_a_full_queue_takes_nobodys_jobs_and_says_when_to_come_back(make_bot) -> None:
    bot = await make_bot(limited(queued=2, queued_per_user=None))
    chats = [bot.telegram.user(name).private_chat for name in ("Alice", "Bob", "Clara")]
    before = refused("queued")
    for chat in chats:
        chat.send("/f an astronaut")
    await bot.catch_up()

    (late,) = [chat for chat in chats if any("full" in text for text in said(chat))]
    assert "The queue is full (2 jobs). Try again in about 1 min." in said(late)
    assert await rows(bot) == 2
    assert refused("queued") == before + 1

    await bot.query("update jobs set state = 'running', expected_at = now() + interval '150 seconds'")
    await bot.query("insert into jobs (command_id, command, arguments) select command_id, 'flux', '{}' from jobs")
    await asyncio.sleep(FULL_SECONDS)
    late.send("/f an astronaut")
    await bot.catch_up()
    assert "The queue is full (2 jobs). Try again in about 3 min." in said(late)

    async with bot.pool.connection() as connection:
        (waiting, *_) = await jobs.newest(connection, states=["queued"])
        await jobs.cancel(connection, waiting.id)
    await asyncio.sleep(FULL_SECONDS)
    late.send("/f an astronaut")
    await bot.catch_up()
    assert await rows(bot) == 5, "one has left the queue"


async def test_many_at_once_go_beyond_the_limit_of_all_by_those_in_the_making_at_most(make_bot) -> None:
    bot = await make_bot(limited(queued=5, queued_per_user=None))
    for number in range(20):
        bot.telegram.user(f"Fan {number}").private_chat.send("/f an astronaut")
    await bot.catch_up()

    assert 5 <= await rows(bot) <= 5 + AT_ONCE


async def test_another_process_is_seen_after_a_second_at_the_latest(make_bot) -> None:
    bot = await make_bot(limited(queued=4, queued_per_user=None))
    chat = bot.telegram.user("Alice").private_chat
    chat.send("/f one")
    await bot.catch_up()
    for _ in range(3):
        await bot.query(
            "insert into jobs (command_id, command, arguments) select min(command_id), 'flux', '{}' from jobs"
        )
    await asyncio.sleep(COUNT_SECONDS)

    chat.send("/f two")
    await bot.catch_up()

    assert await rows(bot) == 4


async def test_no_limit_is_no_limit(make_bot) -> None:
    bot = await make_bot(limited(queued=None, queued_per_user=None))
    for _ in range(25):
        await bot.say(text="/f an astronaut")

    assert await rows(bot) == 25


async def test_what_a_limit_refuses_no_plugin_sees(make_bot, shelf) -> None:
    shelf.install("guard", "@hookimpl\ndef before_invoke(invocation):\n    raise Veto('seen')\n")
    bot = await make_bot(limited(queued_per_user=1).replace("sd3:", "guard: {enabled: true}, sd3:"))
    chat = bot.telegram.user("Alice").private_chat
    await bot.query(
        "insert into jobs (command_id, command, arguments, user_id) values (%s, 'flux', '{}', %s)",
        bot.ids["flux"],
        bot.telegram.user("Alice").id,
    )
    chat.send("/f an astronaut")
    await bot.catch_up()

    assert said(chat)[-1].startswith("1 of your jobs are waiting")


async def test_the_same_request_twice_is_answered_with_a_pointer_to_the_first(make_bot) -> None:
    bot = await make_bot(unique())
    chat = bot.telegram.user("Alice").private_chat
    first = chat.send("/f an astronaut")
    chat.send("/f an astronaut")
    await bot.catch_up()

    assert await rows(bot) == 1
    (answer,) = [message for message in chat.messages if "in work for you already" in message.body.text]
    assert answer.reply_to is not None
    assert answer.reply_to.message_id == first.message_id


@pytest.mark.parametrize(
    "other",
    [
        "/f an astronaut --seed 7",
        "/f an astronaut --steps 3",
        "/f --dev an astronaut",
        "/f another",
        "/sd3 an astronaut",
    ],
)
async def test_what_differs_in_anything_that_was_written_is_no_repetition(make_bot, other: str) -> None:
    bot = await make_bot(unique())
    await bot.say(text="/f an astronaut")
    await bot.say(text=other)

    assert await rows(bot) == 2


async def test_two_chosen_seeds_are_two_requests_and_the_same_one_twice_is_one(make_bot) -> None:
    bot = await make_bot(unique())
    for seed in (1, 2, 1):
        await bot.say(text=f"/f an astronaut --seed {seed}")

    assert [job.arguments["seed"] for job in await bot.jobs()] == [1, 2]


async def test_others_and_other_chats_may_ask_for_the_same(make_bot) -> None:
    bot = await make_bot(unique())
    await bot.say(text="/f an astronaut")
    await bot.say(text="/f an astronaut", chat={"id": -5, "type": "group"})
    await bot.say(
        text="/f an astronaut", **{"from": {"id": 12, "is_bot": False}, "chat": {"id": 12, "type": "private"}}
    )

    assert await rows(bot) == 3


async def test_the_same_words_for_another_picture_are_another_request(make_bot) -> None:
    bot = await make_bot(unique())
    chat = bot.telegram.user("Alice").private_chat
    red, blue = chat.send_photo(picture("red")), chat.send_photo(picture("blue"))
    for photo in (red, blue, red):
        chat.send("/qwen a hat", reply_to=photo)
    await bot.catch_up()

    assert await rows(bot) == 2


async def test_the_same_may_be_asked_again_when_it_is_over(make_bot) -> None:
    bot = await make_bot(unique())
    await bot.say(text="/f an astronaut")
    await bot.say(text="/cancel")
    await bot.say(text="/f an astronaut")

    assert [job.state for job in await bot.jobs()] == ["cancelled", "queued"]


async def test_unless_a_command_is_unique_the_same_twice_is_two_pictures(bot) -> None:
    await bot.say(text="/f an astronaut")
    await bot.say(text="/f an astronaut")

    assert await rows(bot) == 2


async def test_priority_comes_from_the_registry_and_orders_my_own_jobs(make_bot) -> None:
    bot = await make_bot(PUBLIC.replace("wan: {enabled: true}", "wan: {enabled: true, priority: 5}"))
    await bot.say(text="/f one")
    await bot.say(text="/wan two")

    assert [job.priority for job in await bot.jobs()] == [0, 5]
    assert await bot.query("select command from jobs order by rank_at, id") == [("wan",), ("flux",)]
