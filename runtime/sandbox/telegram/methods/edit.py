"""editMessageText, editMessageCaption, editMessageMedia and editMessageReplyMarkup."""

from __future__ import annotations

from typing import Any

from runtime.sandbox.telegram.calls import Call
from runtime.sandbox.telegram.chats import ChatMessage
from runtime.sandbox.telegram.entities import format_caption, format_message
from runtime.sandbox.telegram.errors import NOT_MODIFIED, BadRequest
from runtime.sandbox.telegram.keyboards import Keyboard, inline_keyboard
from runtime.sandbox.telegram.methods.send_media import input_media
from runtime.sandbox.telegram.methods.table import Bench, method


@method("editMessageText")
async def edit_message_text(bench: Bench, call: Call) -> dict[str, Any]:
    body = format_message(
        call.text("text"), call.text("parse_mode"), call.structure("entities", "message entities"), is_edit=True
    )
    keyboard = inline_keyboard(call)
    message = _editable(bench, call)
    if message.media:
        raise BadRequest("there is no text in the message to edit")
    if message.body == body and message.inline_keyboard == keyboard:
        raise BadRequest(NOT_MODIFIED)
    message.body = body
    return _edited(bench, message, keyboard)


@method("editMessageCaption")
async def edit_message_caption(bench: Bench, call: Call) -> dict[str, Any]:
    body = format_caption(
        call.text("caption"), call.text("parse_mode"), call.structure("caption_entities", "caption entities")
    )
    keyboard = inline_keyboard(call)
    message = _editable(bench, call)
    if not message.media:
        raise BadRequest("there is no caption in the message to edit")
    if message.body == body and message.inline_keyboard == keyboard:
        raise BadRequest(NOT_MODIFIED)
    message.body = body
    return _edited(bench, message, keyboard)


@method("editMessageMedia")
async def edit_message_media(bench: Bench, call: Call) -> dict[str, Any]:
    item = call.structure("media", "input media")
    if item is None:
        raise BadRequest('parameter "media" is required')
    keyboard = inline_keyboard(call)
    _editable(bench, call)
    attachment, body, flags = await input_media(bench, call, item)
    message = _editable(bench, call)
    same_file = message.file is not None and message.file.unique_id == attachment.file.unique_id
    if same_file and message.body == body and message.inline_keyboard == keyboard:
        raise BadRequest(NOT_MODIFIED)
    message.media = attachment.media
    message.file = attachment.file
    message.body = body
    message.flags = {**message.flags, **flags}
    return _edited(bench, message, keyboard)


@method("editMessageReplyMarkup")
async def edit_message_reply_markup(bench: Bench, call: Call) -> dict[str, Any]:
    keyboard = inline_keyboard(call)
    message = _editable(bench, call)
    if message.inline_keyboard == keyboard:
        raise BadRequest(NOT_MODIFIED)
    return _edited(bench, message, keyboard)


def _editable(bench: Bench, call: Call) -> ChatMessage:
    if call.text("inline_message_id") and not call.text("chat_id"):
        raise BadRequest("MESSAGE_ID_INVALID")
    room = bench.world.writable_room(call.text("chat_id"))
    message = bench.world.message(room, call.integer("message_id"), "message to edit")
    if message.sender is not bench.world.bot:
        raise BadRequest("message can't be edited")
    return message


def _edited(bench: Bench, message: ChatMessage, keyboard: Keyboard | None) -> dict[str, Any]:
    message.inline_keyboard = keyboard
    bench.world.changed(message)
    return message.to_json()
