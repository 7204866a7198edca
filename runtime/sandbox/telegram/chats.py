"""People, chats and messages: the things a Bot API update talks about, and how they are written in JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from runtime.sandbox.telegram.entities import NO_TEXT, FormattedText
from runtime.sandbox.telegram.files import StoredFile

GENERAL_TOPIC = 1
"""A supergroup's first message is its own creation, and its number names the General topic."""


@dataclass(slots=True)
class Account:
    """A person, or the bot."""

    id: int
    first_name: str
    username: str
    language: str = "en"
    is_bot: bool = False
    is_deactivated: bool = False

    def to_json(self) -> dict[str, Any]:
        account: dict[str, Any] = {"id": self.id, "is_bot": self.is_bot, "first_name": self.first_name}
        if self.username:
            account["username"] = self.username
        if not self.is_bot:
            account["language_code"] = self.language
        return account


@dataclass(slots=True)
class ChatAction:
    """ "sending photo…": shown until `until` (clock seconds) or the bot's next message."""

    name: str
    until: float
    thread_id: int | None = None


@dataclass(slots=True)
class ChatRoom:
    """A private chat (its id is the user's), or a supergroup, with or without topics."""

    id: int
    kind: str
    title: str
    members: dict[int, Account]
    is_forum: bool = False
    bot_status: str = "member"
    is_deleted: bool = False
    migrated_to: int | None = None
    topics: dict[int, str] = field(default_factory=dict)
    messages: dict[int, ChatMessage] = field(default_factory=dict)
    action: ChatAction | None = None

    @property
    def is_private(self) -> bool:
        return self.kind == "private"

    def to_json(self) -> dict[str, Any]:
        if self.is_private:
            owner = self.members[self.id]
            shown = {"id": self.id, "type": "private", "first_name": owner.first_name}
            return {**shown, "username": owner.username} if owner.username else shown
        shown = {"id": self.id, "type": self.kind, "title": self.title}
        return {**shown, "is_forum": True} if self.is_forum else shown


@dataclass(slots=True, eq=False)
class ChatMessage:
    """One message, as the chat holds it now; edits change it in place.

    media: the Bot API fields of its medium, such as {"photo": [...]}; file: the bytes of what is shown.
    """

    room: ChatRoom
    message_id: int
    date: int
    sender: Account
    body: FormattedText = NO_TEXT
    media: dict[str, Any] = field(default_factory=dict)
    file: StoredFile | None = None
    service: dict[str, Any] = field(default_factory=dict)
    reply_to: ChatMessage | None = None
    thread_id: int | None = None
    inline_keyboard: list[list[dict[str, Any]]] | None = None
    media_group_id: str | None = None
    edit_date: int | None = None
    flags: dict[str, Any] = field(default_factory=dict)
    reactions: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    is_deleted: bool = False

    @property
    def text(self) -> str | None:
        return None if self.media or self.service else self.body.text

    @property
    def caption(self) -> str | None:
        return (self.body.text or None) if self.media else None

    @property
    def photo(self) -> list[dict[str, Any]] | None:
        return self.media.get("photo")

    @property
    def video(self) -> dict[str, Any] | None:
        return self.media.get("video")

    @property
    def document(self) -> dict[str, Any] | None:
        return self.media.get("document")

    @property
    def content(self) -> bytes | None:
        """Bytes of the photo (largest size), video or document."""
        return self.file.content if self.file else None

    @property
    def from_bot(self) -> bool:
        return self.sender.is_bot

    @property
    def is_edited(self) -> bool:
        return self.edit_date is not None

    @property
    def buttons(self) -> list[list[str]]:
        """Texts of the inline keyboard, row by row."""
        return [[button["text"] for button in row] for row in self.inline_keyboard or []]

    def to_json(self, *, with_reply: bool = True) -> dict[str, Any]:
        """A Bot API Message. The message replied to is included one level deep."""
        shown: dict[str, Any] = {
            "message_id": self.message_id,
            "from": self.sender.to_json(),
            "chat": self.room.to_json(),
            "date": self.date,
        }
        if self.thread_id is not None:
            shown["message_thread_id"] = self.thread_id
            if self.room.is_forum:
                shown["is_topic_message"] = True
        if self.edit_date is not None:
            shown["edit_date"] = self.edit_date
        if self.reply_to is not None and with_reply:
            shown["reply_to_message"] = self.reply_to.to_json(with_reply=False)
        if self.media_group_id:
            shown["media_group_id"] = self.media_group_id
        shown.update(self.media)
        shown.update(self.service)
        shown.update(self.flags)
        field_name, entities_name = ("caption", "caption_entities") if self.media else ("text", "entities")
        if self.body.text:
            shown[field_name] = self.body.text
            if self.body.entities:
                shown[entities_name] = [dict(entity) for entity in self.body.entities]
        if self.inline_keyboard:
            shown["reply_markup"] = {"inline_keyboard": self.inline_keyboard}
        return shown
