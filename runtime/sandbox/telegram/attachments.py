"""Turning what a call names (upload, attach://, file_id, URL) into files and the Bot API's file objects."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

import aiohttp

from runtime.sandbox.telegram import limits, media
from runtime.sandbox.telegram.calls import Call, Upload
from runtime.sandbox.telegram.errors import BadRequest
from runtime.sandbox.telegram.files import FileStore, StoredFile

MediaKind = Literal["photo", "video", "animation", "document"]
_DEFAULT_NAME = {"photo": "photo.jpg", "video": "video.mp4", "animation": "animation.mp4", "document": "document"}
_SHOWN_AS = {"photo": "Photo", "video": "Video", "animation": "Animation", "document": "Document"}


@dataclass(frozen=True, slots=True)
class Attachment:
    """A medium ready to be put into a message: its Bot API fields and the file that is shown."""

    media: dict[str, Any]
    file: StoredFile


@dataclass(frozen=True, slots=True)
class MediaHints:
    """What the sender claims about a medium; used where the file itself does not tell."""

    width: int = 0
    height: int = 0
    duration: int = 0
    cover: Upload | None = None
    thumbnail: Upload | None = None
    start_timestamp: int = 0
    detects_content_type: bool = True


class Attachments:
    """Makes attachments out of bytes and remembers them, so that a file_id can be sent again."""

    def __init__(self, files: FileStore) -> None:
        self._files = files
        self._made: dict[str, tuple[MediaKind, Attachment]] = {}

    async def from_call(self, call: Call, named: str, value: str, kind: MediaKind, hints: MediaHints) -> Attachment:
        """The attachment a call means by `value` (or by an upload called `named`).

        Raises: BadRequest when it names nothing that can be used.
        """
        upload = find_upload(call, named, value)
        if upload is not None:
            return await self.from_upload(upload, kind, hints)
        if urlsplit(value).scheme in ("http", "https"):
            return await self.from_upload(await _fetch(value, kind), kind, hints)
        known = self._made.get(value)
        if known is None:
            raise BadRequest("wrong file identifier/HTTP URL specified")
        known_kind, attachment = known
        if known_kind != kind:
            raise BadRequest(f"can't use file of type {_SHOWN_AS[known_kind]} as {_SHOWN_AS[kind]}")
        return attachment

    async def from_upload(self, upload: Upload, kind: MediaKind, hints: MediaHints) -> Attachment:
        """As `make`, with the pixel work off the event loop."""
        if kind == "photo":
            pictures = await asyncio.to_thread(media.photo_sizes, upload.content)
            return self._photo(pictures)
        return await asyncio.to_thread(self.make, upload, kind, hints)

    def make(self, upload: Upload, kind: MediaKind, hints: MediaHints = MediaHints()) -> Attachment:
        """An attachment of these bytes. Raises: BadRequest when they are empty or no image for a photo."""
        if kind == "photo":
            return self._photo(media.photo_sizes(upload.content))
        if not upload.content:
            raise BadRequest("file must be non-empty")
        name = upload.name or _DEFAULT_NAME[kind]
        mime_type = media.mime_type(name, upload.content)
        if kind == "document" and hints.detects_content_type and mime_type == "image/gif":
            kind = "animation"
        footage = media.footage(upload.content) if kind != "document" or mime_type.startswith("video/") else None
        stored = self._files.add(kind, upload.content, name, mime_type)
        described: dict[str, Any] = {**stored.describe(), "file_name": name, "mime_type": mime_type}
        small = media.thumbnail(hints.thumbnail.content) if hints.thumbnail else None
        if small is None and footage:
            small = footage.thumbnail
        if small is None and mime_type.startswith("image/"):
            small = media.thumbnail(upload.content)
        if small is not None:
            described["thumbnail"] = described["thumb"] = self._size(small, "thumbnail")
        if kind in ("video", "animation"):
            described["width"] = footage.width if footage else hints.width
            described["height"] = footage.height if footage else hints.height
            described["duration"] = hints.duration or (footage.duration if footage else 0)
        if kind == "video":
            if hints.cover:
                described["cover"] = [self._size(size, "photo") for size in media.photo_sizes(hints.cover.content)]
            if hints.start_timestamp:
                described["start_timestamp"] = hints.start_timestamp
        fields: dict[str, Any] = {kind: described}
        if kind == "animation":
            fields["document"] = {
                key: described[key] for key in described if key not in ("width", "height", "duration")
            }
        attachment = Attachment(fields, stored)
        self._made[stored.file_id] = (kind, attachment)
        return attachment

    def _photo(self, pictures: list[media.Picture]) -> Attachment:
        sizes = [self._size(picture, "photo") for picture in pictures]
        largest = self._files.by_id(sizes[-1]["file_id"])
        assert largest is not None
        attachment = Attachment({"photo": sizes}, largest)
        for size in sizes:
            self._made[size["file_id"]] = ("photo", attachment)
        return attachment

    def _size(self, picture: media.Picture, kind: str) -> dict[str, Any]:
        stored = self._files.add(kind, picture.content, "photo.jpg", "image/jpeg")
        described = stored.describe()
        return {**described, "width": picture.width, "height": picture.height}


def find_upload(call: Call, named: str, value: str) -> Upload | None:
    """The uploaded part meant by `attach://part`, or the part called `named` itself."""
    if value.startswith("attach://"):
        return call.uploads.get(value.removeprefix("attach://"))
    return call.uploads.get(named) if named and not value else None


async def _fetch(url: str, kind: MediaKind) -> Upload:
    limit = limits.URL_PHOTO_BYTES if kind == "photo" else limits.URL_FILE_BYTES
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session,
            session.get(url) as response,
        ):
            if response.status != 200:
                raise BadRequest("failed to get HTTP URL content")
            content = await response.content.read(limit + 1)
            mime_type = response.content_type
    except (aiohttp.ClientError, TimeoutError, ValueError) as failed:
        raise BadRequest("failed to get HTTP URL content") from failed
    if len(content) > limit or (kind == "photo" and not mime_type.startswith("image/")):
        raise BadRequest("wrong type of the web page content")
    return Upload(urlsplit(url).path.rsplit("/", 1)[-1] or _DEFAULT_NAME[kind], content, mime_type)
