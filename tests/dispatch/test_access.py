"""Who is not allowed: what they are told, and where nothing is said at all."""

import pytest

from tests.dispatch.bot import PUBLIC, Bot, said

DENY = PUBLIC.replace("access: {default: public}", "access: {default: deny, allow_users: [11]}")


@pytest.fixture
async def private(make_bot) -> Bot:
    return await make_bot(DENY)


async def test_the_line_tells_the_number_that_the_operator_needs(private: Bot) -> None:
    mallory = private.telegram.user("Mallory")
    mallory.private_chat.send("/start")
    await private.catch_up()

    (line,) = said(mallory.private_chat)
    assert line.endswith(f"your user id is {mallory.id}.")


async def test_a_groups_line_shows_nobodys_number(private: Bot) -> None:
    mallory = private.telegram.user("Mallory")
    group = private.telegram.group("Painters", [mallory])
    group.send("/f an astronaut")
    await private.catch_up()

    assert said(group) == ["Sorry, this bot is private. Ask its operator for access."]


async def test_in_a_group_only_our_commands_are_refused(private: Bot) -> None:
    mallory = private.telegram.user("Mallory")
    group = private.telegram.group("Painters", [mallory])
    group.send("/somebody_elses")
    group.send("hello")
    group.send("/f@another_bot a cat")
    await private.catch_up()

    assert said(group) == []


async def test_a_notice_of_the_app_is_not_refused(private: Bot) -> None:
    mallory = private.telegram.user("Mallory")
    person, chat = {"id": mallory.id, "is_bot": False}, {"id": mallory.id, "type": "private"}
    await private.say(chat=chat, pinned_message={"message_id": 3}, **{"from": person})

    assert said(mallory.private_chat) == []
