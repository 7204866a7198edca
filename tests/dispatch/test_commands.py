"""What a command becomes: a job with the right arguments, announced; or one line that says why not."""

import json

import pytest

from db import jobs
from tests.dispatch.bot import BOT_ID, PUBLIC, said
from tests.dispatch.conftest import picture

DENY = PUBLIC.replace("access: {default: public}", "access: {default: deny, allow_users: [11], admins: [12]}")


async def test_a_command_becomes_a_job_with_its_arguments(bot, chat, alice) -> None:
    asked = chat.send("/f an astronaut --seed 7 --ar 16:9 --n 2")
    await bot.catch_up()

    job = await bot.job()
    assert (job.command, job.variant, job.state, job.model_set) == ("flux", None, "queued", "flux-schnell")
    assert (job.chat_id, job.user_id, job.message_id, job.thread_id) == (chat.id, alice.id, asked.message_id, None)
    assert job.arguments["prompt"] == "an astronaut"
    assert job.arguments["seed"] == 7
    assert job.arguments["steps"] == 4
    assert job.arguments["n"] == 2
    width, height = job.arguments["size"]
    assert width / height == pytest.approx(16 / 9, rel=0.05)
    assert job.language == "en"
    assert job.command_id == bot.ids["flux"]
    assert bot.placed == 1


async def test_a_variant_has_its_own_models_and_defaults(bot, chat) -> None:
    chat.send("/flux --dev an astronaut")
    await bot.catch_up()

    job = await bot.job()
    assert (job.variant, job.model_set, job.arguments["steps"]) == ("dev", "flux-dev", 20)


async def test_a_job_says_how_much_work_it_is(bot, chat) -> None:
    for words in ("/f an astronaut", "/f an astronaut --n 4 --steps 8", "/flux --dev an astronaut --steps 10"):
        chat.send(words)
    await bot.catch_up()

    sizes = await bot.query("select size_class from jobs order by id")
    assert [size for (size,) in sizes] == ["1x", "8x", "0.5x"]


async def test_a_seed_is_chosen_when_none_is_given(bot, chat) -> None:
    chat.send("/f an astronaut")
    chat.send("/f an astronaut")
    await bot.catch_up()

    first, second = await bot.jobs()
    assert first.arguments["seed"] != second.arguments["seed"]


async def test_a_job_owes_its_chat_one_status_message(bot, chat) -> None:
    chat.send("/f an astronaut")
    await bot.catch_up()

    shown = await chat.wait_for(lambda message: message.from_bot)
    await bot.dispatcher.idle()

    job = await bot.job()
    assert job.status_message_id == shown.message_id
    assert await bot.query("select kind from deliveries where job_id = %s", job.id) == [("status",)]


async def test_the_same_update_twice_is_one_job(bot) -> None:
    update = bot.message(text="/f an astronaut")
    await bot.give(update)
    await bot.give(update)

    assert len(await bot.jobs()) == 1
    assert await bot.query("select dedupe_key from jobs") == [(f"update:{BOT_ID}:{update['update_id']}",)]


async def test_an_update_that_runs_again_in_spite_of_all_does_not_double_its_job(bot) -> None:
    update = bot.message(text="/f an astronaut")
    await bot.give(update)
    await bot.query("update updates set state = 'pending', body = %s", json.dumps(update).encode())
    await bot.say(text="/status")  # the lane takes the older one first

    assert len(await bot.jobs()) == 1


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("/f", "Example: /f an astronaut"),
        ("/f an astronaut --steps 900", "--steps"),
        ("/f an astronaut --stpes 4", "did you mean --steps?"),
        ("/f an astronaut --size huge", "Example:"),
        ("/sd3 --negative people", "Example: /sd3"),
        ("/wan a wave --seconds 90", "Example: /wan"),
        ("/qwen put a hat on him", "/qwen needs a picture"),
        ("/nonsense", "There is no /nonsense here. /help lists what there is."),
        ("/quen a hat", "Did you mean /qwen?"),
        ("just words", "Start with a command, for example: /f"),
    ],
)
async def test_a_mistake_gets_one_line_with_what_to_write(bot, chat, text, answer) -> None:
    chat.send(text)
    await bot.catch_up()

    (line,) = said(chat)
    assert answer in line
    assert "\n" not in line
    assert await bot.jobs() == []


