"""Odd input: whatever stands in a known field, nothing blocks the chat and nothing is tried for ever."""

import contextlib
import copy
import json
import sys
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.dispatch.command_line import read_command
from runtime.dispatch.update import NotUnderstood, read_update

PERSON = {"id": 11, "is_bot": False, "first_name": "Ada", "language_code": "en"}
CHAT = {"id": 11, "type": "private"}
PHOTO = [{"file_id": "p", "file_unique_id": "u", "width": 90, "height": 60, "file_size": 100}]
FILM = {"file_id": "v", "width": 9, "height": 9, "duration": 3, "mime_type": "video/mp4", "file_size": 5}
REPLIED = {"message_id": 3, "date": 0, "chat": CHAT, "from": PERSON, "photo": PHOTO}
MESSAGE = {
    "message_id": 4,
    "date": 0,
    "chat": CHAT,
    "from": PERSON,
    "caption": "/qwen a hat",
    "photo": PHOTO,
    "reply_to_message": REPLIED,
    "external_reply": {"photo": PHOTO},
    "media_group_id": "8",
    "message_thread_id": 3,
    "is_topic_message": False,
}
TEMPLATES: list[dict[str, Any]] = [
    {"message": MESSAGE},
    {"message": {"message_id": 4, "date": 0, "chat": CHAT, "from": PERSON, "text": "/f an astronaut --seed 7"}},
    {"message": {"message_id": 4, "date": 0, "chat": CHAT, "from": PERSON, "caption": "/qwen a hat", "video": FILM}},
    {
        "message": {
            "message_id": 4,
            "date": 0,
            "chat": CHAT,
            "from": PERSON,
            "caption": "/qwen",
            "document": {"file_id": "d", "mime_type": "image/png", "file_name": "x.png", "file_size": 5},
        }
    },
    {"message": {"message_id": 4, "date": 0, "chat": CHAT, "from": PERSON, "migrate_to_chat_id": -1005}},
    {
        "message": {
            "message_id": 4,
            "date": 0,
            "chat": CHAT,
            "from": PERSON,
            "text": "/cancel",
            "reply_to_message": REPLIED,
        }
    },
    {"callback_query": {"id": "1", "from": PERSON, "message": REPLIED, "data": "again:1"}},
    {
        "my_chat_member": {
            "chat": CHAT,
            "from": PERSON,
            "date": 0,
            "new_chat_member": {"status": "kicked", "user": PERSON},
        }
    },
]


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [at] if at else []
    for key, part in inside:
        found += paths(part, (*at, key))
    return found


PLACES = [(template, path) for template in TEMPLATES for path in paths(template)]
TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=40)
NUMBER = st.one_of(
    st.integers(-(2**70), 2**70),
    st.sampled_from([0, -1, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63)]),
    st.floats(allow_nan=False, allow_infinity=False),
)
WORD = st.sampled_from(
    ["", "\x00", "/f \x00", "\ud800", "/f \ud800 x", "/f@x y", "again:1", "/qwen", "11", "private", "de-DE"]
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBER, TEXT, WORD),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=6,
)


def changed(template: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """The template with another value at this place."""
    made = copy.deepcopy(template)
    inside: Any = made
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = value
    return made


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(place=st.sampled_from(PLACES), value=JSON)
async def test_any_value_in_any_known_field_is_over_soon(bot, place, value) -> None:
    template, path = place
    number = next(bot._numbers)
    body = json.dumps({**changed(template, path, value), "update_id": number}).encode()

    await bot.give(body)

    ((state, attempts, error),) = await bot.query(
        "select state, attempts, error from updates where update_id = %s", number
    )
    assert (state, attempts) == ("done", 0) or (state, attempts, error) == ("failed", 1, "NotUnderstood")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(NotUnderstood):
        read_update(body)


@given(TEXT)
def test_any_text_has_a_command_or_none(text: str) -> None:
    line = read_command(text)

    assert line is None or "/" in text


def test_endless_nesting_is_refused() -> None:
    depth = sys.getrecursionlimit() * 20
    body = b'{"update_id": 1, "message": ' + b'{"reply_to_message": ' * depth + b"{}" + b"}" * depth + b"}"

    with pytest.raises(NotUnderstood):
        read_update(body)


async def test_null_for_what_is_absent_is_as_if_it_were_absent(bot) -> None:
    absent = dict.fromkeys(
        ("photo", "document", "video", "animation", "reply_to_message", "media_group_id", "message_thread_id",
         "is_topic_message", "caption", "sender_chat", "is_automatic_forward", "external_reply")
    )  # fmt: skip
    await bot.say(text="/f an astronaut", **absent, **{"from": {"id": 11, "is_bot": None, "language_code": None}})

    assert (await bot.job()).arguments["prompt"] == "an astronaut"


async def test_a_text_with_a_nul_or_half_a_character_is_still_a_command(bot) -> None:
    await bot.say(text="/f an \x00astro\ud800naut")

    assert (await bot.job()).arguments["prompt"] == "an astronaut"
