"""sendPhoto, sendVideo, sendAnimation, sendDocument, sendMediaGroup, and getFile."""

from __future__ import annotations

import json
from typing import Any

from runtime.sandbox.telegram import limits
from runtime.sandbox.telegram.attachments import Attachment, MediaHints, MediaKind, find_upload
from runtime.sandbox.telegram.calls import Call
from runtime.sandbox.telegram.entities import FormattedText, format_caption
from runtime.sandbox.telegram.errors import BadRequest
from runtime.sandbox.telegram.methods.placing import placing
from runtime.sandbox.telegram.methods.table import Bench, method

_ALBUM_KINDS = ("photo", "video", "document", "audio")
_KINDS: tuple[MediaKind, ...] = ("photo", "video", "animation", "document")


def _register(kind: MediaKind) -> None:
    @method(f"send{kind.capitalize()}")
    async def send(bench: Bench, call: Call) -> dict[str, Any]:
        value = call.text(kind)
        if not value and kind not in call.uploads:
            raise BadRequest(f"there is no {kind} in the request")
        body = format_caption(
            call.text("caption"), call.text("parse_mode"), call.structure("caption_entities", "caption entities")
        )
        placing(bench.world, call)
        attachment = await bench.attachments.from_call(call, kind, value, kind, _hints(call, call.arguments))
        place = placing(bench.world, call)
        return bench.world.post(
            place.room,
            bench.world.bot,
            body,
            media=attachment.media,
            file=attachment.file,
            reply_to=place.reply_to,
            thread_id=place.thread_id,
            inline_keyboard=place.keyboard,
            flags={**place.flags, **_shown(call.arguments)},
        ).to_json()


for _kind in _KINDS:
    _register(_kind)


@method("sendMediaGroup")
async def send_media_group(bench: Bench, call: Call) -> list[dict[str, Any]]:
    """2 to 10 media of one sort; all messages share media_group_id. reply_markup is ignored, as on Telegram."""
    items = call.structure("media", "media")
    if items is None:
        raise BadRequest('parameter "media" is required')
    if not isinstance(items, list):
        raise BadRequest("expected an Array of InputMedia")
    if len(items) > limits.ALBUM_MAX:
        raise BadRequest("too many messages to send as an album")
    if len(items) < limits.ALBUM_MIN:
        raise BadRequest("group send failed: an album must have at least 2 items" if items else "there are no media")
    placing(bench.world, call, with_keyboard=False)
    kinds = {str(item.get("type")) for item in items if isinstance(item, dict)}
    if "animation" in kinds:
        raise BadRequest("can't parse InputMedia: type \"animation\" can't be used in sendMediaGroup")
    if len(kinds) > 1 and not kinds <= {"photo", "video"}:
        raise BadRequest("Can't use the media of the specified type in the album")
    prepared = [await input_media(bench, call, item) for item in items]
    place = placing(bench.world, call, with_keyboard=False)
    group = str(bench.world.new_number(17))
    return [
        bench.world.post(
            place.room,
            bench.world.bot,
            body,
            media=attachment.media,
            file=attachment.file,
            reply_to=place.reply_to,
            thread_id=place.thread_id,
            media_group_id=group,
            flags={**place.flags, **flags},
        ).to_json()
        for attachment, body, flags in prepared
    ]


async def input_media(bench: Bench, call: Call, item: Any) -> tuple[Attachment, FormattedText, dict[str, Any]]:
    """One InputMedia: its attachment, caption and flags. Raises: BadRequest "can't parse InputMedia: …"."""
    if not isinstance(item, dict):
        raise BadRequest("can't parse InputMedia: expected an Object")
    body = format_caption(
        str(item.get("caption") or ""), str(item.get("parse_mode") or ""), item.get("caption_entities")
    )
    kind = item.get("type")
    named = str(item.get("media") or "")
    if not named or (named.startswith("attach://") and find_upload(call, "", named) is None):
        raise BadRequest("can't parse InputMedia: media not found")
    if kind not in _KINDS:
        raise BadRequest(f'can\'t parse InputMedia: type "{kind}" is unsupported')
    fields = {name: _as_text(value) for name, value in item.items() if value is not None}
    attachment = await bench.attachments.from_call(call, "", named, kind, _hints(call, fields))
    return attachment, body, _shown(fields)


@method("getFile")
async def get_file(bench: Bench, call: Call) -> dict[str, Any]:
    if not call.text("file_id"):
        raise BadRequest("file_id not specified")
    stored = bench.world.files.for_download(call.text("file_id"))
    return {**stored.describe(), "file_path": stored.path}


def _hints(call: Call, fields: dict[str, str]) -> MediaHints:
    claimed = Call(call.method, fields)
    small = find_upload(call, "thumbnail", fields.get("thumbnail", fields.get("thumb", "")))
    return MediaHints(
        width=claimed.integer("width", low=0, high=10_000),
        height=claimed.integer("height", low=0, high=10_000),
        duration=claimed.integer("duration", low=0, high=86_400),
        cover=find_upload(call, "cover", fields.get("cover", "")),
        thumbnail=small if small and len(small.content) <= limits.THUMBNAIL_BYTES else None,
        start_timestamp=claimed.integer("start_timestamp", low=0, high=86_400),
        detects_content_type=not claimed.flag("disable_content_type_detection"),
    )


def _shown(fields: dict[str, str]) -> dict[str, Any]:
    claimed = Call("", fields)
    flags: dict[str, Any] = {}
    if claimed.flag("has_spoiler"):
        flags["has_media_spoiler"] = True
    if claimed.flag("show_caption_above_media"):
        flags["show_caption_above_media"] = True
    return flags


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
