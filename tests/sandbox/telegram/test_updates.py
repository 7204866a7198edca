"""What people do reaches the bot as updates: kinds, privacy mode, polling, expiry."""

import asyncio

import pytest
from telegram import Bot
from telegram.error import Conflict

from runtime.sandbox.telegram import Chat, ManualClock, SandboxTelegram
from tests.sandbox.telegram.conftest import TOKEN
from tests.sandbox.telegram.samples import film, picture


async def test_what_people_send_arrives_in_its_kind(bot: Bot, chat: Chat) -> None:
    asked = chat.send("/f a fox")
    chat.send_photo(picture(1000, 500), "/qwen add a hat", reply_to=asked)
    chat.send_video(film(), "look")
    chat.send_document(b"{}", "graph.json")
    text, photo, video, document = [update.message for update in await bot.get_updates()]
    assert text is not None
    assert text.entities[0].type == "bot_command"
    assert photo is not None
    assert photo.reply_to_message is not None
    assert photo.reply_to_message.message_id == asked.message_id
    assert [(size.width, size.height) for size in photo.photo][-1] == (1000, 500)
    assert photo.caption_entities[0].length == 5
    assert video is not None
    assert video.video is not None
    assert document is not None
    assert document.document is not None
    assert document.document.file_name == "graph.json"


async def test_an_album_arrives_as_one_update_each_with_a_common_group(bot: Bot, chat: Chat) -> None:
    chat.send_album([picture(), picture(), picture()], "/qwen join these")
    messages = [update.message for update in await bot.get_updates()]
    assert len({message.media_group_id for message in messages if message}) == 1
    assert [message.caption for message in messages if message] == ["/qwen join these", None, None]


async def test_edits_arrive_as_edited_messages(bot: Bot, chat: Chat) -> None:
    message = chat.send("/f a fxo")
    chat.edit(message, "/f a fox")
    first, second = await bot.get_updates()
    assert first.message is not None
    assert first.message.text == "/f a fxo"
    assert second.edited_message is not None
    assert second.edited_message.text == "/f a fox"


async def test_reactions_arrive_only_when_asked_for(bot: Bot, chat: Chat) -> None:
    message = chat.send("hello")
    chat.react(message, "👍")
    (only,) = await bot.get_updates(allowed_updates=["message", "message_reaction"])
    chat.react(message, "🔥")
    (update,) = await bot.get_updates(offset=only.update_id + 1)
    assert update.message_reaction is not None
    assert update.message_reaction.new_reaction[0].emoji == "🔥"  # type: ignore[union-attr]


async def test_in_groups_a_bot_hears_commands_replies_and_mentions(sandbox: SandboxTelegram, bot: Bot) -> None:
    alice, bob = sandbox.user("Alice"), sandbox.user("Bob")
    group = sandbox.group("Club", [alice, bob])
    sent = await bot.send_message(group.id, "done")
    done = next(message for message in group.messages if message.message_id == sent.message_id)

    group.send("just chatting")
    group.send("/f a fox", as_user=bob)
    group.send("/f@veilrun_sandbox_bot a fox")
    group.send("/f@other_bot a fox")
    group.send("nice", reply_to=done)
    group.send("hey @veilrun_sandbox_bot")
    group.send_photo(picture(), "/qwen a hat")

    heard = [update.message for update in await bot.get_updates()]
    assert [message.text or message.caption for message in heard if message] == [
        "/f a fox",
        "/f@veilrun_sandbox_bot a fox",
        "nice",
        "hey @veilrun_sandbox_bot",
        "/qwen a hat",
    ]
    assert heard[0] is not None
    assert heard[0].from_user is not None
    assert heard[0].from_user.first_name == "Bob"


async def test_without_privacy_mode_a_bot_hears_everything() -> None:
    async with SandboxTelegram(TOKEN, reads_all_group_messages=True) as sandbox:
        sandbox.group("Club", [sandbox.user("Alice")]).send("just chatting")
        assert sandbox.pending_updates == 1


