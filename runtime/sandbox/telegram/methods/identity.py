"""Who the bot is: getMe, its name and descriptions, logOut and close."""

from __future__ import annotations

from typing import Any

from runtime.sandbox.telegram.calls import Call
from runtime.sandbox.telegram.methods.table import Bench, method

_PROFILE = (
    ("Name", "name"),
    ("Description", "description"),
    ("ShortDescription", "short_description"),
)


@method("getMe")
async def get_me(bench: Bench, call: Call) -> dict[str, Any]:
    world = bench.world
    return {
        **world.bot.to_json(),
        "can_join_groups": True,
        "can_read_all_group_messages": world.reads_all_group_messages,
        "supports_inline_queries": False,
        "can_connect_to_business": False,
        "has_main_web_app": False,
        "has_topics_enabled": False,
    }


@method("logOut")
async def log_out(bench: Bench, call: Call) -> bool:
    return True


@method("close")
async def close(bench: Bench, call: Call) -> bool:
    return True


def _register_profile(suffix: str, field: str) -> None:
    @method(f"setMy{suffix}")
    async def set_field(bench: Bench, call: Call) -> bool:
        bench.world.profile[(field, call.text("language_code"))] = call.text(field)
        return True

    @method(f"getMy{suffix}")
    async def get_field(bench: Bench, call: Call) -> dict[str, str]:
        profile = bench.world.profile
        fallback = bench.world.bot.first_name if field == "name" else ""
        return {field: profile.get((field, call.text("language_code"))) or profile.get((field, "")) or fallback}


for _suffix, _field in _PROFILE:
    _register_profile(_suffix, _field)
