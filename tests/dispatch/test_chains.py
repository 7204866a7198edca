"""Commands chain: which pictures a command works on, in which order, and what is refused."""

import asyncio

import pytest

from db import artifacts
from tests.dispatch.bot import DEADLINE, photo_of, said
from tests.dispatch.conftest import picture

VIDEO = {"file_id": "film", "file_unique_id": "f", "width": 640, "height": 360, "duration": 3, "mime_type": "video/mp4"}


def photo(file_id: str, size: int = 1000) -> dict[str, object]:
    small = {"file_id": f"{file_id}-small", "file_unique_id": "s", "width": 90, "height": 60, "file_size": 100}
    large = {"file_id": file_id, "file_unique_id": "l", "width": 1280, "height": 853, "file_size": size}
    return {"photo": [small, large]}


def files(found: list[artifacts.Artifact]) -> list[str | None]:
    return [one.telegram_file_id for one in found]


async def test_a_photo_with_the_command_as_its_caption_is_what_is_edited(bot, chat) -> None:
    sent = chat.send_photo(picture(), "/qwen put a hat on him")
    await bot.catch_up()

    job = await bot.job()
    (source,) = await bot.inputs(job)
    assert (job.command, job.arguments["prompt"]) == ("qwen", "put a hat on him")
    assert (source.kind, source.message_id) == ("image", sent.message_id)
    assert source.telegram_file_id


async def test_the_largest_size_of_a_photo_is_taken(bot) -> None:
    await bot.say(caption="/qwen a hat", **photo("big"))

    (source,) = await bot.inputs(await bot.job())
    assert (source.telegram_file_id, source.width, source.height) == ("big", 1280, 853)


async def test_a_reply_to_a_result_edits_our_own_uncompressed_copy(bot, chat) -> None:
    chat.send("/f an astronaut")
    await bot.catch_up()
    first = await bot.finish(await bot.job(), picture("red"))
    result = photo_of(chat)
    chat.send("/f another astronaut")
    await bot.catch_up()
    await bot.finish(await bot.job(), picture("blue"))

    chat.send("/qwen put a t-shirt on him", reply_to=result)
    await bot.catch_up()

    assert [source.id for source in await bot.inputs(await bot.job())] == [first.id]


async def test_without_a_photo_or_reply_the_last_result_is_edited(bot, chat) -> None:
    chat.send("/f an astronaut")
    await bot.catch_up()
    made = await bot.finish(await bot.job(), picture())

    chat.send("/qwen put a t-shirt on him")
    await bot.catch_up()

    assert [source.id for source in await bot.inputs(await bot.job())] == [made.id]


async def test_the_last_result_is_the_users_own_and_of_this_chat(bot, group, chat, bob) -> None:
    group.send("/f an astronaut")
    await bot.catch_up()
    await bot.finish(await bot.job(), picture())

    group.send("/qwen a hat", as_user=bob)
    chat.send("/qwen a hat")
    await bot.catch_up()

    assert len(await bot.jobs()) == 1
    assert any("/qwen needs a picture" in line for line in said(group))
    assert any("/qwen needs a picture" in line for line in said(chat))


async def test_a_reply_to_somebody_elses_photo_edits_that(bot, group, bob) -> None:
    sent = group.send_photo(picture(), as_user=bob)
    group.send("/qwen a hat", reply_to=sent)
    await bot.catch_up()

    (source,) = await bot.inputs(await bot.job())
    assert source.message_id == sent.message_id
    assert source.user_id == bob.id


async def test_the_attached_photo_comes_before_the_one_replied_to(bot) -> None:
    replied = bot.message(**photo("replied"))["message"]
    await bot.say(caption="/qwen put this on him", reply_to_message=replied, **photo("attached"))

    assert files(await bot.inputs(await bot.job())) == ["attached", "replied"]


async def test_a_reply_to_words_means_the_last_result(bot, chat) -> None:
    chat.send("/f an astronaut")
    await bot.catch_up()
    made = await bot.finish(await bot.job(), picture())

    chat.send("/qwen a hat", reply_to=chat.send("nice"))
    await bot.catch_up()

    assert [source.id for source in await bot.inputs(await bot.job())] == [made.id]


async def test_a_picture_sent_as_a_file_is_a_picture(bot) -> None:
    document = {"file_id": "scan", "file_unique_id": "d", "mime_type": "image/png", "file_size": 5000}
    await bot.say(caption="/qwen a hat", document=document)

    (source,) = await bot.inputs(await bot.job())
    assert (source.telegram_file_id, source.media_type) == ("scan", "image/png")


async def test_a_file_that_is_no_picture_is_not_passed_over(bot, chat) -> None:
    document = {"file_id": "pdf", "file_unique_id": "d", "mime_type": "application/pdf", "file_size": 5000}
    await bot.say(caption="/qwen a hat", document=document, chat={"id": chat.id, "type": "private"})

    assert await bot.jobs() == []
    assert "file of another kind" in said(chat)[0]


