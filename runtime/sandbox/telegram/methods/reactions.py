"""setMessageReaction."""

from __future__ import annotations

from typing import Any

from runtime.sandbox.telegram.calls import Call
from runtime.sandbox.telegram.errors import BadRequest
from runtime.sandbox.telegram.methods.table import Bench, method

_WORDS = (
    "👍 👎 ❤ 🔥 🥰 👏 😁 🤔 🤯 😱 🤬 😢 🎉 🤩 🤮 💩 🙏 👌 🕊 🤡 🥱 🥴 😍 🐳 ❤‍🔥 🌚 🌭 💯 🤣 ⚡ 🍌 🏆 💔 🤨 😐 🍓 "
    "🍾 💋 🖕 😈 😴 😭 🤓 👻 👨‍💻 👀 🎃 🙈 😇 😨 🤝 ✍ 🤗 🫡 🎅 🎄 ☃ 💅 🤪 🗿 🆒 💘 🙉 🦄 😘 💊 🙊 😎 👾 "
    "🤷‍♂ 🤷 🤷‍♀ 😡"
)
EMOJI = frozenset(_WORDS.split())
_VARIATION = "\ufe0f"


@method("setMessageReaction")
async def set_message_reaction(bench: Bench, call: Call) -> bool:
    """Replaces the bot's reaction; a bot has at most one per message. An empty list takes it back."""
    world = bench.world
    listed = call.structure("reaction", "reaction types") or []
    if not isinstance(listed, list):
        raise BadRequest("expected an Array of ReactionType")
    reactions = [_reaction(item) for item in listed]
    room = world.writable_room(call.text("chat_id"))
    message = world.message(room, call.integer("message_id"), "message to react")
    if len(reactions) > 1:
        raise BadRequest("REACTIONS_TOO_MANY")
    message.reactions.pop(world.bot.id, None)
    if reactions:
        message.reactions[world.bot.id] = reactions
    world.changed(message, is_edit=False)
    return True


def _reaction(item: Any) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise BadRequest("can't parse ReactionType: expected an Object")
    kind = item.get("type")
    if kind == "emoji":
        emoji = str(item.get("emoji", "")).replace(_VARIATION, "")
        if emoji not in EMOJI:
            raise BadRequest("REACTION_INVALID")
        return {"type": "emoji", "emoji": emoji}
    if kind == "custom_emoji":
        raise BadRequest("REACTION_INVALID")
    raise BadRequest("can't parse ReactionType: invalid reaction type specified")
