"""From an artifact's bytes to what a chat takes: metadata stripped, within Telegram's bounds. Call from a thread."""

from typing import TypeVar

from db.artifacts import Artifact
from runtime.api import VeilrunError
from runtime.chat.messages import UPLOAD_BYTES, Document, Medium, Photo, Video
from runtime.media import MediaError, fit_photo, probe, strip_metadata, thumbnail

Sendable = TypeVar("Sendable", bound=Medium)

_PLAYABLE = "video/mp4"  # sendVideo: other formats may be sent as documents


class CannotShow(VeilrunError):
    """The artifact cannot be sent. `size_bytes` is set if it is because of its size."""

    def __init__(self, reason: str, size_bytes: int | None = None) -> None:
        super().__init__(reason)
        self.size_bytes = size_bytes


def render(artifact: Artifact, content: bytes, stem: str) -> Medium:
    """The artifact as the chat shows it: a photo, a video, or a document where it can be neither.

    Raises: CannotShow.
    """
    try:
        medium: Medium | None = _photo(content, stem) if artifact.kind == "image" else _video(content, stem)
    except MediaError as error:
        raise CannotShow(f"not fit to be sent ({type(error).__name__})") from error
    return _bounded(medium) if medium else render_original(content, stem)


def render_original(content: bytes, stem: str) -> Document:
    """The artifact as a file, pixel by pixel as it was made. Raises: CannotShow."""
    try:
        stripped = strip_metadata(content)
        return _bounded(Document(stripped, stem + probe(stripped).suffix))
    except MediaError as error:
        raise CannotShow(f"not fit to be sent ({type(error).__name__})") from error


def _photo(content: bytes, stem: str) -> Photo | None:
    picture = fit_photo(content)
    return Photo(picture.content, stem + picture.suffix) if picture else None


def _video(content: bytes, stem: str) -> Video | None:
    facts = probe(content)
    if facts.media_type != _PLAYABLE:
        return None
    return Video(
        strip_metadata(content),
        stem + facts.suffix,
        width=facts.width,
        height=facts.height,
        duration_seconds=facts.duration_seconds,
        thumbnail=thumbnail(content),
    )


def _bounded(medium: Sendable) -> Sendable:
    if len(medium.content) > UPLOAD_BYTES:
        raise CannotShow("too large for Telegram", len(medium.content))
    return medium
