"""/start, /help, /cancel, /status."""

from db import jobs
from tests.dispatch.bot import PUBLIC, said
from tests.dispatch.conftest import picture


async def test_start_shows_what_to_try(bot, chat) -> None:
    chat.send("/start")
    await bot.catch_up()

    (welcome,) = said(chat)
    for example in ("/f ", "/qwen ", "/wan ", "/sd3 "):
        assert example in welcome


async def test_start_with_a_link_parameter_is_start(bot, chat) -> None:
    chat.send("/start ref-123")
    await bot.catch_up()

    assert "/help lists all commands" in said(chat)[0]


async def test_a_bot_without_commands_says_so(make_bot) -> None:
    bot = await make_bot("version: 1\naccess: {default: public}\nbackends: []\nplugins: {}\n")
    chat = bot.telegram.user("Alice").private_chat
    for text in ("/start", "/help", "hello", "/f an astronaut"):
        chat.send(text)
    chat.send_photo(picture())
    await bot.catch_up()

    assert "No command is enabled" in said(chat)[0]
    assert len(said(chat)) == 5


async def test_help_lists_every_command_with_its_short_name(bot, chat) -> None:
    chat.send("/help")
    await bot.catch_up()

    (words,) = said(chat)
    assert "/f /flux · Text to image with FLUX.1" in words
    for name in ("/qwen", "/wan", "/sd3", "/status", "/cancel"):
        assert name in words


async def test_help_explains_every_option_of_one_command(bot, chat) -> None:
    for text in ("/help flux", "/help /f", "/help F"):
        chat.send(text)
    await bot.catch_up()

    first, *others = said(chat)
    assert set(others) == {first}
    for option in ("--size", "--n", "--steps", "--seed", "--dev", "Example: /f"):
        assert option in first


async def test_help_for_what_is_not_there_names_the_nearest(bot, chat) -> None:
    chat.send("/help fluks")
    chat.send("/help xyzzy{0}")
    await bot.catch_up()

    assert "/flux" in said(chat)[0]
    assert "/xyzzy{0}" in said(chat)[1]


async def test_cancel_stops_my_newest_job(bot, chat) -> None:
    chat.send("/f one")
    chat.send("/f two")
    chat.send("/cancel")
    await bot.catch_up()

    assert [job.state for job in await bot.jobs()] == ["queued", "cancelled"]
    assert "✖️ /flux is cancelled." in said(chat)


async def test_cancel_as_a_reply_stops_that_job(bot, chat) -> None:
    first = chat.send("/f one")
    chat.send("/f two")
    chat.send("/cancel", reply_to=first)
    await bot.catch_up()

    assert [job.state for job in await bot.jobs()] == ["cancelled", "queued"]


async def test_cancel_as_a_reply_to_the_status_message_stops_its_job(bot, chat) -> None:
    chat.send("/f one")
    await bot.catch_up()
    shown = await chat.wait_for(lambda message: message.from_bot)
    await bot.dispatcher.idle()
    chat.send("/f two")
    chat.send("/cancel", reply_to=shown)
    await bot.catch_up()

    assert [job.state for job in await bot.jobs()] == ["cancelled", "queued"]


async def test_cancel_of_a_running_job_is_passed_on_to_its_worker(bot, chat) -> None:
    chat.send("/f one")
    await bot.catch_up()
    await bot.query("update jobs set state = 'running'")
    chat.send("/cancel")
    await bot.catch_up()

    job = await bot.job()
    assert (job.state, job.cancel_requested) == ("running", True)
    assert "✖️ /flux is being stopped." in said(chat)


async def test_cancel_passes_over_a_job_that_is_being_stopped_already(bot, chat) -> None:
    chat.send("/f one")
    chat.send("/f two")
    await bot.catch_up()
    await bot.query("update jobs set state = 'running'")
    chat.send("/cancel")
    chat.send("/cancel")
    await bot.catch_up()

    assert [job.cancel_requested for job in await bot.jobs()] == [True, True]


async def test_nobody_stops_somebody_elses_job(bot, group, bob) -> None:
    asked = group.send("/f one")
    group.send("/cancel", as_user=bob)
    group.send("/cancel", as_user=bob, reply_to=asked)
    await bot.catch_up()

    assert (await bot.job()).state == "queued"
    assert "There is nothing to cancel." in said(group)
    assert "Only who started it can stop it." in said(group)


async def test_nothing_to_cancel_is_said(bot, chat) -> None:
    chat.send("/cancel")
    await bot.catch_up()

    assert said(chat) == ["There is nothing to cancel."]


async def test_status_tells_of_my_jobs_in_this_chat(bot, chat, group) -> None:
    group.send("/f elsewhere")
    await bot.catch_up()
    for text in ("/f one", "/sd3 two", "/f three"):
        chat.send(text)
    await bot.catch_up()
    _, first, second, _ = await bot.jobs()
    await bot.query("update jobs set state = 'placed' where id = %s", first.id)
    half = '{"phase": "running", "fraction": 0.417}'
    await bot.query("update jobs set state = 'running', progress = %s where id = %s", half, second.id)
    chat.send("/status")
    await bot.catch_up()

    lines = next(text for text in said(chat) if "GPU servers" in text).split("\n")
    assert lines[:3] == ["⏳ /flux: starting", "🎨 /sd3: 41 %", "⏳ /flux: number 2 in the queue"]
    assert lines[-1] == "GPU servers: 0 of 0 ready. Jobs: 2 waiting, 2 running."


async def test_status_tells_when_my_jobs_will_be_done_if_that_is_known(bot, chat) -> None:
    chat.send("/f one")
    chat.send("/f two")
    await bot.catch_up()
    await bot.query("update jobs set expected_at = now() + interval '149 seconds' where id = 1")
    chat.send("/status")
    await bot.catch_up()

    lines = next(text for text in said(chat) if "GPU servers" in text).split("\n")
    assert lines[:2] == [
        "⏳ /flux: number 1 in the queue, ⏱ done in 2 to 3 minutes",
        "⏳ /flux: number 2 in the queue",
    ]


async def test_status_without_jobs(bot, chat) -> None:
    chat.send("/status")
    await bot.catch_up()

    assert said(chat)[0].startswith("You have no unfinished jobs here.")


async def test_an_admin_may_stop_any_job(make_bot) -> None:
    bot = await make_bot(PUBLIC.replace("default: public", "default: public, admins: [12]"))
    group = {"id": -100123, "type": "supergroup"}
    await bot.say(text="/f one", chat=group)
    asked = bot.message(chat=group, message_id=(await bot.job()).message_id)["message"]

    await bot.say(text="/cancel", chat=group, reply_to_message=asked, **{"from": {"id": 12, "is_bot": False}})

    async with bot.pool.connection() as connection:
        (job,) = await jobs.newest(connection)
    assert job.state == "cancelled"