@pytest.mark.parametrize("text", ["/F AN astronaut", "  /f an astronaut", "/f\nan astronaut", "/f\u00a0an astronaut"])
async def test_a_command_may_be_written_in_any_case_and_after_any_space(bot, text) -> None:
    await bot.say(text=text)

    assert (await bot.job()).arguments["prompt"].lower() == "an astronaut"


async def test_plain_braces_and_markup_stay_what_they_are(bot, chat) -> None:
    chat.send("/f {prompt} <b>%s</b> {0} \\n")
    await bot.catch_up()

    assert (await bot.job()).arguments["prompt"] == "{prompt} <b>%s</b> {0} \\n"


async def test_answers_come_in_the_language_of_who_asks(bot) -> None:
    clara = bot.telegram.user("Clara", language="de-DE").private_chat
    clara.send("/cancel")
    await bot.catch_up()

    assert said(clara) == ["Es gibt nichts abzubrechen."]


async def test_a_language_nobody_has_translated_gets_english(bot) -> None:
    chat = bot.telegram.user("Dora", language="tlh").private_chat
    chat.send("/cancel")
    await bot.catch_up()

    assert said(chat) == ["There is nothing to cancel."]


async def test_no_more_unfinished_jobs_than_the_command_allows(bot, chat) -> None:
    chat.send("/wan a wave")
    chat.send("/wan another wave")
    await bot.catch_up()

    (first,) = await bot.jobs()
    assert any("1 unfinished /wan" in line for line in said(chat))

    async with bot.pool.connection() as connection:
        await jobs.cancel(connection, first.id)
    chat.send("/wan a third wave")
    await bot.catch_up()
    assert len(await bot.jobs()) == 2


async def test_who_is_not_allowed_gets_one_polite_line_an_hour(make_bot) -> None:
    bot = await make_bot(DENY)
    chat = bot.telegram.user("Mallory").private_chat
    for text in ("/f an astronaut", "/start", "hello"):
        chat.send(text)
    chat.send_photo(picture(), "/qwen a hat")
    await bot.catch_up()

    (line,) = said(chat)
    assert "private" in line
    assert await bot.jobs() == []

    await bot.query("update chats set refused_at = now() - interval '61 minutes'")
    chat.send("/f an astronaut")
    await bot.catch_up()
    assert len(said(chat)) == 2


async def test_who_is_allowed_or_an_admin_may_use_a_private_bot(make_bot) -> None:
    bot = await make_bot(DENY)
    for user_id in (11, 12, 13):
        person = {"id": user_id, "is_bot": False}
        await bot.say(text="/f an astronaut", **{"from": person, "chat": {"id": user_id, "type": "private"}})

    assert [job.user_id for job in await bot.jobs()] == [11, 12]


HOOKS = """
    @hookimpl
    def before_invoke(invocation):
        prompt = invocation.arguments["prompt"]
        if prompt == "refuse":
            raise Veto("No " + "{braces} " * 40)
        if prompt == "break":
            raise RuntimeError("a secret")
        if prompt == "amend":
            return replace(invocation, arguments={**invocation.arguments, "steps": 9})
"""


@pytest.fixture
async def guarded(make_bot, shelf):
    shelf.install("guard", HOOKS)
    return await make_bot(PUBLIC.replace("sd3:", "guard: {enabled: true}, sd3:"))


async def test_a_plugins_veto_is_told_with_its_reason(guarded) -> None:
    chat = guarded.telegram.user("Alice").private_chat
    chat.send("/f refuse")
    await guarded.catch_up()

    assert said(chat)[0].startswith("No {braces}")
    assert await guarded.jobs() == []


async def test_a_plugin_that_breaks_is_named_and_stops_no_other_command(guarded) -> None:
    chat = guarded.telegram.user("Alice").private_chat
    chat.send("/f break")
    chat.send("/f an astronaut")
    await guarded.catch_up()

    assert "guard" in said(chat)[0]
    assert "secret" not in said(chat)[0]
    assert len(await guarded.jobs()) == 1


async def test_a_plugin_may_amend_the_arguments(guarded) -> None:
    await guarded.say(text="/f amend")

    assert (await guarded.job()).arguments["steps"] == 9
