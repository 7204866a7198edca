"""The parts of a Bot API update that have an effect here. Everything else is skipped while decoding.

python-telegram-bot's objects hold all of it and take about a hundred times as long to make.
"""

from typing import Literal

import msgspec

from runtime.api import VeilrunError


class NotUnderstood(VeilrunError):
    """The update has a field of an unexpected type: it can never take effect."""


class User(msgspec.Struct, frozen=True):
    id: int
    is_bot: bool = False
    language_code: str | None = None


class Chat(msgspec.Struct, frozen=True):
    id: int
    type: str = "private"

    @property
    def is_private(self) -> bool:
        return self.type == "private"


class PhotoSize(msgspec.Struct, frozen=True):
    file_id: str
    width: int
    height: int
    file_size: int | None = None


class Document(msgspec.Struct, frozen=True):
    file_id: str
    mime_type: str | None = None
    file_size: int | None = None


class Video(msgspec.Struct, frozen=True):
    file_id: str
    width: int = 0
    height: int = 0
    duration: float = 0
    mime_type: str | None = None
    file_size: int | None = None


class Message(msgspec.Struct, frozen=True, rename={"user": "from"}):
    message_id: int
    chat: Chat
    user: User | None = None
    text: str | None = None
    caption: str | None = None
    photo: tuple[PhotoSize, ...] = ()
    document: Document | None = None
    video: Video | None = None
    animation: Video | None = None
    reply_to_message: "Message | None" = None
    media_group_id: str | None = None
    message_thread_id: int | None = None
    is_topic_message: bool = False
    migrate_to_chat_id: int | None = None

    @property
    def words(self) -> str:
        """What is written in it, as text or as caption."""
        return self.text or self.caption or ""

    @property
    def topic(self) -> int | None:
        """The forum topic to answer in; in groups without topics a thread id is only a chain of replies."""
        return self.message_thread_id if self.is_topic_message else None


class CallbackQuery(msgspec.Struct, frozen=True, rename={"user": "from"}):
    id: str
    user: User
    message: Message | None = None
    data: str | None = None


class Member(msgspec.Struct, frozen=True):
    status: Literal["creator", "administrator", "member", "restricted", "left", "kicked"] | str


class MemberUpdated(msgspec.Struct, frozen=True, rename={"user": "from"}):
    chat: Chat
    new_chat_member: Member
    user: User | None = None


class Update(msgspec.Struct, frozen=True):
    update_id: int
    message: Message | None = None
    callback_query: CallbackQuery | None = None
    my_chat_member: MemberUpdated | None = None


_decode = msgspec.json.Decoder(Update).decode


def read_update(body: bytes) -> Update:
    """The update in `body`. Raises: NotUnderstood."""
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotUnderstood("the update has an unexpected shape") from error
