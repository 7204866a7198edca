"""Counting text as Telegram does: in UTF-16 code units, so a character outside the basic plane counts twice."""

from __future__ import annotations

from typing import Any

Entity = dict[str, Any]


def utf16_length(text: str) -> int:
    """Length of `text` in UTF-16 code units."""
    return len(text) + sum(character > "\uffff" for character in text)


def utf16_slice(text: str, offset: int, length: int) -> str:
    """The part of `text` an entity with this offset and length covers."""
    units = text.encode("utf-16-le")
    return units[offset * 2 : (offset + length) * 2].decode("utf-16-le", "replace")
