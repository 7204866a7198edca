"""`--in 2h30m`: a job for later, from the words to its start."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db import jobs
from plugins.flux import flux
from runtime.api import Command, DeclarationError, GpuAffinity, Prompt, Text, Workflow
from runtime.chat.spoken import spoken
from runtime.chat.status_line import status_envelope
from runtime.dispatch.arguments import BadArguments, parse_arguments
from runtime.dispatch.later import LONGEST_SECONDS, read_delay
from tests.dispatch.bot import said


@pytest.mark.parametrize(
    ("text", "seconds", "prompt"),
    [
        ("a cat --in 2h30m", 9000, "a cat"),
        ("--in 45min a cat", 2700, "a cat"),
        ("a cat —in 1d", 86_400, "a cat"),
        ("a cat --in=90s", 90, "a cat"),
        ("a cat --in 2h 30m on a mat", 9000, "a cat on a mat"),
        ('a cat --in "1 d 12 h" on a mat', 129_600, "a cat on a mat"),
        ("a cat --in 1H30M", 5400, "a cat"),
        ("a cat --in 2h 3 dogs", 7200, "a cat 3 dogs"),
        ("a cat --in 7d", LONGEST_SECONDS, "a cat"),
        ("a cat in 2h", 0, "a cat in 2h"),
    ],
)
def test_how_it_is_written(text: str, seconds: float, prompt: str) -> None:
    arguments = parse_arguments(flux, text)

    assert (arguments.delay_seconds, arguments.values["prompt"]) == (seconds, prompt)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a cat --in", "--in takes how long to wait, as in --in 2h30m"),
        ("a cat --in 90", "--in takes how long to wait"),
        ("a cat --in 0m", "--in takes how long to wait"),
        ("a cat --in 2hours", "--in takes how long to wait"),
        ("a cat --in winter", "--in takes how long to wait"),
        ("a cat --in -5m", "--in takes how long to wait"),
        ("a cat --in 8d", "--in takes at most 7 days."),
        ("a cat --in 999999d", "--in takes at most 7 days."),
        ("a cat --in 1h --in 2h", "--in is there twice."),
        ("a cat --at 18:30", "/flux has no --at"),
    ],
)
def test_what_is_not_understood_is_said(text: str, reason: str) -> None:
    with pytest.raises(BadArguments, match=f"^{re.escape(reason)}"):
        parse_arguments(flux, text)


@given(st.integers(1, int(LONGEST_SECONDS)))
def test_every_delay_can_be_written_in_parts(seconds: int) -> None:
    hours, minutes = divmod(seconds // 60, 60)

    assert read_delay(f"{hours}h{minutes}m{seconds % 60}s") == (seconds, "")


def test_an_author_learns_that_the_name_is_taken() -> None:
    workflow = Workflow(graph={"save": {"class_type": "Save", "inputs": {}}}, bind={}, output="save")

    with pytest.raises(DeclarationError, match="every command has --in already"):
        Command("frame", "x", (Prompt(), Text("in", "what it stands in")), workflow, GpuAffinity(1))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "1 min"),
        (420, "7 min"),
        (3599.8, "1 h"),
        (8999, "2 h 30 min"),
        (86_400, "1 d"),
        (90_000, "1 d 1 h"),
        (LONGEST_SECONDS, "7 d"),
    ],
)
def test_how_long_it_still_is_in_words(seconds: float, words: str) -> None:
    assert spoken(seconds, "en") == words


async def test_a_job_for_later_waits_for_its_time_and_its_chat_knows(bot, chat) -> None:
    chat.send("/f an astronaut --in 2h30m")
    await bot.catch_up()

    job = await bot.job()
    assert job.due_seconds == pytest.approx(9000, abs=30)
    assert "prompt" in job.arguments
    assert "in" not in job.arguments
    shown = await chat.wait_for(lambda message: message.from_bot)
    await bot.dispatcher.idle()
    assert shown.body.text == "🕒 Starts in 2 h 30 min"
    assert await bot.query("select is_due from jobs") == [(False,)]

    chat.send("/status")
    await bot.catch_up()
    lines = said(chat)[-1].split("\n")
    assert lines[0] == "🕒 /flux: starts in 2 h 30 min"
    assert lines[-1] == "GPU servers: 0 of 0 ready. Jobs: 0 waiting, 0 running."


async def test_it_is_placed_when_its_time_comes_without_anybody_asking(bot, chat) -> None:
    chat.send("/f an astronaut --in 1s")
    await bot.catch_up()
    assert bot.placed == 1
    bot.placing.clear()

    await bot.placing.wait()

    assert (await bot.job()).due_seconds <= 0


async def test_it_can_be_cancelled_before(bot, chat) -> None:
    chat.send("/f an astronaut --in 1d")
    chat.send("/cancel")
    await bot.catch_up()

    assert (await bot.job()).state == "cancelled"


async def test_again_starts_at_once(bot, chat) -> None:
    chat.send("/f an astronaut --in 1d")
    await bot.catch_up()
    first = await bot.job()
    shown = await chat.wait_for(lambda message: message.from_bot)

    chat.press_data(shown, f"again:{first.id}")
    await bot.catch_up()

    assert (await bot.job()).due_seconds <= 0


async def test_the_status_counts_down_then_tells_the_place_in_the_queue(bot, chat) -> None:
    chat.send("/f an astronaut --in 1d")
    await bot.catch_up()
    job = await bot.job()
    lines = []
    for left in ("90 minutes", "7 minutes", "-1 second"):
        await bot.query(f"update jobs set run_at = now() + interval '{left}', is_due = %s", left == "-1 second")
        async with bot.pool.connection() as connection:
            envelope = status_envelope(await bot.job(), await jobs.position(connection, job.id))
        assert envelope is not None
        assert envelope.buttons
        lines.append(envelope.text)

    assert lines == ["🕒 Starts in 1 h 30 min", "🕒 Starts in 7 min", "⏳ In the queue: you are next"]


async def test_help_tells_of_it(bot, chat) -> None:
    chat.send("/help flux")
    await bot.catch_up()

    assert "--in 2h30m · starts it later, after 7 days at most" in said(chat)[0]
