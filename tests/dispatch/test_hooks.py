"""Plugins that look at every invocation, at the place where people feel it."""

import pytest

from tests.dispatch.bot import PUBLIC, Bot, said
from tests.dispatch.conftest import picture

AMENDS = """
    @hookimpl
    def before_invoke(invocation):
        return invocation.amended(prompt=invocation.arguments["prompt"] + ", in watercolour")
"""
VETOES = """
    @hookimpl
    def before_invoke(invocation):
        raise Veto("   ")
"""
DAWDLES = """
    import time

    @hookimpl
    def before_invoke(invocation):
        if invocation.arguments["prompt"] == "slow":
            time.sleep(7)
"""


async def bot_guarded_by(make_bot, shelf, source: str) -> Bot:
    shelf.install("guard", source)
    return await make_bot(PUBLIC.replace("sd3:", "guard: {enabled: true}, sd3:"))


async def test_what_a_plugin_amended_is_not_amended_again_by_again(make_bot, shelf) -> None:
    bot = await bot_guarded_by(make_bot, shelf, AMENDS)
    chat = bot.telegram.user("Alice").private_chat
    chat.send("/f a cat")
    await bot.catch_up()
    await bot.finish(await bot.job(), picture())

    shown = [message for message in chat.messages if message.photo][-1]
    press = chat.press(shown, "🔁 Again")
    await bot.catch_up()
    await press.answered()

    assert [job.arguments["prompt"] for job in await bot.jobs()] == ["a cat, in watercolour"] * 2


async def test_a_veto_without_a_reason_is_still_told(make_bot, shelf) -> None:
    bot = await bot_guarded_by(make_bot, shelf, VETOES)
    chat = bot.telegram.user("Alice").private_chat
    chat.send("/f a cat")
    await bot.catch_up()

    assert said(chat) == ["This was not allowed."]
    assert await bot.jobs() == []


@pytest.mark.slow
async def test_a_plugin_that_dawdles_holds_up_neither_others_nor_its_own_chat_for_long(make_bot, shelf) -> None:
    bot = await bot_guarded_by(make_bot, shelf, DAWDLES)
    chat, other = bot.telegram.user("Alice").private_chat, bot.telegram.user("Bob").private_chat
    chat.send("/f slow")
    chat.send("/f a cat")
    other.send("/f a dog")
    await bot.catch_up()

    assert said(chat)[0].startswith("Checking this took too long.")
    assert [job.arguments["prompt"] for job in await bot.jobs()] == ["a dog", "a cat"]
