"""setMyCommands, getMyCommands, deleteMyCommands, and the menu button."""

from __future__ import annotations

import re
from typing import Any

from runtime.sandbox.telegram import limits
from runtime.sandbox.telegram.calls import Call
from runtime.sandbox.telegram.errors import BadRequest
from runtime.sandbox.telegram.methods.table import Bench, method
from runtime.sandbox.telegram.utf16 import utf16_length

_NAME = re.compile(r"[a-z0-9_]+")
_SCOPES = ("default", "all_private_chats", "all_group_chats", "all_chat_administrators")
_CHAT_SCOPES = ("chat", "chat_administrators", "chat_member")


@method("setMyCommands")
async def set_my_commands(bench: Bench, call: Call) -> bool:
    key = _key(bench, call)
    listed = call.structure("commands", "commands")
    if listed is None:
        listed = []
    if not isinstance(listed, list):
        raise BadRequest("expected an Array of BotCommand")
    if len(listed) > limits.COMMANDS_MAX:
        raise BadRequest("BOT_COMMANDS_TOO_MUCH")
    bench.world.commands[key] = [_command(item) for item in listed]
    bench.world.events.publish("commands", None)
    return True


@method("getMyCommands")
async def get_my_commands(bench: Bench, call: Call) -> list[dict[str, str]]:
    return bench.world.commands.get(_key(bench, call), [])


@method("deleteMyCommands")
async def delete_my_commands(bench: Bench, call: Call) -> bool:
    bench.world.commands.pop(_key(bench, call), None)
    bench.world.events.publish("commands", None)
    return True


@method("setChatMenuButton")
async def set_chat_menu_button(bench: Bench, call: Call) -> bool:
    button = call.structure("menu_button", "menu button")
    if button is not None and (
        not isinstance(button, dict) or button.get("type") not in ("commands", "web_app", "default")
    ):
        raise BadRequest("can't parse menu button: MenuButton has unsupported type")
    bench.world.menu_buttons[call.integer("chat_id")] = button or {"type": "default"}
    return True


@method("getChatMenuButton")
async def get_chat_menu_button(bench: Bench, call: Call) -> dict[str, Any]:
    buttons = bench.world.menu_buttons
    return buttons.get(call.integer("chat_id"), buttons.get(0, {"type": "commands"}))


def _command(item: Any) -> dict[str, str]:
    if not isinstance(item, dict):
        raise BadRequest("can't parse BotCommand: expected an Object")
    for field in ("command", "description"):
        if not isinstance(item.get(field), str):
            raise BadRequest(f"can't parse BotCommand: Can't find field \"{field}\"")
    name = item["command"].lstrip("/").lower()
    description = item["description"].strip()
    if not _NAME.fullmatch(name) or len(name) > limits.COMMAND_LENGTH:
        raise BadRequest("BOT_COMMAND_INVALID")
    if not 1 <= utf16_length(description) <= limits.COMMAND_DESCRIPTION_LENGTH:
        raise BadRequest("BOT_COMMAND_DESCRIPTION_INVALID")
    return {"command": name, "description": description}


def _key(bench: Bench, call: Call) -> tuple[str, str, str, str]:
    """Where a menu is kept: (scope, chat, user, language)."""
    language = call.text("language_code")
    if language and not re.fullmatch(r"[a-z]{2}", language):
        raise BadRequest("invalid language code specified")
    scope = call.structure("scope", "BotCommandScope") or {"type": "default"}
    if not isinstance(scope, dict):
        raise BadRequest("can't parse BotCommandScope: BotCommandScope must be an Object")
    kind = scope.get("type")
    if kind in _SCOPES:
        return (kind, "", "", language)
    if kind not in _CHAT_SCOPES:
        raise BadRequest("can't parse BotCommandScope: Unsupported type specified")
    if not scope.get("chat_id"):
        raise BadRequest("can't parse BotCommandScope: Empty chat_id specified")
    room = bench.world.room(str(scope["chat_id"]))
    if kind != "chat_member":
        return (kind, str(room.id), "", language)
    if int(scope.get("user_id") or 0) <= 0:
        raise BadRequest("can't parse BotCommandScope: Invalid user_id specified")
    return (kind, str(room.id), str(scope["user_id"]), language)
