"""Sending several media as Telegram wants them: albums of 2 to 10, documents apart from pictures and videos."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import groupby
from typing import TypeVar

from runtime.chat.buttons import Keyboard
from runtime.chat.errors import Refused, TelegramFailed
from runtime.chat.gateway import ChatAction, TelegramGateway
from runtime.chat.messages import ALBUM_SIZE, Document, Medium, Place, Sent, Video

SLOW_UPLOAD_BYTES = 1_000_000
ACTION_SECONDS = 4.0  # a chat action lasts 5 s

Item = TypeVar("Item")


def tens(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """The items in order, as many at a time as one album holds."""
    return (items[start : start + ALBUM_SIZE] for start in range(0, len(items), ALBUM_SIZE))


def runs(media: Sequence[Medium]) -> list[int]:
    """How many go into each message, in order: documents do not share an album with pictures and videos."""
    return [len(list(run)) for _, run in groupby(media, key=lambda medium: isinstance(medium, Document))]


async def send_media(
    gateway: TelegramGateway, place: Place, media: Sequence[Medium], caption: str = "", buttons: Keyboard = ()
) -> list[Sent]:
    """Send one medium with buttons, or 2 to 10 as an album, which takes none, while the chat shows an upload.

    What Telegram refuses as a picture or video goes as a file. Raises: TelegramFailed.
    """
    async with _shows_upload(gateway, place, media):
        try:
            return await _send(gateway, place, media, caption, buttons)
        except Refused:
            if all(isinstance(medium, Document) for medium in media):
                raise
        documents = [Document(medium.content, medium.name) for medium in media]
        return await _send(gateway, place, documents, caption, buttons)


async def _send(
    gateway: TelegramGateway, place: Place, media: Sequence[Medium], caption: str, buttons: Keyboard
) -> list[Sent]:
    if len(media) > 1:
        return await gateway.send_album(place, media, caption)
    return [await gateway.send_medium(place, media[0], caption, buttons)]


@contextlib.asynccontextmanager
async def _shows_upload(gateway: TelegramGateway, place: Place, media: Sequence[Medium]) -> AsyncIterator[None]:
    """Show "sending a photo…" and the like, while it takes long enough to be noticed."""
    if sum(len(medium.content) for medium in media) < SLOW_UPLOAD_BYTES:
        yield
        return
    showing = asyncio.create_task(_keep_showing(gateway, place, _action(media[0])))
    try:
        yield
    finally:
        showing.cancel()
        await asyncio.wait([showing])


async def _keep_showing(gateway: TelegramGateway, place: Place, action: ChatAction) -> None:
    with contextlib.suppress(TelegramFailed):  # an ornament: the upload itself meets whatever is wrong
        while True:
            await gateway.chat_action(place, action)
            await asyncio.sleep(ACTION_SECONDS)


def _action(medium: Medium) -> ChatAction:
    if isinstance(medium, Document):
        return "upload_document"
    return "upload_video" if isinstance(medium, Video) else "upload_photo"
