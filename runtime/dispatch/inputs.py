"""Which pictures a command works on: those it comes with, those it replies to, else the user's last result here."""

import mimetypes
from dataclasses import replace

from db import artifacts, chats
from db.artifacts import Artifact, NewArtifact
from runtime.api import ImageInput, VeilrunError
from runtime.dispatch.effects import Scene
from runtime.dispatch.update import Attachment, Document, Message, Sticker, Video

DOWNLOAD_BYTES = 20 * 1024 * 1024  # Bot API, getFile


class Unusable(VeilrunError):
    """The command cannot have its pictures. The text says what to send, ready to be shown."""


def incoming(shown: Attachment) -> NewArtifact | None:
    """The picture or video that a message shows, as an artifact; None if it shows none."""
    if shown.photo:
        largest = max(shown.photo, key=lambda size: size.width * size.height)
        return NewArtifact(
            "image",
            "image/jpeg",
            size_bytes=largest.file_size,
            width=largest.width,
            height=largest.height,
            telegram_file_id=largest.file_id,
        )
    if film := shown.video or shown.animation:  # an animation comes as a document too
        return _film(film)
    if shown.sticker:
        return _sticker(shown.sticker)
    return _file(shown.document) if shown.document else None


def _film(film: Video) -> NewArtifact:
    return NewArtifact(
        "video",
        film.mime_type or "video/mp4",
        size_bytes=film.file_size,
        width=film.width,
        height=film.height,
        duration_seconds=film.duration,
        telegram_file_id=film.file_id,
    )


def _sticker(sticker: Sticker) -> NewArtifact:
    moves = sticker.is_animated or sticker.is_video
    return NewArtifact(
        "video" if moves else "image",
        "video/webm" if moves else "image/webp",
        size_bytes=sticker.file_size,
        width=sticker.width,
        height=sticker.height,
        telegram_file_id=sticker.file_id,
    )


def _file(document: Document) -> NewArtifact | None:
    media_type = (document.mime_type or mimetypes.guess_type(document.file_name or "")[0] or "").lower()
    for kind in ("image", "video"):
        if media_type.startswith(f"{kind}/"):
            return NewArtifact(kind, media_type, size_bytes=document.file_size, telegram_file_id=document.file_id)
    return None


async def gather(scene: Scene, message: Message, user_id: int, wanted: ImageInput, word: str) -> list[Artifact]:
    """The artifacts for `wanted`, in order, at most `wanted.high`. Raises: Unusable."""
    sources = await _attached(scene, message, user_id, wanted, word)
    if len(sources) < wanted.high:
        sources += await _replied_to(scene, message, user_id, word)
    if not sources and wanted.low > 0:
        sources = await _last_result(scene, message, user_id)
    chosen = list({source.id: source for source in sources}.values())[: wanted.high]
    for source in chosen:
        check_usable(scene, source, word)
    if len(chosen) < wanted.low and not (chosen and may_grow(message, wanted)):
        key = "dispatch.no_picture" if not chosen else "dispatch.too_few_pictures"
        raise Unusable(scene.say(key, command=word, count=wanted.low))
    return chosen


def may_grow(message: Message, wanted: ImageInput | None) -> bool:
    """Whether further pictures of the message's album may belong to the command as well."""
    return message.media_group_id is not None and wanted is not None and wanted.high > 1


def check_usable(scene: Scene, source: Artifact, word: str) -> None:
    """See that `/word` can work on this. Raises: Unusable."""
    if source.kind != "image":
        raise Unusable(scene.say("dispatch.not_a_picture", command=word))
    if (source.size_bytes or 0) > DOWNLOAD_BYTES and source.telegram_file_id and source.job_id is None:
        raise Unusable(scene.say("dispatch.picture_too_large", megabytes=DOWNLOAD_BYTES // 2**20))


async def keep(scene: Scene, message: Message, user_id: int) -> Artifact | None:
    """Remember the picture of this message, if it shows one, for a command that follows or belongs to its album."""
    found = incoming(message)
    return await _kept(scene, _shown_by(message, found, user_id)) if found else None


async def _attached(scene: Scene, message: Message, user_id: int, wanted: ImageInput, word: str) -> list[Artifact]:
    _check_kind(scene, message, word)
    kept = await keep(scene, message, user_id)
    if kept is None:
        return []
    if message.media_group_id is None or wanted.high == 1:
        return [kept]
    return await artifacts.of_media_group(scene.connection, message.chat.id, message.media_group_id)


async def _replied_to(scene: Scene, message: Message, user_id: int, word: str) -> list[Artifact]:
    replied = message.replied
    if replied is None:
        return await _replied_to_elsewhere(scene, message, user_id, word)
    known = await artifacts.of_message(scene.connection, message.chat.id, replied.message_id)
    if known is not None:  # our own copy is the uncompressed one
        return [known]
    _check_kind(scene, replied, word)
    found = await keep(scene, replied, replied.user.id if replied.user else user_id)
    return [found] if found else []


async def _replied_to_elsewhere(scene: Scene, message: Message, user_id: int, word: str) -> list[Artifact]:
    shown = message.external_reply
    if shown is None:
        return []
    _check_kind(scene, shown, word)
    found = incoming(shown)
    return [await _kept(scene, replace(found, chat_id=message.chat.id, user_id=user_id))] if found else []


async def _last_result(scene: Scene, message: Message, user_id: int) -> list[Artifact]:
    artifact_id = await chats.last_artifact(scene.connection, message.chat.id, user_id)
    found = await artifacts.get(scene.connection, artifact_id) if artifact_id is not None else None
    return [found] if found else []


def _check_kind(scene: Scene, shown: Attachment, word: str) -> None:
    """A file that is neither picture nor video is not passed over in favour of another picture."""
    if shown.has_file and incoming(shown) is None:
        raise Unusable(scene.say("dispatch.not_a_medium", command=word))


def _shown_by(message: Message, found: NewArtifact, user_id: int) -> NewArtifact:
    return replace(
        found,
        chat_id=message.chat.id,
        user_id=user_id,
        message_id=message.message_id,
        media_group_id=message.media_group_id,
    )


async def _kept(scene: Scene, found: NewArtifact) -> Artifact:
    artifact_id = await artifacts.add(scene.connection, found)
    return Artifact(**{name: getattr(found, name) for name in NewArtifact.__slots__}, id=artifact_id)
