"""Where a new message goes, and what it carries besides its content: the parameters all send methods share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runtime.sandbox.telegram.calls import Call
from runtime.sandbox.telegram.chats import GENERAL_TOPIC, ChatMessage, ChatRoom
from runtime.sandbox.telegram.errors import BadRequest
from runtime.sandbox.telegram.keyboards import Keyboard, inline_keyboard
from runtime.sandbox.telegram.state import World


@dataclass(frozen=True, slots=True)
class Placing:
    """A place in a chat for the message to come."""

    room: ChatRoom
    reply_to: ChatMessage | None
    thread_id: int | None
    keyboard: Keyboard | None
    flags: dict[str, Any]


def placing(world: World, call: Call, *, with_keyboard: bool = True) -> Placing:
    """Check chat_id, message_thread_id, reply_parameters and reply_markup, in that order.

    Raises: BadRequest or Forbidden in the server's words.
    """
    keyboard = inline_keyboard(call) if with_keyboard else None
    room = world.writable_room(call.text("chat_id"))
    reply_to, quote = _reply(world, room, call)
    flags: dict[str, Any] = {}
    if quote:
        flags["quote"] = quote
    if call.flag("protect_content"):
        flags["has_protected_content"] = True
    if call.text("message_effect_id"):
        flags["effect_id"] = call.text("message_effect_id")
    return Placing(room, reply_to, thread(room, call), keyboard, flags)


def thread(room: ChatRoom, call: Call) -> int | None:
    """The forum topic meant by message_thread_id; None is General. Plain groups ignore it."""
    thread_id = call.integer("message_thread_id", low=0)
    if thread_id == 0 or not (room.is_forum or room.is_private):
        return None
    if thread_id == GENERAL_TOPIC or thread_id not in room.topics:
        raise BadRequest("message thread not found")
    return thread_id


def _reply(world: World, room: ChatRoom, call: Call) -> tuple[ChatMessage | None, dict[str, Any] | None]:
    wanted = call.structure("reply_parameters", "reply parameters")
    if wanted is None and call.text("reply_to_message_id"):
        wanted = {
            "message_id": call.integer("reply_to_message_id"),
            "allow_sending_without_reply": call.flag("allow_sending_without_reply"),
        }
    if not wanted:
        return None, None
    if not isinstance(wanted, dict):
        raise BadRequest("object expected as reply parameters")
    message_id = wanted.get("message_id")
    if not isinstance(message_id, int):
        raise BadRequest('can\'t find field "message_id"')
    source = room
    if wanted.get("chat_id") not in (None, "", room.id, str(room.id)):
        source = world.room(str(wanted["chat_id"]))
    message = source.messages.get(message_id)
    if message is None or message.is_deleted:
        if wanted.get("allow_sending_without_reply"):
            return None, None
        raise BadRequest("message to be replied not found")
    quote = wanted.get("quote")
    if quote and quote not in message.body.text:
        raise BadRequest("QUOTE_TEXT_INVALID")
    position = message.body.text.find(quote) if quote else 0
    return message, {"text": quote, "position": position, "is_manual": True} if quote else None
