"""python-telegram-bot, a strict parser, calls every method and finds what the Bot API promises."""

import io
from datetime import timedelta
from pathlib import Path

import pytest
from PIL import Image
from telegram import (
    Bot,
    BotCommand,
    BotCommandScopeAllGroupChats,
    BotCommandScopeChat,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InputFile,
    InputMediaDocument,
    InputMediaPhoto,
    InputMediaVideo,
    LinkPreviewOptions,
    MenuButtonCommands,
    MessageEntity,
    ReplyParameters,
)
from telegram.constants import ChatAction, ParseMode

from runtime.sandbox.telegram import Chat, SandboxTelegram
from tests.sandbox.telegram.samples import film, picture

AGAIN = InlineKeyboardMarkup([[InlineKeyboardButton("Again", callback_data="again:1")]])


async def test_get_me_names_the_bot_of_the_token(bot: Bot) -> None:
    me = await bot.get_me()
    assert (me.id, me.is_bot, me.username) == (123456789, True, "veilrun_sandbox_bot")
    assert me.can_read_all_group_messages is False


async def test_a_message_comes_back_as_it_is_shown(bot: Bot, chat: Chat) -> None:
    asked = chat.send("hello")
    sent = await bot.send_message(
        chat.id,
        "Rendering",
        reply_parameters=ReplyParameters(asked.message_id),
        reply_markup=AGAIN,
        protect_content=True,
        link_preview_options=LinkPreviewOptions(is_disabled=True),
        disable_notification=True,
    )
    assert sent.text == "Rendering"
    assert sent.reply_to_message is not None
    assert sent.reply_to_message.text == "hello"
    assert sent.has_protected_content
    assert sent.reply_markup == AGAIN
    assert sent.from_user is not None
    assert sent.from_user.id == bot.id
    assert chat.messages[-1].buttons == [["Again"]]


async def test_message_numbers_run_through_private_chats_together_and_each_group_alone(
    sandbox: SandboxTelegram, bot: Bot
) -> None:
    alice, bob = sandbox.user("Alice"), sandbox.user("Bob")
    group = sandbox.group("Club", [alice, bob])
    numbers = [(await bot.send_message(room.id, "x")).message_id for room in (alice, bob, group, alice, group)]
    assert numbers == [1, 2, 2, 3, 3]


async def test_explicit_entities_are_kept(bot: Bot, chat: Chat) -> None:
    sent = await bot.send_message(chat.id, "🚀 go", entities=[MessageEntity("bold", 3, 2)])
    assert sent.parse_entities(["bold"]) == {sent.entities[0]: "go"}


async def test_a_photo_has_several_sizes_with_their_true_dimensions(bot: Bot, chat: Chat) -> None:
    sent = await bot.send_photo(chat.id, picture(1600, 1200), caption="<i>sea</i>", parse_mode=ParseMode.HTML)

    assert [(size.width, size.height) for size in sent.photo] == [
        (90, 68),
        (320, 240),
        (800, 600),
        (1280, 960),
        (1600, 1200),
    ]
    assert sent.caption_entities[0].type == "italic"
    for size in sent.photo:
        content = await (await bot.get_file(size.file_id)).download_as_bytearray()
        assert len(content) == size.file_size
        with Image.open(io.BytesIO(bytes(content))) as opened:
            assert (opened.format, opened.size) == ("JPEG", (size.width, size.height))


async def test_a_photo_is_turned_upright_and_bounded_to_2560(bot: Bot, chat: Chat) -> None:
    target = io.BytesIO()
    image = Image.new("RGB", (4000, 1000), "navy")
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(target, "JPEG", exif=exif)
    sent = await bot.send_photo(chat.id, target.getvalue())
    assert (sent.photo[-1].width, sent.photo[-1].height) == (640, 2560)


async def test_a_sent_photo_can_be_sent_again_by_any_of_its_file_ids(bot: Bot, chat: Chat) -> None:
    first = await bot.send_photo(chat.id, picture())
    again = await bot.send_photo(chat.id, first.photo[0].file_id)
    assert again.photo == first.photo


async def test_the_same_bytes_share_a_unique_id(bot: Bot, chat: Chat) -> None:
    first = await bot.send_document(chat.id, b"same", filename="a.txt")
    second = await bot.send_document(chat.id, b"same", filename="b.txt")
    assert first.document is not None
    assert second.document is not None
    assert first.document.file_unique_id == second.document.file_unique_id
    assert first.document.file_id != second.document.file_id


