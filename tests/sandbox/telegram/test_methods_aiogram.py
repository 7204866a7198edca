"""aiogram, the second strict client, speaks to the sandbox through other encodings than python-telegram-bot."""

from aiogram import Bot
from aiogram.types import (
    BotCommand,
    BufferedInputFile,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InputMediaPhoto,
    InputMediaVideo,
    LinkPreviewOptions,
    ReactionTypeEmoji,
    ReplyParameters,
)

from runtime.sandbox.telegram import Chat, SandboxTelegram
from tests.sandbox.telegram.samples import film, picture

AGAIN = InlineKeyboardMarkup(inline_keyboard=[[InlineKeyboardButton(text="Again", callback_data="again:1")]])


def photo(width: int = 640, height: int = 480) -> BufferedInputFile:
    return BufferedInputFile(picture(width, height), "photo.png")


async def test_identity_and_webhook(aiogram_bot: Bot) -> None:
    assert (await aiogram_bot.get_me()).id == 123456789
    assert await aiogram_bot.set_webhook("http://127.0.0.1:9/hook", secret_token="abc")
    assert (await aiogram_bot.get_webhook_info()).url == "http://127.0.0.1:9/hook"
    assert await aiogram_bot.delete_webhook()


async def test_messages_edits_and_deletes(aiogram_bot: Bot, chat: Chat) -> None:
    asked = chat.send("/f a fox")
    sent = await aiogram_bot.send_message(
        chat.id,
        "<b>queued</b>",
        parse_mode="HTML",
        reply_markup=AGAIN,
        reply_parameters=ReplyParameters(message_id=asked.message_id),
        link_preview_options=LinkPreviewOptions(is_disabled=True),
    )
    assert sent.entities is not None
    assert sent.entities[0].type == "bold"
    edited = await aiogram_bot.edit_message_text("running", chat_id=chat.id, message_id=sent.message_id)
    assert not isinstance(edited, bool)
    assert edited.text == "running"
    await aiogram_bot.edit_message_reply_markup(chat_id=chat.id, message_id=sent.message_id, reply_markup=AGAIN)
    assert await aiogram_bot.delete_message(chat.id, sent.message_id)
    assert await aiogram_bot.delete_messages(chat.id, [asked.message_id])
    assert chat.messages == []


async def test_media(aiogram_bot: Bot, chat: Chat) -> None:
    shown = await aiogram_bot.send_photo(chat.id, photo(), caption="fox")
    assert shown.photo is not None
    assert shown.photo[-1].width == 640
    clip = await aiogram_bot.send_video(chat.id, BufferedInputFile(film(), "film.mp4"), supports_streaming=True)
    assert clip.video is not None
    assert clip.video.duration == 2
    paper = await aiogram_bot.send_document(chat.id, BufferedInputFile(b"bytes", "a.bin"))
    assert paper.document is not None
    loop = await aiogram_bot.send_animation(chat.id, BufferedInputFile(film(), "loop.mp4"))
    assert loop.animation is not None
    album = await aiogram_bot.send_media_group(
        chat.id, [InputMediaPhoto(media=photo(), caption="one"), InputMediaVideo(media=BufferedInputFile(film(), "f"))]
    )
    assert len({message.media_group_id for message in album}) == 1
    changed = await aiogram_bot.edit_message_media(
        InputMediaPhoto(media=photo(200, 100)), chat_id=chat.id, message_id=shown.message_id
    )
    assert not isinstance(changed, bool)
    assert changed.photo is not None
    assert changed.photo[-1].width == 200
    captioned = await aiogram_bot.edit_message_caption(chat_id=chat.id, message_id=shown.message_id, caption="new")
    assert not isinstance(captioned, bool)
    assert captioned.caption == "new"


async def test_files_are_downloaded(aiogram_bot: Bot, chat: Chat) -> None:
    received = chat.send_document(b"hello", "hello.txt")
    assert received.document is not None
    file = await aiogram_bot.get_file(received.document["file_id"])
    assert file.file_path is not None
    target = await aiogram_bot.download_file(file.file_path)
    assert target is not None
    assert target.read() == b"hello"


async def test_updates_callbacks_commands_actions_and_reactions(aiogram_bot: Bot, chat: Chat) -> None:
    asked = chat.send("/f a fox")
    chat.send_photo(picture(), "/qwen a hat", reply_to=asked)
    await aiogram_bot.send_message(chat.id, "done", reply_markup=AGAIN)
    chat.press(chat.messages[-1], "Again")
    updates = await aiogram_bot.get_updates(timeout=1)
    assert updates[0].message is not None
    assert updates[0].message.entities is not None
    assert updates[1].message is not None
    assert updates[1].message.photo is not None
    assert updates[1].message.reply_to_message is not None
    assert updates[2].callback_query is not None
    assert await aiogram_bot.answer_callback_query(updates[2].callback_query.id, "yes")

    assert await aiogram_bot.set_my_commands([BotCommand(command="f", description="Picture")])
    assert (await aiogram_bot.get_my_commands())[0].command == "f"
    assert await aiogram_bot.delete_my_commands()
    assert await aiogram_bot.send_chat_action(chat.id, "typing")
    assert await aiogram_bot.set_message_reaction(chat.id, asked.message_id, [ReactionTypeEmoji(emoji="🔥")])


async def test_chats(aiogram_bot: Bot, sandbox: SandboxTelegram) -> None:
    alice = sandbox.user("Alice")
    group = sandbox.group("Club", [alice], forum=True)
    assert (await aiogram_bot.get_chat(group.id)).is_forum
    assert (await aiogram_bot.get_chat_member(group.id, alice.id)).status == "member"
