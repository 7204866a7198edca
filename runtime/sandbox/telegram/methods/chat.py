"""Asking about chats and their members, and leaving them."""

from __future__ import annotations

from typing import Any

from runtime.sandbox.telegram.calls import Call
from runtime.sandbox.telegram.errors import BadRequest
from runtime.sandbox.telegram.methods.table import Bench, method


@method("getChat")
async def get_chat(bench: Bench, call: Call) -> dict[str, Any]:
    room = bench.world.room(call.text("chat_id"))
    return {
        **room.to_json(),
        "accent_color_id": room.id % 7 if room.id > 0 else 0,
        "max_reaction_count": 11,
        "accepted_gift_types": {
            "unlimited_gifts": False,
            "limited_gifts": False,
            "unique_gifts": False,
            "premium_subscription": False,
            "gifts_from_channels": False,
        },
    }


@method("getChatMember")
async def get_chat_member(bench: Bench, call: Call) -> dict[str, Any]:
    room = bench.world.room(call.text("chat_id"))
    user_id = call.integer("user_id")
    if user_id == bench.world.bot.id:
        return {"status": "member", "user": bench.world.bot.to_json()}
    account = room.members.get(user_id)
    if account is None:
        raise BadRequest("member not found" if user_id in bench.world.accounts else "invalid user_id specified")
    return {"status": "member", "user": account.to_json()}


@method("getChatMemberCount")
async def get_chat_member_count(bench: Bench, call: Call) -> int:
    return len(bench.world.room(call.text("chat_id")).members) + 1


@method("getChatAdministrators")
async def get_chat_administrators(bench: Bench, call: Call) -> list[dict[str, Any]]:
    room = bench.world.room(call.text("chat_id"))
    if room.is_private:
        raise BadRequest("there are no administrators in the private chat")
    owner = next(iter(room.members.values()))
    return [{"status": "creator", "user": owner.to_json(), "is_anonymous": False}]


@method("leaveChat")
async def leave_chat(bench: Bench, call: Call) -> bool:
    room = bench.world.writable_room(call.text("chat_id"))
    if room.is_private:
        raise BadRequest("chat member status can't be changed in private chats")
    room.bot_status = "left"
    bench.world.events.publish("status", room.id, {"bot_status": "left"})
    return True
