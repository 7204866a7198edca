import asyncio
import contextlib
import logging
import socket
import traceback

import pytest

from runtime import metrics
from runtime.chat.buttons import Button
from runtime.chat.errors import (
    ChatBlocked,
    ChatMigrated,
    FileTooBig,
    MessageGone,
    NotSent,
    OutcomeUnknown,
    Refused,
    RetryLater,
    TelegramFailed,
    TokenRefused,
)
from runtime.chat.gateway import open_gateway
from runtime.chat.messages import Document, Photo, Place, Video
from runtime.sandbox.telegram import Fault
from tests.chat.conftest import TOKEN, picture, settings_for


async def test_a_text_arrives_as_a_reply_with_its_buttons(gateway, alice):
    asked = alice.private_chat.send("/f an astronaut")
    place = Place(alice.id, reply_to=asked.message_id)
    sent = await gateway.send_text(place, "<b>as it is</b>", ((Button("Cancel", "cancel:1"),),))
    message = alice.private_chat.messages[-1]
    assert (message.message_id, message.text) == (sent.message_id, "<b>as it is</b>")
    assert message.reply_to is asked
    assert message.buttons == [["Cancel"]]


async def test_a_reply_to_a_deleted_message_arrives_all_the_same(gateway, alice):
    asked = alice.private_chat.send("/f an astronaut")
    alice.private_chat.delete(asked)
    await gateway.send_text(Place(alice.id, reply_to=asked.message_id), "done")
    assert alice.private_chat.messages[-1].text == "done"


async def test_a_photo_is_shown_and_its_file_id_told(gateway, alice):
    sent = await gateway.send_photo(Place(alice.id), Photo(picture()), "teal")
    message = alice.private_chat.messages[-1]
    assert message.caption == "teal"
    assert message.photo is not None
    assert sent.file_id == message.photo[-1]["file_id"]


async def test_a_document_keeps_its_bytes_and_name(gateway, alice):
    content = picture()
    await gateway.send_document(Place(alice.id), Document(content, "flux-7.png"))
    message = alice.private_chat.messages[-1]
    assert message.content == content
    assert message.document is not None
    assert message.document["file_name"] == "flux-7.png"


async def test_an_album_arrives_in_order_with_one_caption(gateway, sandbox, alice):
    sent = await gateway.send_album(
        Place(alice.id), [Photo(picture(colour=c)) for c in ("red", "green", "blue")], "three"
    )
    messages = alice.private_chat.messages
    assert [message.message_id for message in messages] == [one.message_id for one in sent]
    assert [message.caption for message in messages] == ["three", None, None]
    assert len({message.media_group_id for message in messages}) == 1


async def test_an_edit_to_what_is_there_already_is_success(gateway, alice):
    sent = await gateway.send_text(Place(alice.id), "one")
    await gateway.edit_text(alice.id, sent.message_id, "two")
    await gateway.edit_text(alice.id, sent.message_id, "two")
    assert alice.private_chat.messages[-1].text == "two"


async def test_editing_or_deleting_what_is_gone_says_so(gateway, alice):
    sent = await gateway.send_text(Place(alice.id), "one")
    await gateway.delete(alice.id, sent.message_id)
    with pytest.raises(MessageGone):
        await gateway.edit_text(alice.id, sent.message_id, "two")
    with pytest.raises(MessageGone):
        await gateway.delete(alice.id, sent.message_id)


async def test_a_late_answer_to_a_button_is_no_error(gateway, sandbox, alice):
    assert await gateway.answer_callback("12345", "too late") is False


async def test_a_pressed_button_is_answered(gateway, alice):
    await gateway.send_text(Place(alice.id), "one", ((Button("Cancel", "cancel:1"),),))
    press = alice.private_chat.press(alice.private_chat.messages[-1], "Cancel")
    assert await gateway.answer_callback(press.id, "stopping", alert=True) is True
    assert (await press.answered())["text"] == "stopping"


async def test_what_the_user_sent_is_downloaded(gateway, alice):
    content = picture()
    message = alice.private_chat.send_document(content, "swan.png")
    assert message.document is not None
    assert await gateway.download(message.document["file_id"]) == content


