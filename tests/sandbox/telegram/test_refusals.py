"""What the Bot API refuses, in its own words: status, error_code and description are all part of the protocol."""

import json
from typing import Any

import aiohttp
import pytest
from telegram import Bot, InputMediaPhoto
from telegram.error import BadRequest, ChatMigrated, Conflict, Forbidden, InvalidToken, RetryAfter

from runtime.sandbox.telegram import Chat, Fault, ManualClock, SandboxTelegram
from tests.sandbox.telegram.conftest import TOKEN
from tests.sandbox.telegram.samples import picture

KEYBOARD = {"inline_keyboard": [[{"text": "Again", "callback_data": "x"}]]}


async def call(sandbox: SandboxTelegram, method: str, token: str = TOKEN, **fields: Any) -> tuple[int, dict[str, Any]]:
    """One JSON call; returns status and body."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{sandbox.base_url}/bot{token}/{method}", json=fields) as response,
    ):
        return response.status, await response.json()


async def refusal(sandbox: SandboxTelegram, method: str, **fields: Any) -> str:
    """The description of a refused call; status and error_code must agree."""
    status, body = await call(sandbox, method, **fields)
    assert not body["ok"]
    assert status == body["error_code"] == 400
    description: str = body["description"]
    assert description.startswith("Bad Request: ")
    return description.removeprefix("Bad Request: ")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "message text is empty"),
        ({"text": ""}, "message text is empty"),
        ({"text": "   "}, "text must be non-empty"),
        ({"text": "x"}, "chat_id is empty"),
        ({"text": "x", "chat_id": 42}, "chat not found"),
        ({"text": "x", "chat_id": "nobody"}, "chat not found"),
        ({"text": "x" * 4097, "chat_id": 1}, "message is too long"),
        ({"text": "🚀" * 2049, "chat_id": 1}, "message is too long"),
        ({"text": "x", "chat_id": 1, "parse_mode": "RTF"}, "unsupported parse_mode"),
        (
            {"text": "<b>x", "chat_id": 1, "parse_mode": "HTML"},
            "can't parse entities: Can't find end tag corresponding to start tag \"b\"",
        ),
        (
            {"text": "a.", "chat_id": 1, "parse_mode": "MarkdownV2"},
            "can't parse entities: Character '.' is reserved and must be escaped with the preceding '\\'",
        ),
        ({"text": "x", "chat_id": 1, "reply_markup": "{"}, "can't parse reply keyboard markup JSON object"),
        ({"text": "x", "chat_id": 1, "reply_markup": []}, "object expected as reply markup"),
        (
            {"text": "x", "chat_id": 1, "reply_markup": {"inline_keyboard": [[{"text": "a"}]]}},
            "can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard",
        ),
        (
            {"text": "x", "chat_id": 1, "reply_markup": {"inline_keyboard": [[{"text": "a", "url": "nope"}]]}},
            "inline keyboard button URL 'nope' is invalid: Wrong HTTP URL",
        ),
    ],
)
async def test_send_message_refuses(sandbox: SandboxTelegram, fields: dict[str, Any], reason: str) -> None:
    assert await refusal(sandbox, "sendMessage", **fields) == reason


async def test_callback_data_has_at_most_64_bytes(sandbox: SandboxTelegram, chat: Chat) -> None:
    def keyboard(data: str) -> dict[str, Any]:
        return {"inline_keyboard": [[{"text": "a", "callback_data": data}]]}

    status, _ = await call(sandbox, "sendMessage", chat_id=chat.id, text="x", reply_markup=keyboard("é" * 32))
    assert status == 200
    reason = await refusal(sandbox, "sendMessage", chat_id=chat.id, text="x", reply_markup=keyboard("é" * 32 + "x"))
    assert reason == "BUTTON_DATA_INVALID"


async def test_text_is_counted_after_entity_parsing(sandbox: SandboxTelegram, chat: Chat) -> None:
    status, _ = await call(sandbox, "sendMessage", chat_id=chat.id, text=f"<b>{'x' * 4096}</b>", parse_mode="HTML")
    assert status == 200


async def test_edits_refuse_what_changes_nothing_or_is_not_there(sandbox: SandboxTelegram, chat: Chat) -> None:
    _, body = await call(sandbox, "sendMessage", chat_id=chat.id, text="same", reply_markup=KEYBOARD)
    mine = {"chat_id": chat.id, "message_id": body["result"]["message_id"]}
    theirs = {"chat_id": chat.id, "message_id": chat.send("hi").message_id}
    same = "message is not modified: specified new message content and reply markup are exactly the same as a current content and reply markup of the message"  # noqa: E501

    assert await refusal(sandbox, "editMessageText", **mine, text="same", reply_markup=KEYBOARD) == same
    assert await refusal(sandbox, "editMessageReplyMarkup", **mine, reply_markup=KEYBOARD) == same
    assert (await call(sandbox, "editMessageText", **mine, text="same"))[0] == 200
    assert await refusal(sandbox, "editMessageText", **mine, text="x" * 4097) == "MESSAGE_TOO_LONG"
    assert await refusal(sandbox, "editMessageText", **theirs, text="x") == "message can't be edited"
    assert await refusal(sandbox, "editMessageCaption", **mine, caption="x") == (
        "there is no caption in the message to edit"
    )
    assert await refusal(sandbox, "editMessageText", chat_id=chat.id, message_id=999, text="x") == (
        "message to edit not found"
    )
    assert await refusal(sandbox, "editMessageText", chat_id=chat.id, text="x") == (
        "message identifier is not specified"
    )


async def test_a_photo_has_no_text_to_edit(sandbox: SandboxTelegram, bot: Bot, chat: Chat) -> None:
    sent = await bot.send_photo(chat.id, picture(), caption="same")
    mine = {"chat_id": chat.id, "message_id": sent.message_id}
    assert await refusal(sandbox, "editMessageText", **mine, text="x") == "there is no text in the message to edit"
    media = {"type": "photo", "media": sent.photo[-1].file_id, "caption": "same"}
    assert (await refusal(sandbox, "editMessageMedia", **mine, media=media)).startswith("message is not modified")


async def test_deletes_refuse(sandbox: SandboxTelegram, chat: Chat) -> None:
    group = sandbox.group("Club", [sandbox.user("Alice")])
    theirs = group.send("mine")
    assert await refusal(sandbox, "deleteMessage", chat_id=chat.id, message_id=77) == "message to delete not found"
    assert await refusal(sandbox, "deleteMessage", chat_id=group.id, message_id=theirs.message_id) == (
        "message can't be deleted"
    )
    assert await refusal(sandbox, "deleteMessages", chat_id=chat.id) == "message identifiers are not specified"
    assert await refusal(sandbox, "deleteMessages", chat_id=chat.id, message_ids=list(range(1, 102))) == (
        "too many message identifiers specified"
    )


async def test_own_messages_cannot_be_deleted_after_48_hours(clock: ManualClock) -> None:
    async with SandboxTelegram(TOKEN, clock=clock) as sandbox:
        chat = sandbox.user("Alice").private_chat
        _, body = await call(sandbox, "sendMessage", chat_id=chat.id, text="old")
        clock.advance(48 * 3600 + 1)
        message_id = body["result"]["message_id"]
        assert await refusal(sandbox, "deleteMessage", chat_id=chat.id, message_id=message_id) == (
            "message can't be deleted"
        )


async def test_replies_need_their_message_unless_allowed_to_go_without(sandbox: SandboxTelegram, chat: Chat) -> None:
    missing = {"chat_id": chat.id, "text": "x", "reply_parameters": {"message_id": 77}}
    assert await refusal(sandbox, "sendMessage", **missing) == "message to be replied not found"
    missing["reply_parameters"]["allow_sending_without_reply"] = True
    status, body = await call(sandbox, "sendMessage", **missing)
    assert status == 200
    assert "reply_to_message" not in body["result"]


async def test_unknown_topics_are_refused_and_plain_groups_ignore_them(sandbox: SandboxTelegram) -> None:
    alice = sandbox.user("Alice")
    forum, plain = sandbox.group("Forum", [alice], forum=True), sandbox.group("Plain", [alice])
    assert await refusal(sandbox, "sendMessage", chat_id=forum.id, text="x", message_thread_id=99) == (
        "message thread not found"
    )
    assert (await call(sandbox, "sendMessage", chat_id=plain.id, text="x", message_thread_id=99))[0] == 200


async def test_photos_are_refused_by_size_shape_and_content(sandbox: SandboxTelegram, bot: Bot, chat: Chat) -> None:
    for content, reason in [
        (b"no picture", "Image_process_failed"),
        (picture(2100, 100), "Photo_invalid_dimensions"),
        (picture(9000, 1001), "Photo_invalid_dimensions"),
        (b"\x89PNG" + bytes(10 * 1024 * 1024), "too big for a photo"),
    ]:
        with pytest.raises(BadRequest, match=reason):
            await bot.send_photo(chat.id, content)
    assert await refusal(sandbox, "sendPhoto", chat_id=chat.id) == "there is no photo in the request"
    assert await refusal(sandbox, "sendPhoto", chat_id=chat.id, photo="AgACnothing") == (
        "wrong file identifier/HTTP URL specified"
    )


async def test_a_file_id_only_works_for_its_own_kind(sandbox: SandboxTelegram, bot: Bot, chat: Chat) -> None:
    sent = await bot.send_document(chat.id, b"text", filename="a.txt")
    assert sent.document is not None
    assert await refusal(sandbox, "sendPhoto", chat_id=chat.id, photo=sent.document.file_id) == (
        "can't use file of type Document as Photo"
    )


async def test_captions_have_at_most_1024_units(bot: Bot, chat: Chat) -> None:
    with pytest.raises(BadRequest, match="Message caption is too long"):
        await bot.send_photo(chat.id, picture(), caption="x" * 1025)


async def test_albums_are_refused_by_count_kind_and_missing_parts(sandbox: SandboxTelegram, chat: Chat) -> None:
    photo = {"type": "photo", "media": "attach://nowhere"}
    cases = [
        ([photo] * 11, "too many messages to send as an album"),
        ([photo], "group send failed: an album must have at least 2 items"),
        ([photo] * 2, "can't parse InputMedia: media not found"),
        (
            [{"type": "animation", "media": "x"}] * 2,
            "can't parse InputMedia: type \"animation\" can't be used in sendMediaGroup",
        ),
        (
            [photo, {"type": "document", "media": "x"}],
            "can't use the media of the specified type in the album",
        ),
        ("{", "can't parse media JSON object"),
    ]
    for media, reason in cases:
        assert await refusal(sandbox, "sendMediaGroup", chat_id=chat.id, media=media) == reason


async def test_an_upload_above_50_mb_is_413(sandbox: SandboxTelegram, chat: Chat) -> None:
    form = aiohttp.FormData({"chat_id": str(chat.id)})
    form.add_field("document", bytes(50 * 1024 * 1024 + 1), filename="big.bin")
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{sandbox.base_url}/bot{TOKEN}/sendDocument", data=form) as response,
    ):
        assert response.status == 413
        assert (await response.json())["description"] == "Request Entity Too Large"


async def test_get_file_stops_at_20_mb(bot: Bot, chat: Chat) -> None:
    small = chat.send_document(bytes(20 * 1024 * 1024), "a.bin")
    large = chat.send_document(bytes(20 * 1024 * 1024 + 1), "b.bin")
    assert small.document is not None
    assert large.document is not None
    assert (await bot.get_file(small.document["file_id"])).file_path
    with pytest.raises(BadRequest, match="File is too big"):
        await bot.get_file(large.document["file_id"])
    with pytest.raises(BadRequest, match="Wrong file_id or the file is temporarily unavailable"):
        await bot.get_file("nonsense")


async def test_a_callback_is_answered_once_in_time_and_briefly(clock: ManualClock) -> None:
    async with SandboxTelegram(TOKEN, clock=clock, callback_answer_seconds=15) as sandbox:
        chat = sandbox.user("Alice").private_chat
        await call(sandbox, "sendMessage", chat_id=chat.id, text="x", reply_markup=KEYBOARD)
        late = "query is too old and response timeout expired or query ID is invalid"

        first = chat.press(chat.messages[0], "Again")
        assert await refusal(sandbox, "answerCallbackQuery", callback_query_id="1") == late
        assert await refusal(sandbox, "answerCallbackQuery", callback_query_id=first.id, text="x" * 201) == (
            "MESSAGE_TOO_LONG"
        )
        assert (await call(sandbox, "answerCallbackQuery", callback_query_id=first.id))[0] == 200
        assert await refusal(sandbox, "answerCallbackQuery", callback_query_id=first.id) == late

        second = chat.press(chat.messages[0], "Again")
        clock.advance(15.1)
        assert await refusal(sandbox, "answerCallbackQuery", callback_query_id=second.id) == late


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ({"command": "f-1", "description": "x"}, "BOT_COMMAND_INVALID"),
        ({"command": "x" * 33, "description": "x"}, "BOT_COMMAND_INVALID"),
        ({"command": "f", "description": ""}, "BOT_COMMAND_DESCRIPTION_INVALID"),
        ({"command": "f", "description": "x" * 257}, "BOT_COMMAND_DESCRIPTION_INVALID"),
        ({"command": "f"}, "can't parse BotCommand: Can't find field \"description\""),
    ],
)
async def test_commands_are_checked(sandbox: SandboxTelegram, command: dict[str, str], reason: str) -> None:
    assert await refusal(sandbox, "setMyCommands", commands=[command]) == reason


async def test_at_most_100_commands(sandbox: SandboxTelegram) -> None:
    commands = [{"command": f"c{number}", "description": "x"} for number in range(101)]
    assert await refusal(sandbox, "setMyCommands", commands=commands) == "BOT_COMMANDS_TOO_MUCH"
    assert await refusal(sandbox, "setMyCommands", scope={"type": "galaxy"}) == (
        "can't parse BotCommandScope: Unsupported type specified"
    )


async def test_reactions_and_actions_are_checked(sandbox: SandboxTelegram, chat: Chat) -> None:
    mine = {"chat_id": chat.id, "message_id": chat.send("x").message_id}
    fire, thumb = {"type": "emoji", "emoji": "🔥"}, {"type": "emoji", "emoji": "👍"}
    assert await refusal(sandbox, "setMessageReaction", **mine, reaction=[fire, thumb]) == "REACTIONS_TOO_MANY"
    assert await refusal(sandbox, "setMessageReaction", **mine, reaction=[{"type": "emoji", "emoji": "🚗"}]) == (
        "REACTION_INVALID"
    )
    assert await refusal(sandbox, "sendChatAction", chat_id=chat.id, action="dance") == (
        "wrong parameter action in request"
    )


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"url": "ftp://example.org"}, "invalid webhook URL specified"),
        ({"url": "http://127.0.0.1/", "secret_token": "x" * 257}, "secret token is too long"),
        ({"url": "http://127.0.0.1/", "secret_token": "a b"}, "secret token contains unallowed characters"),
    ],
)
async def test_webhooks_are_checked(sandbox: SandboxTelegram, fields: dict[str, str], reason: str) -> None:
    assert await refusal(sandbox, "setWebhook", **fields) == reason


async def test_webhook_calls_say_what_they_did(sandbox: SandboxTelegram) -> None:
    hook = {"url": "http://127.0.0.1:9/"}
    said = [
        (await call(sandbox, method, **fields))[1]["description"]
        for method, fields in [
            ("setWebhook", hook),
            ("setWebhook", hook),
            ("deleteWebhook", {}),
            ("deleteWebhook", {}),
        ]
    ]
    assert said == [
        "Webhook was set",
        "Webhook is already set",
        "Webhook was deleted",
        "Webhook is already deleted",
    ]


async def test_polling_beside_a_webhook_is_a_conflict(bot: Bot) -> None:
    await bot.set_webhook("http://127.0.0.1:9/")
    with pytest.raises(Conflict, match="can't use getUpdates method while webhook is active"):
        await bot.get_updates()


async def test_wrong_tokens_and_methods(sandbox: SandboxTelegram) -> None:
    assert await call(sandbox, "getMe", token=TOKEN[:-1] + "x") == (
        401,
        {"ok": False, "error_code": 401, "description": "Unauthorized"},
    )
    assert (await call(sandbox, "getMe", token="nonsense"))[1]["description"] == "Not Found"
    assert await call(sandbox, "makeCoffee") == (
        404,
        {"ok": False, "error_code": 404, "description": "Not Found: method not found"},
    )
    with pytest.raises(InvalidToken):
        await Bot("1:wrongwrongwrong", base_url=f"{sandbox.base_url}/bot").get_me()


async def test_a_sandbox_without_a_token_lets_any_well_formed_one_in() -> None:
    async with SandboxTelegram() as sandbox:
        status, body = await call(sandbox, "getMe", token="42:abcdefgh")
        assert (status, body["result"]["id"]) == (200, 42)
        assert (await call(sandbox, "getMe", token="43:abcdefgh"))[0] == 200
        assert (await call(sandbox, "getMe", token="x"))[0] == 404


async def test_a_broken_body_is_told_apart_from_a_wrong_call(sandbox: SandboxTelegram) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"{sandbox.base_url}/bot{TOKEN}/getMe", data=b"{", headers={"Content-Type": "application/json"}
        ) as response,
    ):
        assert response.status == 400


@pytest.mark.parametrize("encoding", ["query", "form", "json", "multipart"])
async def test_all_encodings_mean_the_same(sandbox: SandboxTelegram, chat: Chat, encoding: str) -> None:
    fields = {"chat_id": str(chat.id), "text": "héllo & 🚀", "reply_markup": json.dumps(KEYBOARD)}
    url = f"{sandbox.base_url}/bot{TOKEN}/sendMessage"
    async with aiohttp.ClientSession() as session:
        if encoding == "query":
            request = session.get(url, params=fields)
        elif encoding == "form":
            request = session.post(url, data=fields)
        elif encoding == "json":
            request = session.post(url, json={"chat_id": chat.id, "text": fields["text"], "reply_markup": KEYBOARD})
        else:
            form = aiohttp.FormData(fields, default_to_multipart=True)
            request = session.post(url, data=form)
        async with request as response:
            assert response.status == 200
    assert (chat.messages[0].text, chat.messages[0].buttons) == ("héllo & 🚀", [["Again"]])


async def test_who_blocks_the_bot_is_out_of_reach(bot: Bot, chat: Chat) -> None:
    chat.block()
    with pytest.raises(Forbidden, match="bot was blocked by the user"):
        await bot.send_message(chat.id, "x")
    chat.unblock()
    await bot.send_message(chat.id, "x")
    block, unblock = await bot.get_updates()
    assert block.my_chat_member is not None
    assert block.my_chat_member.new_chat_member.status == "kicked"
    assert unblock.my_chat_member is not None
    assert unblock.my_chat_member.new_chat_member.status == "member"


async def test_a_deactivated_user_a_kicked_bot_and_an_upgraded_group(sandbox: SandboxTelegram, bot: Bot) -> None:
    alice = sandbox.user("Alice")
    group, upgraded = sandbox.group("Club", [alice]), sandbox.group("Old", [alice])
    alice.deactivate()
    group.block()
    upgraded.upgrade(-1009999999999)
    with pytest.raises(Forbidden, match="user is deactivated"):
        await bot.send_message(alice.id, "x")
    with pytest.raises(Forbidden, match="bot was kicked from the supergroup chat"):
        await bot.send_message(group.id, "x")
    with pytest.raises(ChatMigrated) as moved:
        await bot.send_message(upgraded.id, "x")
    assert moved.value.new_chat_id == -1009999999999


async def test_too_many_requests_names_the_wait_in_body_and_header(sandbox: SandboxTelegram, chat: Chat) -> None:
    sandbox.faults.add(Fault.too_many_requests(7, method="sendPhoto"))
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{sandbox.base_url}/bot{TOKEN}/sendPhoto") as response,
    ):
        assert response.status == 429
        assert response.headers["Retry-After"] == "7"
        assert await response.json() == {
            "ok": False,
            "error_code": 429,
            "description": "Too Many Requests: retry after 7",
            "parameters": {"retry_after": 7},
        }


async def test_a_client_understands_the_injected_429(sandbox: SandboxTelegram, bot: Bot, chat: Chat) -> None:
    sandbox.faults.add(Fault.too_many_requests(3))
    with pytest.raises(RetryAfter):
        await bot.send_media_group(chat.id, [InputMediaPhoto(picture()), InputMediaPhoto(picture())])
    await bot.send_message(chat.id, "x")
