"""Groups, topics, and who or what is not listened to; chats that block, return and move."""

from db import chats
from tests.dispatch.bot import said

GROUP = {"id": -1001, "type": "supergroup", "title": "Painters"}


async def test_an_unknown_command_in_a_group_is_left_to_other_bots(bot, group) -> None:
    group.send("/nonsense")
    await bot.catch_up()

    assert said(group) == []


async def test_an_unknown_command_for_this_bot_is_answered(bot, group) -> None:
    name = await bot.gateway.username()
    group.send(f"/nonsense@{name}")
    await bot.catch_up()

    assert said(group) == ["There is no /nonsense here. /help lists what there is."]


async def test_a_command_with_this_bots_name_is_ours_in_any_case(bot, group) -> None:
    name = await bot.gateway.username()
    group.send(f"/f@{name} one")
    await bot.say(text=f"/F@{name.upper()} two", chat=GROUP)
    await bot.catch_up()

    assert [job.arguments["prompt"] for job in await bot.jobs()] == ["two", "one"]


async def test_a_command_for_another_bot_is_not_ours(bot) -> None:
    await bot.say(text="/f@another_bot an astronaut", chat=GROUP)
    await bot.say(text="/f@another_bot an astronaut")

    assert await bot.jobs() == []
    assert await bot.query("select count(*) from deliveries") == [(0,)]


async def test_words_and_pictures_in_a_group_get_no_hint(bot) -> None:
    await bot.say(text="hello all", chat=GROUP)
    await bot.say(photo=[{"file_id": "p", "file_unique_id": "u", "width": 9, "height": 9}], chat=GROUP)

    assert await bot.query("select count(*) from deliveries") == [(0,)]
    assert await bot.query("select count(*) from artifacts") == [(0,)]


async def test_an_answer_in_a_group_replies_to_who_asked(bot, group) -> None:
    asked = group.send("/f")
    await bot.catch_up()

    (answer,) = [message for message in group.messages if message.from_bot]
    assert answer.reply_to is not None
    assert answer.reply_to.message_id == asked.message_id


async def test_a_topic_keeps_its_jobs_and_answers(bot, alice) -> None:
    topic = bot.telegram.group("Forum", [alice], forum=True).topic("Astronauts")
    topic.send("/f an astronaut")
    topic.send("/f")
    await bot.catch_up()

    assert (await bot.job()).thread_id == topic.thread_id
    assert len(said(topic)) >= 1


async def test_in_a_topic_every_message_seems_to_reply_to_the_first_and_cancel_means_my_newest(bot) -> None:
    topic = {"message_thread_id": 7, "is_topic_message": True, "chat": GROUP}
    first = {"message_id": 7, "date": 0, "chat": GROUP, "from": {"id": 11, "is_bot": False}}
    await bot.say(text="/f an astronaut", reply_to_message=first, **topic)
    await bot.say(text="/cancel", reply_to_message=first, **topic)

    assert (await bot.job()).state == "cancelled"


async def test_a_thread_of_replies_is_no_topic(bot) -> None:
    await bot.say(text="/f an astronaut", chat=GROUP, message_thread_id=7)

    assert (await bot.job()).thread_id is None


async def test_bots_and_channels_are_not_listened_to(bot) -> None:
    await bot.say(text="/f one", **{"from": {"id": 99, "is_bot": True, "first_name": "Bot"}})
    await bot.say(text="/f two", chat={"id": -1005, "type": "channel"})
    await bot.say(text="/f three", chat=GROUP, is_automatic_forward=True, sender_chat={"id": -1005, "type": "channel"})
    nobody = bot.message(text="/f four")
    del nobody["message"]["from"]
    await bot.give(nobody)
    post = bot.message(text="/f five")
    await bot.give({"update_id": post["update_id"], "channel_post": post["message"]})
    edited = bot.message(text="/f six")
    await bot.give({"update_id": edited["update_id"], "edited_message": edited["message"]})

    assert await bot.jobs() == []
    assert await bot.query("select count(*) from deliveries") == [(0,)]
    assert await bot.query("select distinct state from updates") == [("done",)]


async def test_who_blocks_the_bot_ends_their_jobs_and_is_owed_nothing(bot, chat) -> None:
    chat.send("/f one")
    await bot.catch_up()
    chat.block()
    await bot.catch_up()

    assert (await bot.job()).state == "cancelled"
    assert await bot.query("select count(*) from deliveries where state = 'pending'") == [(0,)]
    async with bot.pool.connection() as connection:
        assert await chats.is_blocked(connection, chat.id)


async def test_who_returns_is_served_again(bot, chat) -> None:
    chat.send("/start")
    chat.block()
    chat.unblock()
    chat.send("/f one")
    await bot.catch_up()

    assert (await bot.job()).state == "queued"
    async with bot.pool.connection() as connection:
        assert await chats.is_blocked(connection, chat.id) is None


async def test_a_group_that_becomes_a_supergroup_keeps_its_jobs_and_memory(bot) -> None:
    old = {"id": -55, "type": "group", "title": "Painters"}
    await bot.say(text="/f an astronaut", chat=old)
    await bot.query("insert into sessions (chat_id, user_id) values (-55, 11)")

    await bot.say(chat=old, migrate_to_chat_id=-10055)

    assert (await bot.job()).chat_id == -10055
    assert await bot.query("select chat_id from sessions") == [(-10055,)]
    await bot.say(text="/cancel", chat={"id": -10055, "type": "supergroup"})
    assert (await bot.job()).state == "cancelled"
