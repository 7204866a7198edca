"""Which pictures a command works on: those it comes with, those it replies to, else the user's last result here."""

from collections.abc import Sequence
from dataclasses import replace

from db import artifacts, chats
from db.artifacts import Artifact, NewArtifact
from runtime.api import ImageInput, Medium, VeilrunError
from runtime.dispatch.effects import Scene
from runtime.dispatch.update import Message, Video

DOWNLOAD_BYTES = 20 * 1024 * 1024  # Bot API, getFile


class Unusable(VeilrunError):
    """The command cannot have its pictures. The text says what to send, ready to be shown."""


def incoming(message: Message, user_id: int | None) -> NewArtifact | None:
    """The picture or video that the message shows, as an artifact; None if it shows none."""
    found: NewArtifact | None = None
    if message.photo:
        largest = max(message.photo, key=lambda size: size.width * size.height)
        found = NewArtifact(
            "image",
            "image/jpeg",
            size_bytes=largest.file_size,
            width=largest.width,
            height=largest.height,
            telegram_file_id=largest.file_id,
        )
    elif film := message.video or message.animation:
        found = _film(film)
    elif (document := message.document) and (document.mime_type or "").startswith(("image/", "video/")):
        kind, media_type = ("image" if document.mime_type[:6] == "image/" else "video"), document.mime_type  # type: ignore[index]
        found = NewArtifact(
            kind,  # type: ignore[arg-type]
            media_type or "",
            size_bytes=document.file_size,
            telegram_file_id=document.file_id,
        )
    if found is None:
        return None
    return replace(
        found,
        chat_id=message.chat.id,
        user_id=user_id,
        message_id=message.message_id,
        media_group_id=message.media_group_id,
    )


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


async def gather(scene: Scene, message: Message, user_id: int, wanted: ImageInput, word: str) -> list[Artifact]:
    """The artifacts for `wanted`, in order, at most `wanted.high`. Raises: Unusable."""
    sources = await _attached(scene, message, user_id) + await _replied_to(scene, message, user_id)
    if not sources and wanted.low > 0:
        sources = await _last_result(scene, message, user_id)
    seen: dict[int, Artifact] = {}
    for source in sources:
        _check(scene, source, word)
        seen.setdefault(source.id, source)
    if len(seen) < wanted.low:
        key = "dispatch.no_picture" if not seen else "dispatch.too_few_pictures"
        raise Unusable(scene.say(key, command=word, count=wanted.low))
    return list(seen.values())[: wanted.high]


async def keep(scene: Scene, message: Message, user_id: int) -> Artifact | None:
    """Remember the picture of this message, if it shows one, for a command that follows or belongs to its album."""
    found = incoming(message, user_id)
    return await _kept(scene, found) if found else None


def media(sources: Sequence[Artifact]) -> tuple[Medium, ...]:
    """The artifacts as plugins see them."""
    return tuple(Medium(s.kind, s.media_type, s.size_bytes, s.width, s.height, s.duration_seconds) for s in sources)


async def _attached(scene: Scene, message: Message, user_id: int) -> list[Artifact]:
    kept = await keep(scene, message, user_id)
    if kept is None:
        return []
    if message.media_group_id is None:
        return [kept]
    album = await artifacts.of_media_group(scene.connection, message.chat.id, message.media_group_id)
    return album or [kept]


async def _replied_to(scene: Scene, message: Message, user_id: int) -> list[Artifact]:
    replied = message.reply_to_message
    if replied is None:
        return []
    known = await artifacts.of_message(scene.connection, message.chat.id, replied.message_id)
    if known is not None:  # our own copy is the uncompressed one
        return [known]
    found = incoming(replied, replied.user.id if replied.user else user_id)
    return [await _kept(scene, found)] if found else []


async def _last_result(scene: Scene, message: Message, user_id: int) -> list[Artifact]:
    artifact_id = await chats.last_artifact(scene.connection, message.chat.id, user_id)
    found = await artifacts.get(scene.connection, artifact_id) if artifact_id is not None else None
    return [found] if found else []


async def _kept(scene: Scene, found: NewArtifact) -> Artifact:
    artifact_id = await artifacts.add(scene.connection, found)
    return Artifact(**{name: getattr(found, name) for name in NewArtifact.__slots__}, id=artifact_id)


def _check(scene: Scene, source: Artifact, word: str) -> None:
    if source.kind != "image":
        raise Unusable(scene.say("dispatch.not_a_picture", command=word))
    if (source.size_bytes or 0) > DOWNLOAD_BYTES and source.telegram_file_id and source.job_id is None:
        raise Unusable(scene.say("dispatch.picture_too_large", megabytes=DOWNLOAD_BYTES // 2**20))