async def test_a_video_is_measured(bot: Bot, chat: Chat) -> None:
    sent = await bot.send_video(
        chat.id, film(160, 90, 2), supports_streaming=True, cover=picture(320, 180), has_spoiler=True, start_timestamp=1
    )
    assert sent.video is not None
    assert (sent.video.width, sent.video.height, sent.video.duration) == (160, 90, 2) or (
        sent.video.duration == timedelta(seconds=2)
    )
    assert sent.video.mime_type == "video/mp4"
    assert sent.video.thumbnail is not None
    assert sent.video.cover[-1].width == 320
    assert sent.has_media_spoiler


async def test_a_document_keeps_its_bytes_name_and_type(bot: Bot, chat: Chat) -> None:
    original = picture(800, 600)
    sent = await bot.send_document(chat.id, original, filename="astronaut.png", caption="The original")
    assert sent.document is not None
    assert (sent.document.file_name, sent.document.mime_type) == ("astronaut.png", "image/png")
    assert sent.document.thumbnail is not None
    assert bytes(await (await sent.document.get_file()).download_as_bytearray()) == original


async def test_a_streamed_upload_arrives_whole(bot: Bot, chat: Chat, tmp_path: Path) -> None:
    path = tmp_path / "big.bin"
    path.write_bytes(b"veil" * 1_000_000)
    with path.open("rb") as handle:
        sent = await bot.send_document(chat.id, InputFile(handle, read_file_handle=False, filename="big.bin"))
    assert sent.document is not None
    assert sent.document.file_size == 4_000_000


async def test_a_gif_document_becomes_an_animation(bot: Bot, chat: Chat) -> None:
    gif = picture(64, 64, form="GIF")
    sent = await bot.send_document(chat.id, gif, filename="wave.gif")
    plain = await bot.send_document(chat.id, gif, filename="wave.gif", disable_content_type_detection=True)
    assert sent.animation is not None
    assert sent.document is not None
    assert plain.animation is None


async def test_an_animation_can_be_sent(bot: Bot, chat: Chat) -> None:
    sent = await bot.send_animation(chat.id, film(), caption="loop")
    assert sent.animation is not None
    assert sent.animation.width == 160


async def test_an_album_shares_one_group_id_and_carries_its_captions(bot: Bot, chat: Chat) -> None:
    sent = await bot.send_media_group(
        chat.id,
        [InputMediaPhoto(picture(colour=colour), caption=colour) for colour in ("red", "green")]
        + [InputMediaVideo(film(), caption="film", has_spoiler=True)],
    )
    assert len({message.media_group_id for message in sent}) == 1
    assert [message.caption for message in sent] == ["red", "green", "film"]
    assert sent[2].has_media_spoiler


async def test_documents_make_an_album_of_their_own(bot: Bot, chat: Chat) -> None:
    sent = await bot.send_media_group(chat.id, [InputMediaDocument(b"one"), InputMediaDocument(b"two")])
    assert all(message.document for message in sent)


async def test_text_can_be_edited_and_loses_its_keyboard_unless_given_again(bot: Bot, chat: Chat) -> None:
    sent = await bot.send_message(chat.id, "queued", reply_markup=AGAIN)
    edited = await bot.edit_message_text("running", chat.id, sent.message_id)
    assert not isinstance(edited, bool)
    assert edited.text == "running"
    assert edited.edit_date is not None
    assert edited.reply_markup is None


async def test_caption_media_and_keyboard_can_be_edited(bot: Bot, chat: Chat) -> None:
    sent = await bot.send_photo(chat.id, picture(), caption="draft")
    captioned = await bot.edit_message_caption(chat.id, sent.message_id, caption="done")
    buttoned = await bot.edit_message_reply_markup(chat.id, sent.message_id, reply_markup=AGAIN)
    changed = await bot.edit_message_media(InputMediaPhoto(picture(300, 300), caption="new"), chat.id, sent.message_id)
    assert not isinstance(captioned, bool)
    assert not isinstance(buttoned, bool)
    assert not isinstance(changed, bool)
    assert captioned.caption == "done"
    assert buttoned.reply_markup == AGAIN
    assert (changed.photo[-1].width, changed.caption) == (300, "new")


async def test_a_text_message_can_become_a_photo(bot: Bot, chat: Chat) -> None:
    sent = await bot.send_message(chat.id, "rendering")
    changed = await bot.edit_message_media(InputMediaPhoto(picture()), chat.id, sent.message_id)
    assert not isinstance(changed, bool)
    assert changed.photo


async def test_messages_can_be_deleted_one_by_one_and_together(bot: Bot, chat: Chat) -> None:
    numbers = [(await bot.send_message(chat.id, str(number))).message_id for number in range(4)]
    assert await bot.delete_message(chat.id, numbers[0])
    assert await bot.delete_messages(chat.id, [*numbers[1:3], 9999])
    assert [message.text for message in chat.messages] == ["3"]