async def test_topics_carry_their_thread(sandbox: SandboxTelegram, bot: Bot) -> None:
    forum = sandbox.group("Forum", [sandbox.user("Alice")], forum=True)
    topic = forum.topic("Posters")
    topic.send("/f a poster")
    (update,) = await bot.get_updates()
    assert update.message is not None
    assert update.message.is_topic_message
    thread = update.message.message_thread_id
    sent = await bot.send_message(forum.id, "done", message_thread_id=thread)
    assert sent.message_thread_id == thread
    assert [message.text for message in topic.messages if message.text] == ["/f a poster", "done"]


async def test_polling_waits_for_the_next_update_and_confirms_by_offset(bot: Bot, chat: Chat) -> None:
    poll = asyncio.create_task(bot.get_updates(timeout=10))
    chat.send("hello")
    (update,) = await poll
    assert await bot.get_updates(offset=update.update_id + 1) == ()
    chat.send("one")
    chat.send("two")
    assert len(await bot.get_updates(limit=1)) == 1
    (last,) = await bot.get_updates(offset=-1)
    assert last.message is not None
    assert last.message.text == "two"


async def test_a_second_poll_or_a_webhook_ends_the_first(sandbox: SandboxTelegram, bot: Bot) -> None:
    first = asyncio.create_task(bot.get_updates(timeout=20))
    await sandbox.until(lambda: sandbox.polls == 1)
    async with Bot(TOKEN, base_url=f"{sandbox.base_url}/bot") as other:
        second = asyncio.create_task(other.get_updates(timeout=20))
        with pytest.raises(Conflict, match="terminated by other getUpdates request"):
            await first
        await bot.set_webhook("http://127.0.0.1:9/")
        with pytest.raises(Conflict, match="terminated by setWebhook request"):
            await second


async def test_updates_expire_after_a_day_callbacks_after_150_seconds(clock: ManualClock) -> None:
    async with SandboxTelegram(TOKEN, clock=clock) as sandbox, Bot(TOKEN, base_url=f"{sandbox.base_url}/bot") as bot:
        from telegram import InlineKeyboardButton, InlineKeyboardMarkup

        chat = sandbox.user("Alice").private_chat
        keyboard = InlineKeyboardMarkup([[InlineKeyboardButton("Go", callback_data="go")]])
        await bot.send_message(chat.id, "x", reply_markup=keyboard)
        chat.send("hello")
        chat.press(chat.messages[0], "Go")
        assert sandbox.pending_updates == 2
        clock.advance(151)
        assert sandbox.pending_updates == 1
        clock.advance(24 * 3600)
        assert sandbox.pending_updates == 0


async def test_waiting_ends_with_what_the_chat_shows(chat: Chat) -> None:
    chat.send("hello")
    with pytest.raises(TimeoutError, match="Alice: hello"):
        await chat.wait_for(lambda message: message.from_bot, timeout=0.05)


async def test_a_message_can_be_waited_for_through_its_edits(bot: Bot, chat: Chat) -> None:
    waiting = asyncio.create_task(chat.wait_for(lambda message: message.text == "done"))
    sent = await bot.send_message(chat.id, "queued")
    await bot.edit_message_text("done", chat.id, sent.message_id)
    assert (await waiting).is_edited


async def test_pressing_a_button_that_is_not_there_names_those_that_are(bot: Bot, chat: Chat) -> None:
    message = chat.send("hello")
    with pytest.raises(LookupError, match="no callback button 'Again'"):
        chat.press(message, "Again")


def test_the_same_name_is_the_same_person_in_every_run() -> None:
    first, second = SandboxTelegram(TOKEN).user("Alice"), SandboxTelegram(TOKEN).user("alice")
    assert first.id == second.id
    assert 10**8 <= first.id < 10**9
