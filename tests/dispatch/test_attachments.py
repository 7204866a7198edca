"""What may come with a message or be replied to: which of it is a picture, and what is said about the rest."""

from typing import Any

import pytest

from tests.dispatch.bot import PUBLIC, Bot, said
from tests.dispatch.conftest import picture
from tests.dispatch.test_chains import files, photo

STICKER = {"file_id": "sticker", "width": 512, "height": 512, "is_animated": False, "is_video": False}
ANIMATION = {"file_id": "gif", "width": 320, "height": 240, "duration": 2, "mime_type": "video/mp4"}
VOICE = {"file_id": "voice", "duration": 3, "mime_type": "audio/ogg"}

PAIR = """
    @hookimpl
    def register_commands():
        graph = {"words": {"class_type": "Words", "inputs": {"text": "", "image": ""}},
                 "save": {"class_type": "Save", "inputs": {}}}
        workflow = Workflow(graph=graph, bind={"prompt": "words.text", "image": "words.image"}, output="save")
        return [Command("pair", "Two pictures", (Prompt(), ImageInput(low=2, high=2)), workflow, GpuAffinity(1)),
                Command("maybe", "A picture or none", (Prompt(), ImageInput(low=0)), workflow, GpuAffinity(1))]
"""


async def answers(bot: Bot) -> list[str]:
    return [
        text
        for (text,) in await bot.query("select payload ->> 'text' from deliveries where kind = 'notice' order by id")
    ]


@pytest.fixture
def words(bot: Bot) -> Any:
    """What the bot owes to say, also in chats that the sandbox does not know."""
    bot._deliver = _nothing  # type: ignore[method-assign]
    bot.dispatcher = bot.another()
    return bot


async def _nothing(*_: object) -> None:
    return None


async def test_a_sticker_replied_to_is_a_picture(bot: Bot) -> None:
    replied = bot.message(sticker=STICKER)["message"]
    await bot.say(text="/qwen a hat", reply_to_message=replied)

    (source,) = await bot.inputs(await bot.job())
    assert (source.telegram_file_id, source.media_type) == ("sticker", "image/webp")


@pytest.mark.parametrize(
    ("shown", "answer"),
    [
        ({"sticker": STICKER | {"is_video": True}}, "this is a video"),
        ({"animation": ANIMATION, "document": {"file_id": "gif", "mime_type": "image/gif"}}, "this is a video"),
        ({"document": {"file_id": "film", "mime_type": "video/mp4"}}, "this is a video"),
        ({"voice": VOICE}, "file of another kind"),
        ({"audio": VOICE}, "file of another kind"),
        ({"video_note": VOICE}, "file of another kind"),
        ({"document": {"file_id": "zip", "mime_type": "application/zip"}}, "file of another kind"),
    ],
)
async def test_a_reply_to_what_is_no_picture_never_falls_back_to_another_one(
    words: Bot, shown: Any, answer: str
) -> None:
    await words.say(text="/f an astronaut")
    await words.finish(await words.job(), picture())

    await words.say(text="/qwen a hat", reply_to_message=words.message(**shown)["message"])

    assert answer in (await answers(words))[-1]
    assert len(await words.jobs()) == 1


async def test_a_file_without_a_type_is_known_by_its_name(bot: Bot) -> None:
    await bot.say(caption="/qwen a hat", document={"file_id": "scan", "file_name": "Scan 1.PNG"})

    (source,) = await bot.inputs(await bot.job())
    assert source.media_type == "image/png"


async def test_a_photo_of_another_chat_may_be_replied_to(bot: Bot) -> None:
    await bot.say(text="/qwen a hat", external_reply={"origin": {"type": "user"}, **photo("elsewhere")})

    assert files(await bot.inputs(await bot.job())) == ["elsewhere"]


async def test_one_picture_too_many_is_not_even_looked_at(bot: Bot) -> None:
    replied = bot.message(voice=VOICE)["message"]
    for number in (1, 2):
        await bot.say(media_group_id="7", **photo(f"p{number}"))
    await bot.say(caption="/qwen mix", media_group_id="7", reply_to_message=replied, **photo("p3"))

    assert files(await bot.inputs(await bot.job())) == ["p1", "p2", "p3"]


