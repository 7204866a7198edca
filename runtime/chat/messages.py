"""What is sent to a chat, as plain values: where to, which medium, and what came back."""

from dataclasses import dataclass, field
from typing import TypeAlias

from runtime.chat.buttons import Keyboard


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message goes: a chat, a topic of a forum, and the message it answers (if that still exists)."""

    chat_id: int
    thread_id: int | None = None
    reply_to: int | None = None


@dataclass(frozen=True, slots=True)
class Photo:
    """A picture that Telegram shows, recompressed by Telegram: at most 10 MB and width + height 10000."""

    content: bytes = field(repr=False)
    name: str = "photo.jpg"


@dataclass(frozen=True, slots=True)
class Video:
    """A video that plays in the chat. Sizes in pixels and seconds; thumbnail: JPEG under 200 kB, at most 320 px."""

    content: bytes = field(repr=False)
    name: str = "video.mp4"
    width: int | None = None
    height: int | None = None
    duration_seconds: float | None = None
    thumbnail: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Document:
    """A file that arrives as it is."""

    content: bytes = field(repr=False)
    name: str


Medium: TypeAlias = Photo | Video | Document

UPLOAD_BYTES = 50_000_000
"""Largest upload of a bot (Bot API, sending files), in bytes."""

ALBUM_SIZE = 10
"""Most media of one sendMediaGroup; the fewest are 2."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that is in the chat now. file_id: Telegram's name for the medium, to send it again without upload."""

    message_id: int
    file_id: str | None = None


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a message of text says."""

    text: str
    buttons: Keyboard = ()
