"""The little that must be known of an update before it is stored: its number, and in whose order it takes effect."""

import re

import msgspec

LARGEST = 2**63 - 1  # bigint

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
"""Half of one makes a text that the decoder refuses; some servers cut texts so. The number can be read all the same."""


class MalformedUpdate(ValueError):
    """Not JSON, or no update: nothing that could ever take effect."""


class _Owner(msgspec.Struct):
    id: int


class _InChat(msgspec.Struct):
    chat: _Owner


class _FromUser(msgspec.Struct, rename={"user": "from"}):
    user: _Owner


class _Envelope(msgspec.Struct):
    update_id: int
    message: _InChat | None = None
    callback_query: _FromUser | None = None
    my_chat_member: _InChat | None = None
    edited_message: _InChat | None = None


class _Number(msgspec.Struct):
    update_id: int


_decode = msgspec.json.Decoder(_Envelope).decode
_decode_number = msgspec.json.Decoder(_Number).decode


def read_envelope(body: bytes) -> tuple[int, int | None]:
    """(update_id, order key) of an update. An update of an odd shape has its number and the key None.

    Raises: MalformedUpdate.
    """
    try:
        str(body, "utf-8")  # the decoder does not look into what it skips
        return _read(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if b"\\ud" not in body and b"\\uD" not in body:
            raise MalformedUpdate from error
    try:
        return _read(_SURROGATE.sub(rb"\\ufffd", body))
    except (msgspec.DecodeError, RecursionError) as error:
        raise MalformedUpdate from error


def _read(body: bytes) -> tuple[int, int | None]:
    try:
        update = _decode(body)
    except msgspec.ValidationError:
        return _number(_decode_number(body).update_id), None
    number = _number(update.update_id)
    for inside in (update.message, update.my_chat_member, update.edited_message):
        if inside is not None:
            return number, _key(inside.chat.id)
    return number, _key(update.callback_query.user.id) if update.callback_query else None


def _number(number: int) -> int:
    if not 0 <= number <= LARGEST:
        raise MalformedUpdate
    return number


def _key(number: int) -> int | None:
    return number if -LARGEST <= number <= LARGEST else None
