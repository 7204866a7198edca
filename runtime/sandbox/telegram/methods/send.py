"""sendMessage, sendChatAction, and the copies and forwards of what is already there."""

from __future__ import annotations

from typing import Any

from runtime.sandbox.telegram import limits
from runtime.sandbox.telegram.calls import Call
from runtime.sandbox.telegram.chats import ChatAction
from runtime.sandbox.telegram.entities import format_caption, format_message
from runtime.sandbox.telegram.errors import BadRequest
from runtime.sandbox.telegram.methods.placing import placing, thread
from runtime.sandbox.telegram.methods.table import Bench, method

_NAMES = (
    "typing upload_photo record_video upload_video record_voice upload_voice record_audio upload_audio "
    "upload_document choose_sticker find_location record_video_note upload_video_note"
)
_ACTIONS = frozenset(_NAMES.split())


@method("sendMessage")
async def send_message(bench: Bench, call: Call) -> dict[str, Any]:
    body = format_message(call.text("text"), call.text("parse_mode"), call.structure("entities", "message entities"))
    place = placing(bench.world, call)
    flags = dict(place.flags)
    preview = call.structure("link_preview_options", "link preview options")
    if preview:
        flags["link_preview_options"] = preview
    return bench.world.post(
        place.room,
        bench.world.bot,
        body,
        reply_to=place.reply_to,
        thread_id=place.thread_id,
        inline_keyboard=place.keyboard,
        flags=flags,
    ).to_json()


@method("sendChatAction")
async def send_chat_action(bench: Bench, call: Call) -> bool:
    world = bench.world
    action = call.text("action").lower()
    if action not in _ACTIONS:
        raise BadRequest("wrong parameter action in request")
    room = world.writable_room(call.text("chat_id"))
    until = world.clock.time() + limits.CHAT_ACTION_SECONDS
    room.action = ChatAction(action, until, thread(room, call))
    world.events.publish("action", room.id, {"action": action, "seconds": limits.CHAT_ACTION_SECONDS})
    return True


@method("copyMessage")
async def copy_message(bench: Bench, call: Call) -> dict[str, Any]:
    return {"message_id": (await _again(bench, call, is_forward=False))["message_id"]}


@method("forwardMessage")
async def forward_message(bench: Bench, call: Call) -> dict[str, Any]:
    return await _again(bench, call, is_forward=True)


async def _again(bench: Bench, call: Call, *, is_forward: bool) -> dict[str, Any]:
    world = bench.world
    called = "message to forward" if is_forward else "message to copy"
    original = world.message(world.room(call.text("from_chat_id")), call.integer("message_id"), called)
    if original.service:
        raise BadRequest("message can't be forwarded" if is_forward else "message can't be copied")
    place = placing(world, call, with_keyboard=not is_forward)
    body = original.body
    if call.has("caption") and not is_forward:
        body = format_caption(
            call.text("caption"), call.text("parse_mode"), call.structure("caption_entities", "caption entities")
        )
    flags = dict(place.flags)
    if is_forward:
        flags["forward_origin"] = {
            "type": "user",
            "date": original.date,
            "sender_user": original.sender.to_json(),
        }
    return world.post(
        place.room,
        world.bot,
        body,
        media=original.media,
        file=original.file,
        reply_to=place.reply_to,
        thread_id=place.thread_id,
        inline_keyboard=place.keyboard,
        flags=flags,
    ).to_json()
