"""Buttons: bound to their job, in their chat, also after a restart."""

import pytest

from tests.dispatch.bot import PUBLIC, photo_of, said
from tests.dispatch.conftest import picture


@pytest.fixture
async def result(bot, chat):
    """A finished job's picture in the chat."""
    chat.send("/f an astronaut --seed 7")
    await bot.catch_up()
    await bot.finish(await bot.job(), picture())
    return photo_of(chat)


async def pressed(bot, where, message, data, **who) -> dict[str, object]:
    """What the press of a button with this data is answered."""
    press = where.press_data(message, data, **who)
    await bot.catch_up()
    return await press.answered()


async def test_again_runs_the_same_with_another_seed(bot, chat, result) -> None:
    press = chat.press(result, "🔁 Again")
    await bot.catch_up()
    answer = await press.answered()

    before, after = await bot.jobs()
    assert not answer.get("text")
    assert after.arguments["seed"] != 7
    assert {**after.arguments, "seed": 7} == before.arguments
    assert (after.command, after.variant, after.chat_id, after.state) == ("flux", None, chat.id, "queued")


async def test_again_works_on_the_same_pictures(bot, chat) -> None:
    chat.send_photo(picture(), "/qwen a hat")
    await bot.catch_up()
    first = await bot.job()
    await bot.finish(first, picture("red"))

    await pressed(bot, chat, photo_of(chat), f"again:{first.id}")

    assert await bot.inputs(await bot.job()) == await bot.inputs(first)


async def test_again_on_an_old_result_means_that_one(bot, chat, result) -> None:
    first = await bot.job()
    chat.send("/sd3 a lighthouse")
    await bot.catch_up()

    await pressed(bot, chat, result, f"again:{first.id}")

    assert (await bot.job()).arguments["prompt"] == "an astronaut"


async def test_again_when_the_pictures_are_gone_says_so(bot, chat) -> None:
    chat.send_photo(picture(), "/qwen a hat")
    await bot.catch_up()
    first = await bot.job()
    await bot.finish(first, picture("red"))
    await bot.query("delete from job_inputs")

    answer = await pressed(bot, chat, photo_of(chat), f"again:{first.id}")

    assert "no longer stored" in str(answer["text"])
    assert len(await bot.jobs()) == 1


async def test_again_after_the_command_has_changed_says_so(bot, chat, result) -> None:
    first = await bot.job()
    await bot.query("""update jobs set arguments = arguments || '{"magic": 1}'""")
    assert "has changed" in str((await pressed(bot, chat, result, f"again:{first.id}"))["text"])

    await bot.query("""update jobs set arguments = arguments - 'magic', variant = 'gone'""")
    assert "has changed" in str((await pressed(bot, chat, result, f"again:{first.id}"))["text"])

    await bot.query("update jobs set command = 'gone'")
    assert "has changed" in str((await pressed(bot, chat, result, f"again:{first.id}"))["text"])
    assert len(await bot.jobs()) == 1


async def test_original_sends_the_uncompressed_file(bot, chat, result) -> None:
    chat.press(result, "⬇️ Original")
    await bot.catch_up()

    sent = await chat.wait_for(lambda message: message.from_bot and "document" in message.media)
    assert sent.reply_to is not None
    assert sent.reply_to.message_id == result.message_id


async def test_cancel_under_the_status_message_stops_its_job(bot, chat) -> None:
    chat.send("/f one")
    chat.send("/f two")
    await bot.catch_up()
    first, second = await bot.jobs()
    shown = await chat.wait_for(lambda message: message.from_bot)

    await pressed(bot, chat, shown, f"cancel:{first.id}")

    assert [job.state for job in await bot.jobs()] == ["cancelled", "queued"]
    assert bot.placed >= 3
    assert second.id


async def test_cancel_of_what_is_over_says_so(bot, chat, result) -> None:
    answer = await pressed(bot, chat, result, f"cancel:{(await bot.job()).id}")

    assert answer["text"] == "There is nothing to cancel."
    assert (await bot.job()).state != "cancelled"


async def test_nobody_cancels_somebody_elses_job(bot, group, bob) -> None:
    group.send("/f one")
    await bot.catch_up()
    shown = await group.wait_for(lambda message: message.from_bot)

    answer = await pressed(bot, group, shown, f"cancel:{(await bot.job()).id}", as_user=bob)

    assert answer["text"] == "Only who started it can stop it."
    assert answer["show_alert"]
    assert (await bot.job()).state == "queued"


@pytest.mark.parametrize("action", ["again", "orig", "cancel"])
async def test_a_button_of_another_chats_job_does_nothing(bot, group, result, action) -> None:
    (job,) = await bot.jobs()
    message = group.send("hello")

    answer = await pressed(bot, group, message, f"{action}:{job.id}")

    assert "no longer stored" in str(answer["text"])
    assert len(await bot.jobs()) == 1


@pytest.mark.parametrize(
    "data",
    ["again:999999", "orig:999999", "send:999999", "again:9223372036854775807", "nonsense", "again:-1", "x" * 64],
)
async def test_a_button_of_an_expired_job_or_of_nobody_says_so(bot, chat, result, data) -> None:
    assert "no longer stored" in str((await pressed(bot, chat, result, data))["text"])


async def test_send_again_reopens_what_may_not_have_arrived(bot, chat) -> None:
    await bot.say(text="/status", chat={"id": chat.id, "type": "private"})
    ((delivery_id,),) = await bot.query("select id from deliveries")
    payload = '{"text": "once more"}'
    await bot.query("update deliveries set state = 'unknown', payload = %s", payload)

    await pressed(bot, chat, chat.messages[0], f"send:{delivery_id}")
    await bot.dispatcher.idle()

    assert said(chat)[-1] == "once more"
    again = await pressed(bot, chat, chat.messages[0], f"send:{delivery_id}")
    assert "no longer stored" in str(again["text"])


async def test_a_button_under_a_message_too_old_to_be_shown_is_answered(bot) -> None:
    query = {"id": "1", "from": {"id": 11, "is_bot": False, "language_code": "de"}, "data": "again:1"}
    await bot.give({"update_id": 1, "callback_query": {**query, "inline_message_id": "x"}})
    await bot.give({"update_id": 2, "callback_query": {**query, "game_short_name": "x", "data": None}})

    assert await bot.query("select distinct state from updates") == [("done",)]


async def test_who_lost_access_presses_in_vain(make_bot) -> None:
    bot = await make_bot("version: 1\nbackends: []\nplugins: {flux: {enabled: true}}\n")
    chat = bot.telegram.user("Mallory").private_chat

    answer = await pressed(bot, chat, chat.send("hello"), "again:1")

    assert "private" in str(answer["text"])


VETO_NINE = """
    @hookimpl
    def before_invoke(invocation):
        if invocation.arguments["steps"] == 9:
            raise Veto("no " * 300)
"""


async def test_a_long_veto_fits_into_the_alert(make_bot, shelf) -> None:
    shelf.install("guard", VETO_NINE)
    bot = await make_bot(PUBLIC.replace("sd3:", "guard: {enabled: true}, sd3:"))
    chat = bot.telegram.user("Alice").private_chat
    chat.send("/f an astronaut")
    await bot.catch_up()
    first = await bot.job()
    await bot.finish(first, picture())
    await bot.query("""update jobs set arguments = arguments || '{"steps": 9}'""")

    answer = await pressed(bot, chat, photo_of(chat), f"again:{first.id}")

    assert 100 < len(str(answer["text"])) <= 200