async def test_a_file_above_the_bound_is_not_downloaded(gateway, sandbox, alice):
    message = alice.private_chat.send_document(b"x" * 2000, "swan.png")
    assert message.document is not None
    with pytest.raises(FileTooBig):
        await gateway.download(message.document["file_id"], max_bytes=1000)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.too_many_requests(7), RetryLater),
        (Fault.blocked(), ChatBlocked),
        (Fault("error", code=403, description="Forbidden: user is deactivated"), ChatBlocked),
        (Fault("error", code=400, description="Bad Request: chat not found"), ChatBlocked),
        (Fault("error", code=400, description="Bad Request: message is too long"), Refused),
        (Fault("error", code=413, description="Request Entity Too Large"), Refused),
        (Fault("error", code=401, description="Unauthorized"), TokenRefused),
        (Fault("error", code=500, description="Internal Server Error"), OutcomeUnknown),
        (Fault("bad_gateway"), OutcomeUnknown),
        (Fault("cut"), OutcomeUnknown),
        (Fault("hang", seconds=0.1), OutcomeUnknown),
    ],
    ids=lambda value: value.description or value.kind if isinstance(value, Fault) else "",
)
async def test_each_failure_says_what_can_be_done(gateway, sandbox, alice, fault, error):
    sandbox.faults.add(fault)
    with pytest.raises(TelegramFailed) as raised:
        await gateway.send_text(Place(alice.id), "hello")
    assert type(raised.value) is error


async def test_a_429_tells_how_long_to_wait(gateway, sandbox, alice):
    sandbox.faults.add(Fault.too_many_requests(7))
    with pytest.raises(RetryLater) as raised:
        await gateway.send_text(Place(alice.id), "hello")
    assert raised.value.seconds == 7


async def test_a_group_that_became_a_supergroup_tells_its_new_id(gateway, sandbox, alice):
    group = sandbox.group("Painters", [alice])
    upgraded = group.upgrade(-1009999999999)
    with pytest.raises(ChatMigrated) as raised:
        await gateway.send_text(Place(group.id), "hello")
    assert raised.value.new_id == upgraded.id


async def test_no_connection_means_surely_not_sent():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with open_gateway(settings_for(f"http://127.0.0.1:{unused.getsockname()[1]}")) as gateway:
            with pytest.raises(NotSent):
                await gateway.send_text(Place(1), "hello")


async def test_a_success_without_a_readable_answer_is_an_unknown_outcome():
    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"ok":true}')
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, open_gateway(settings_for(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")) as gateway:
        with pytest.raises(OutcomeUnknown):
            await gateway.send_text(Place(1), "hello")


async def test_the_username_is_asked_once_and_only_when_needed(gateway, sandbox):
    assert len(sandbox.journal.calls("getMe")) == 0
    assert await gateway.username() == await gateway.username() == "veilrun_sandbox_bot"
    assert len(sandbox.journal.calls("getMe")) == 1


async def test_the_webhook_is_set_told_and_deleted(gateway):
    await gateway.set_webhook("https://example.org/telegram/webhook", secret="s3cret", allowed_updates=["message"])
    assert (await gateway.webhook()).url == "https://example.org/telegram/webhook"
    await gateway.delete_webhook()
    assert (await gateway.webhook()).url == ""


async def test_a_video_is_sent_with_its_size_and_plays_while_loading(gateway, sandbox, alice):
    video = Video(b"not looked at", width=640, height=360, duration_seconds=4.6, thumbnail=picture(320, 180))
    with contextlib.suppress(Refused):  # the sandbox looks into the file; what was asked for is in its journal anyway
        await gateway.send_video(Place(alice.id), video, "a swan")
    asked = sandbox.journal.calls("sendVideo")[-1].parameters
    assert (asked["width"], asked["height"], asked["duration"]) == ("640", "360", "5")
    assert str(asked["supports_streaming"]).lower() == "true"


@pytest.mark.parametrize("fault", [Fault("cut"), Fault("bad_gateway"), Fault.blocked(), Fault.too_many_requests(1)])
async def test_the_token_and_the_words_are_in_no_log_and_no_exception(gateway, sandbox, alice, caplog, fault):
    caplog.set_level(logging.DEBUG)
    words = " ".join(["my", "secret", "words"])
    await gateway.send_text(Place(alice.id), words)
    sandbox.faults.add(fault)
    with pytest.raises(TelegramFailed) as raised:
        await gateway.send_text(Place(alice.id), words)
    told = caplog.text + "".join(traceback.format_exception(raised.value)) + repr(raised.value)
    assert TOKEN.partition(":")[2] not in told
    assert words not in told
    assert raised.value.__cause__ is raised.value.__context__ is None


async def test_calls_are_counted_by_method_and_outcome(gateway, sandbox, alice):
    metrics.telegram_calls.take()  # of tests before
    await gateway.send_text(Place(alice.id), "hello")
    sandbox.faults.add(Fault.blocked())
    with pytest.raises(ChatBlocked):
        await gateway.send_text(Place(alice.id), "hello")
    assert metrics.telegram_calls.take() == {("sendMessage", "ok"): 1, ("sendMessage", "ChatBlocked"): 1}
