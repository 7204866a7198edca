"""Updates as they come: documented, odd, or nothing of the kind."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.dispatch.update import Chat, NotUnderstood, Update, read_update

PHOTO = {"photo": [{"file_id": "small", "width": 90, "height": 60}, {"file_id": "large", "width": 1200, "height": 800}]}
VIDEO = {"file_id": "film", "width": 640, "height": 480, "duration": 3, "mime_type": "video/mp4"}
PERSON = {"id": 5, "is_bot": False, "first_name": "A person", "language_code": "en"}

CHAT = {"id": 5, "type": "private"}
MESSAGE: dict[str, Any] = {"message_id": 1, "chat": CHAT, "from": PERSON, "text": "/f a cat"}


def read(**message: Any) -> Any:
    return read_update(json.dumps({"update_id": 1, "message": MESSAGE | message}).encode()).message


def test_a_message_has_its_words_its_writer_and_what_it_shows() -> None:
    message = read(**PHOTO)

    assert message.words == "/f a cat"
    assert message.user.id == 5
    assert [size.file_id for size in message.photo] == ["small", "large"]
    assert message.has_file


@pytest.mark.parametrize(
    "odd",
    [
        {"photo": None, "caption": None, "entities": None, "reply_to_message": None},
        {"photo": "none", "document": [], "video": {"width": 3}, "sticker": 7},
        {"reply_to_message": {"message_id": "x"}, "external_reply": 4, "message_thread_id": {}},
        {"message_id": 1.0, "chat": {"id": "5", "type": "private"}},
        {"message_id": 1, "chat": CHAT | {"type": "secret"}},
        {"from": {"id": 5, "is_bot": None, "language_code": 3}},
        {"media_group_id": 17, "message_thread_id": 2**70},
        {"entities": [{"offset": -1}], "new_field": {"of": ["10.9"]}},
    ],
)
def test_odd_fields_are_left_out_and_the_command_stays(odd: dict[str, Any]) -> None:
    message = read(**odd)

    assert (message.message_id, message.chat.id, message.words, message.user.id) == (1, 5, "/f a cat", 5)
    assert not message.has_file


def test_one_odd_photo_does_not_take_the_others_away() -> None:
    assert [size.file_id for size in read(photo=[{"width": 3}, None, *PHOTO["photo"]]).photo] == ["small", "large"]


def test_what_the_database_cannot_store_is_taken_out_of_words() -> None:
    assert read(text="/f a\x00 cat\ud800").words == "/f a cat"
    assert read(text="/f a \\u0000 cat").words == "/f a \\u0000 cat"


def test_an_update_that_is_not_utf_8_is_still_understood() -> None:
    body = json.dumps({"update_id": 1, "message": MESSAGE | {"text": "/f caf?"}}).encode().replace(b"?", b"\xe9")

    message = read_update(body).message

    assert message is not None
    assert message.words == "/f caf�"


@pytest.mark.parametrize(
    "odd", [{"chat": None}, {"chat": {"type": "private"}}, {"message_id": None}, {"chat": {"id": 2**70}}]
)
def test_a_message_that_is_nowhere_is_no_message(odd: dict[str, Any]) -> None:
    assert read(**odd) is None


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"null", b'{"update_id": "x"}', b"[" * 100_000, b"\xff"])
def test_what_is_no_update_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(NotUnderstood):
        read_update(body)


@pytest.mark.parametrize("kind", ["edited_message", "channel_post", "poll", "message_reaction", "of_the_future"])
def test_an_update_of_another_kind_has_nothing_to_act_on(kind: str) -> None:
    update = read_update(json.dumps({"update_id": 1, kind: MESSAGE}).encode())

    assert (update.message, update.callback_query, update.my_chat_member) == (None, None, None)


def test_a_chat_without_a_kind_is_known_by_its_id() -> None:
    assert Chat(5).is_private
    assert not Chat(-5).is_private
    assert Chat(-5, "group").kind == "group"


def test_the_first_message_of_a_topic_is_not_replied_to_by_all_that_follows() -> None:
    root = {"message_id": 7, "chat": CHAT}

    assert read(reply_to_message=root, message_thread_id=7, is_topic_message=True).replied is None
    assert read(reply_to_message=root, message_thread_id=7).replied.message_id == 7
    assert read(reply_to_message=root | {"message_id": 8}, message_thread_id=7, is_topic_message=True).replied


NAMES = [
    "message_id", "chat", "from", "text", "caption", "photo", "document", "video", "animation", "sticker", "voice",
    "reply_to_message", "external_reply", "media_group_id", "message_thread_id", "is_topic_message", "entities",
    "migrate_to_chat_id", "message", "data", "id", "new_chat_member", "status", "type", "file_id", "width", "is_bot",
]  # fmt: skip
WHOLE: dict[str, dict[str, Any]] = {
    "message": MESSAGE | PHOTO | {"video": VIDEO, "reply_to_message": MESSAGE},
    "callback_query": {"id": "1", "from": PERSON, "message": MESSAGE, "data": "again:1"},
    "my_chat_member": {"chat": CHAT, "from": PERSON, "new_chat_member": {"status": "member"}},
}
scalars = (
    st.sampled_from([None, 5, 2**70, "/f a cat", CHAT, PERSON, MESSAGE])
    | st.booleans()
    | st.floats()
    | st.text(st.characters(codec=None), max_size=8)
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=10,
)


@st.composite
def odd_updates(draw: st.DrawFn) -> dict[str, Any]:
    """A whole update with some of its fields replaced by anything, or nothing like one."""
    kind = draw(st.sampled_from([*WHOLE, "edited_message"]))
    odd = draw(st.dictionaries(st.sampled_from(NAMES), anything, max_size=5))
    inside = WHOLE.get(kind, MESSAGE) | odd if draw(st.booleans()) else draw(anything)
    return {"update_id": draw(st.integers(0, 2**63 - 1)), kind: inside}


@given(odd_updates())
def test_every_json_object_with_an_update_id_is_an_update(content: dict[str, Any]) -> None:
    update = read_update(json.dumps(content).encode())

    assert update.update_id == content["update_id"]
    assert msgspec.convert(msgspec.to_builtins(update), Update) == update  # every value is of its declared type
