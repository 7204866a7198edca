"""deleteMessage and deleteMessages."""

from __future__ import annotations

from runtime.sandbox.telegram import limits
from runtime.sandbox.telegram.calls import Call
from runtime.sandbox.telegram.chats import ChatMessage
from runtime.sandbox.telegram.errors import BadRequest
from runtime.sandbox.telegram.methods.table import Bench, method


@method("deleteMessage")
async def delete_message(bench: Bench, call: Call) -> bool:
    if not call.text("chat_id"):
        raise BadRequest("chat identifier is not specified")
    room = bench.world.writable_room(call.text("chat_id"))
    message = bench.world.message(room, call.integer("message_id"), "message to delete")
    if not _is_deletable(bench, message):
        raise BadRequest("message can't be deleted")
    bench.world.delete(message)
    return True


@method("deleteMessages")
async def delete_messages(bench: Bench, call: Call) -> bool:
    """1 to 100 messages; those that are not there are skipped."""
    message_ids = call.structure("message_ids", "message_ids")
    if not message_ids:
        raise BadRequest("message identifiers are not specified")
    if not isinstance(message_ids, list):
        raise BadRequest("expected an Array of message identifiers")
    if len(message_ids) > limits.DELETE_MAX:
        raise BadRequest("too many message identifiers specified")
    if not all(str(message_id).lstrip("-").isdigit() for message_id in message_ids):
        raise BadRequest("can't parse message identifier as a Number")
    room = bench.world.writable_room(call.text("chat_id"))
    for message_id in message_ids:
        message = room.messages.get(int(message_id))
        if message is not None and not message.is_deleted and _is_deletable(bench, message):
            bench.world.delete(message)
    return True


def _is_deletable(bench: Bench, message: ChatMessage) -> bool:
    """Within 48 hours: its own messages anywhere, other people's in private chats or as an administrator."""
    world, room = bench.world, message.room
    if room.bot_status == "administrator":
        return True
    if world.now() - message.date > limits.DELETE_SECONDS:
        return False
    return message.sender is world.bot or room.is_private