async def test_a_picture_that_is_not_needed_is_not_taken_from_the_last_result(make_bot: Any, shelf: Any) -> None:
    shelf.install("pair", PAIR)
    bot = await make_bot(PUBLIC.replace("sd3:", "pair: {enabled: true}, sd3:"))
    await bot.say(text="/f an astronaut")
    await bot.finish(await bot.job(), picture())

    await bot.say(text="/maybe a hat")
    assert await bot.inputs(await bot.job()) == []

    await bot.say(caption="/maybe a hat", **photo("given"))
    assert files(await bot.inputs(await bot.job())) == ["given"]


async def test_a_command_for_two_pictures_waits_for_the_second_of_the_album(make_bot: Any, shelf: Any) -> None:
    shelf.install("pair", PAIR)
    bot = await make_bot(PUBLIC.replace("sd3:", "pair: {enabled: true}, sd3:"))
    chat = bot.telegram.user("Alice").private_chat

    chat.send_photo(picture(), "/pair these")
    await bot.catch_up()
    assert "needs at least 2 pictures" in said(chat)[0]

    sent = chat.send_album([picture("red"), picture("blue")], "/pair these")
    await bot.catch_up()
    assert [one.message_id for one in await bot.inputs(await bot.job())] == [one.message_id for one in sent]


async def test_a_single_picture_command_takes_the_photo_that_carries_it(make_bot: Any, shelf: Any) -> None:
    shelf.install("pair", PAIR)
    bot = await make_bot(PUBLIC.replace("sd3:", "pair: {enabled: true}, sd3:"))
    await bot.say(media_group_id="7", **photo("p1"))
    await bot.say(caption="/maybe a hat", media_group_id="7", **photo("p2"))
    await bot.say(media_group_id="7", **photo("p3"))

    job = await bot.job()
    assert files(await bot.inputs(job)) == ["p2"]
    assert await bot.query("select run_at = created_at from jobs where id = %s", job.id) == [(True,)]


async def test_a_video_in_the_album_is_said_to_be_none_of_it(words: Bot) -> None:
    await words.say(caption="/qwen mix", media_group_id="7", **photo("p1"))
    await words.say(media_group_id="7", video=ANIMATION)

    assert "this is a video" in (await answers(words))[-1]
    assert files(await words.inputs(await words.job())) == ["p1"]


async def test_a_bare_album_gets_one_hint(bot: Bot, chat: Any) -> None:
    chat.send_album([picture("red"), picture("green"), picture("blue")])
    await bot.catch_up()

    (hint,) = said(chat)
    assert "/qwen put a t-shirt on him" in hint
    assert await bot.query("select count(*) from artifacts") == [(3,)]


async def test_files_that_have_their_caption_at_the_end_get_no_hint_before_it(words: Bot) -> None:
    for number in (1, 2):
        document = {"file_id": f"d{number}", "mime_type": "image/png"}
        caption = {"caption": "/qwen mix"} if number == 2 else {}
        await words.say(document=document, media_group_id="7", **caption)

    assert await answers(words) == []
    assert files(await words.inputs(await words.job())) == ["d1", "d2"]


async def test_a_groups_pictures_are_not_remembered_unless_a_command_is_about_them(bot: Bot) -> None:
    group = {"id": -100, "type": "supergroup"}
    await bot.say(chat=group, media_group_id="6", **photo("private"))
    await bot.say(chat=group, **photo("also private"))
    assert await bot.query("select count(*) from artifacts") == [(0,)]

    await bot.say(chat=group, caption="/qwen mix", media_group_id="7", **photo("p1"))
    await bot.say(chat=group, media_group_id="7", **photo("p2"))
    assert files(await bot.inputs(await bot.job())) == ["p1", "p2"]


@pytest.mark.parametrize(
    "nothing_said",
    [
        {"pinned_message": {"message_id": 3}},
        {"message_auto_delete_timer_changed": {"message_auto_delete_time": 60}},
        {"new_chat_title": "Pictures"},
        {"successful_payment": {"currency": "XTR"}},
    ],
)
async def test_a_notice_of_the_app_gets_no_answer(words: Bot, nothing_said: Any) -> None:
    await words.say(**nothing_said)

    assert await answers(words) == []


@pytest.mark.parametrize("shown", [{"sticker": STICKER}, {"voice": VOICE}, {"video": ANIMATION}, {"text": "hello"}])
async def test_what_the_bot_cannot_use_gets_a_hint_and_is_not_kept(words: Bot, shown: Any) -> None:
    await words.say(**shown)

    assert await answers(words) == ["Start with a command, for example: /f an astronaut on a beach --ar 16:9"]
    assert await words.query("select count(*) from artifacts") == [(0,)]
