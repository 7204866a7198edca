"""The Bot API's methods, one module per family; importing this package fills the table."""

from __future__ import annotations

from runtime.sandbox.telegram.methods import (
    callbacks,
    chat,
    commands,
    delete,
    edit,
    identity,
    reactions,
    send,
    send_media,
    webhook,
)
from runtime.sandbox.telegram.methods.table import Answer, Bench, find_method

__all__ = [
    "Answer",
    "Bench",
    "callbacks",
    "chat",
    "commands",
    "delete",
    "edit",
    "find_method",
    "identity",
    "reactions",
    "send",
    "send_media",
    "webhook",
]