async def test_a_pressed_button_is_answered_once(bot: Bot, chat: Chat) -> None:
    await bot.send_message(chat.id, "done", reply_markup=AGAIN)
    press = chat.press(chat.messages[-1], "Again")
    (update,) = await bot.get_updates()
    query = update.callback_query
    assert query is not None
    assert query.data == "again:1"
    assert query.message is not None
    assert await query.answer("Started", show_alert=True)
    assert (await press.answered())["text"] == "Started"


async def test_commands_are_kept_by_scope_and_language(sandbox: SandboxTelegram, bot: Bot, chat: Chat) -> None:
    await bot.set_my_commands([BotCommand("f", "Picture"), BotCommand("/Help", " Help ")])
    await bot.set_my_commands([BotCommand("f", "Bild")], language_code="de")
    await bot.set_my_commands([BotCommand("g", "Groups")], scope=BotCommandScopeAllGroupChats())
    await bot.set_my_commands([BotCommand("c", "Here")], scope=BotCommandScopeChat(chat.id))

    assert [command.command for command in await bot.get_my_commands()] == ["f", "help"]
    assert (await bot.get_my_commands(language_code="de"))[0].description == "Bild"
    assert (await bot.get_my_commands(scope=BotCommandScopeChat(chat.id)))[0].command == "c"

    await bot.delete_my_commands(scope=BotCommandScopeChat(chat.id))
    assert await bot.get_my_commands(scope=BotCommandScopeChat(chat.id)) == ()


async def test_chat_actions_last_five_seconds_or_until_a_message(bot: Bot, chat: Chat) -> None:
    assert await bot.send_chat_action(chat.id, ChatAction.UPLOAD_PHOTO)
    assert chat.action == "upload_photo"
    await bot.send_message(chat.id, "here")
    assert chat.action is None


async def test_a_reaction_replaces_the_one_before_and_can_be_taken_back(bot: Bot, chat: Chat) -> None:
    asked = chat.send("hello")
    await bot.set_message_reaction(chat.id, asked.message_id, "👍")
    await bot.set_message_reaction(chat.id, asked.message_id, "❤", is_big=True)
    assert asked.reactions[bot.id] == [{"type": "emoji", "emoji": "❤"}]
    await bot.set_message_reaction(chat.id, asked.message_id)
    assert asked.reactions == {}


async def test_messages_are_copied_and_forwarded(sandbox: SandboxTelegram, bot: Bot, chat: Chat) -> None:
    asked = chat.send("hello")
    bob = sandbox.user("Bob")
    copied = await bot.copy_message(bob.id, chat.id, asked.message_id)
    forwarded = await bot.forward_message(bob.id, chat.id, asked.message_id)
    assert copied.message_id == bob.private_chat.messages[0].message_id
    assert forwarded.forward_origin is not None


async def test_chats_and_members_can_be_asked_for(sandbox: SandboxTelegram, bot: Bot) -> None:
    alice, bob = sandbox.user("Alice"), sandbox.user("Bob")
    group = sandbox.group("Club", [alice, bob])
    assert (await bot.get_chat(group.id)).title == "Club"
    assert await bot.get_chat_member_count(group.id) == 3
    assert (await bot.get_chat_member(group.id, bob.id)).status == "member"
    assert (await bot.get_chat_administrators(group.id))[0].user.id == alice.id
    assert await bot.leave_chat(group.id)


async def test_names_descriptions_and_the_menu_button_are_kept(bot: Bot, chat: Chat) -> None:
    await bot.set_my_name("Painter")
    await bot.set_my_description("Paints")
    await bot.set_my_short_description("Short")
    await bot.set_chat_menu_button(menu_button=MenuButtonCommands())
    assert (await bot.get_my_name()).name == "Painter"
    assert (await bot.get_my_description()).description == "Paints"
    assert (await bot.get_my_short_description()).short_description == "Short"
    assert (await bot.get_chat_menu_button(chat.id)).type == "commands"
    assert await bot.log_out()
    assert await bot.close()


async def test_the_webhook_is_described(bot: Bot, chat: Chat) -> None:
    await bot.set_webhook("http://127.0.0.1:9/hook", max_connections=7, allowed_updates=["message", "message_reaction"])
    chat.send("hello")
    info = await bot.get_webhook_info()
    assert (info.url, info.max_connections) == ("http://127.0.0.1:9/hook", 7)
    assert info.pending_update_count == 1
    assert set(info.allowed_updates or ()) == {"message", "message_reaction"}
    assert await bot.delete_webhook(drop_pending_updates=True)
    assert (await bot.get_webhook_info()).pending_update_count == 0


@pytest.mark.parametrize("name", ["GETME", "getme"])
async def test_method_names_ignore_case(bot: Bot, name: str) -> None:
    assert (await bot.do_api_request(name))["is_bot"]
