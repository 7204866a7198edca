"""The parts of a Bot API update that have an effect here. Everything else is skipped while decoding.

python-telegram-bot's objects hold all of it and take about a hundred times as long to make.
"""

from typing import Annotated, Literal, TypeAlias

import msgspec

from runtime.dispatch.salvage import NotUnderstood, is_clean, salvaged

__all__ = ["NotUnderstood", "Update", "read_update"]

Number: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""What a bigint holds."""

Pixels: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]

ChatKind: TypeAlias = Literal["private", "group", "supergroup", "channel"]


class User(msgspec.Struct, frozen=True):
    id: Number
    is_bot: bool = False
    language_code: str | None = None


class Chat(msgspec.Struct, frozen=True):
    id: Number
    type: ChatKind | None = None

    @property
    def kind(self) -> ChatKind:
        """As it says, or as its id tells: groups have ids below 0."""
        return self.type or ("private" if self.id > 0 else "supergroup")

    @property
    def is_private(self) -> bool:
        return self.kind == "private"


class PhotoSize(msgspec.Struct, frozen=True):
    file_id: str
    width: Pixels = 0
    height: Pixels = 0
    file_size: Number | None = None


class Document(msgspec.Struct, frozen=True):
    file_id: str
    file_name: str | None = None
    mime_type: str | None = None
    file_size: Number | None = None


class Video(msgspec.Struct, frozen=True):
    file_id: str
    width: Pixels = 0
    height: Pixels = 0
    duration: float = 0
    mime_type: str | None = None
    file_size: Number | None = None


class Sticker(msgspec.Struct, frozen=True):
    file_id: str
    width: Pixels = 0
    height: Pixels = 0
    is_animated: bool = False
    is_video: bool = False
    file_size: Number | None = None


class Recording(msgspec.Struct, frozen=True):
    file_id: str


class Attachment(msgspec.Struct, frozen=True):
    """What a message may show besides its words."""

    photo: tuple[PhotoSize, ...] = ()
    document: Document | None = None
    video: Video | None = None
    animation: Video | None = None
    sticker: Sticker | None = None
    audio: Recording | None = None
    voice: Recording | None = None
    video_note: Recording | None = None

    @property
    def has_file(self) -> bool:
        """Whether it shows anything at all, or plays it."""
        files = (self.document, self.video, self.animation, self.sticker, self.audio, self.voice, self.video_note)
        return bool(self.photo) or any(files)


class Message(Attachment, frozen=True, kw_only=True, rename={"user": "from"}):
    """external_reply: what a message in another chat shows that this one replies to."""

    message_id: Number
    chat: Chat
    user: User | None = None
    text: str | None = None
    caption: str | None = None
    reply_to_message: "Message | None" = None
    external_reply: Attachment | None = None
    media_group_id: str | None = None
    message_thread_id: Number | None = None
    is_topic_message: bool = False
    is_automatic_forward: bool = False
    migrate_to_chat_id: Number | None = None

    @property
    def words(self) -> str:
        """What is written in it, as text or as caption."""
        return self.text or self.caption or ""

    @property
    def topic(self) -> int | None:
        """The forum topic to answer in; in groups without topics a thread id is only a chain of replies."""
        return self.message_thread_id if self.is_topic_message else None

    @property
    def replied(self) -> "Message | None":
        """The message it replies to. Whatever is written in a forum topic seems to reply to the topic itself."""
        replied = self.reply_to_message
        if replied is not None and self.is_topic_message and replied.message_id == self.message_thread_id:
            return None
        return replied


class CallbackQuery(msgspec.Struct, frozen=True, rename={"user": "from"}):
    id: str
    user: User
    message: Message | None = None
    data: str | None = None


class Member(msgspec.Struct, frozen=True):
    """is_member: false for somebody restricted who has left."""

    status: str
    is_member: bool = True

    @property
    def is_here(self) -> bool:
        """Whether it can read and write in the chat, as far as that goes."""
        return self.status in ("creator", "administrator", "member", "restricted") and self.is_member


class MemberUpdated(msgspec.Struct, frozen=True, rename={"user": "from"}):
    chat: Chat
    new_chat_member: Member
    user: User | None = None


class Update(msgspec.Struct, frozen=True):
    update_id: Number
    message: Message | None = None
    callback_query: CallbackQuery | None = None
    my_chat_member: MemberUpdated | None = None


_decode = msgspec.json.Decoder(Update).decode


def read_update(body: bytes) -> Update:
    """The update in `body`; of one with odd fields, what can be understood. Raises: NotUnderstood."""
    try:
        if is_clean(body):
            return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as odd:
        return salvaged(body, Update, odd)
    except RecursionError as error:
        raise NotUnderstood("the update is nested without end") from error
    return salvaged(body, Update)