@pytest.mark.parametrize("where", ["attached", "replied to", "last result"])
async def test_a_video_is_refused_with_one_line(bot, chat, where) -> None:
    place = {"id": chat.id, "type": "private"}
    person = {"id": chat.id, "is_bot": False}
    if where == "attached":
        await bot.say(caption="/qwen a hat", video=VIDEO, chat=place)
    elif where == "replied to":
        replied = bot.message(video=VIDEO, chat=place)["message"]
        await bot.say(text="/qwen a hat", reply_to_message=replied, chat=place)
    else:
        await bot.say(text="/wan a wave", chat=place, **{"from": person})
        job = await bot.job()
        async with bot.pool.connection() as connection:
            made = artifacts.NewArtifact("video", "video/mp4", job_id=job.id)
            await connection.execute(
                "insert into sessions (chat_id, user_id, last_artifact_id) values (%s, %s, %s)",
                (chat.id, chat.id, await artifacts.add(connection, made)),
            )
        await bot.say(text="/qwen a hat", chat=place, **{"from": person})

    assert [job.command for job in await bot.jobs() if job.command == "qwen"] == []
    assert said(chat)[-1].startswith("/qwen works on pictures, and this is a video.")


async def test_a_file_too_large_for_a_bot_is_refused(bot, chat) -> None:
    document = {"file_id": "x", "file_unique_id": "d", "mime_type": "image/png", "file_size": 21 * 2**20}
    await bot.say(caption="/qwen a hat", document=document, chat={"id": chat.id, "type": "private"})

    assert await bot.jobs() == []
    assert "20 MB" in said(chat)[0]


async def test_a_photo_without_words_gets_a_hint_and_can_be_replied_to(bot, chat) -> None:
    sent = chat.send_photo(picture())
    await bot.catch_up()
    assert "/qwen" in said(chat)[0]

    chat.send("/qwen a hat", reply_to=sent)
    await bot.catch_up()

    assert [source.message_id for source in await bot.inputs(await bot.job())] == [sent.message_id]
    assert await bot.query("select count(*) from artifacts") == [(1,)]


async def test_a_text_command_does_not_take_a_picture(bot, chat) -> None:
    chat.send_photo(picture(), "/f an astronaut")
    await bot.catch_up()

    assert await bot.inputs(await bot.job()) == []


async def test_an_album_is_taken_in_its_order(bot, chat) -> None:
    sent = chat.send_album([picture("red"), picture("green"), picture("blue")], "/qwen put them together")
    await bot.catch_up()

    (job,) = await bot.jobs()
    assert [source.message_id for source in await bot.inputs(job)] == [one.message_id for one in sent]


async def test_a_job_waits_for_the_rest_of_its_album(bot, chat) -> None:
    chat.send_album([picture("red"), picture("green")], "/qwen put them together")
    await bot.catch_up()

    bot.placing.clear()
    ((seconds,),) = await bot.query("select extract(epoch from run_at - created_at)::float8 from jobs")
    assert 0.5 < seconds < 3
    assert bot.placed == 1
    async with asyncio.timeout(DEADLINE):
        await bot.placing.wait()  # placed again as soon as it may start


async def test_a_caption_under_a_later_photo_takes_the_earlier_ones_too(bot) -> None:
    for number in (1, 2, 3):
        caption = {"caption": "/qwen put them together"} if number == 2 else {}
        await bot.say(media_group_id="77", **caption, **photo(f"p{number}"))

    (job,) = await bot.jobs()
    assert files(await bot.inputs(job)) == ["p1", "p2", "p3"]


async def test_more_photos_than_the_command_takes_are_left_out(bot, chat) -> None:
    chat.send_album([picture(colour) for colour in ("red", "green", "blue", "black", "white")], "/qwen mix")
    await bot.catch_up()

    (job,) = await bot.jobs()
    assert len(await bot.inputs(job)) == 3


async def test_a_photo_that_comes_after_the_job_has_started_changes_nothing(bot) -> None:
    await bot.say(media_group_id="77", caption="/qwen mix", **photo("p1"))
    await bot.query("update jobs set state = 'placed'")

    await bot.say(media_group_id="77", **photo("p2"))

    assert files(await bot.inputs(await bot.job())) == ["p1"]


async def test_albums_of_two_chats_with_one_number_do_not_mix(bot) -> None:
    await bot.say(media_group_id="77", caption="/qwen mix", **photo("p1"))
    await bot.say(media_group_id="77", chat={"id": 12, "type": "private"}, **photo("p2"))

    assert files(await bot.inputs(await bot.job())) == ["p1"]
