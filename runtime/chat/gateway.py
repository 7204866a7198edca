"""The Bot API as the rest of the program uses it: plain values in and out, typed errors, one count per call."""

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias, TypeVar

import telegram
from telegram.error import TelegramError

from runtime import metrics
from runtime.chat.buttons import Keyboard
from runtime.chat.errors import FileTooBig, OutcomeUnknown, Refused, TelegramFailed, TokenRefused
from runtime.chat.messages import Document, Medium, Photo, Place, Sent, Video
from runtime.chat.refusals import NOT_MODIFIED, QUERY_TOO_OLD, translated
from runtime.chat.wire import open_wire
from runtime.settings import Settings

Answer = TypeVar("Answer")
ChatAction: TypeAlias = Literal["typing", "upload_photo", "upload_video", "upload_document"]
MenuScope: TypeAlias = Literal["default", "all_private_chats", "all_group_chats"]

DOWNLOAD_BYTES = 20 * 1024 * 1024  # the official server's bound for getFile
CALL_SECONDS, EDIT_SECONDS, TRANSFER_SECONDS = 60.0, 15.0, 300.0


_SCOPES: dict[MenuScope, telegram.BotCommandScope] = {
    "default": telegram.BotCommandScopeDefault(),
    "all_private_chats": telegram.BotCommandScopeAllPrivateChats(),
    "all_group_chats": telegram.BotCommandScopeAllGroupChats(),
}


@dataclass(frozen=True, slots=True)
class Webhook:
    """What Telegram says about the webhook; `url` is empty while none is set.

    allowed_updates: empty = Telegram's own choice. ip_address: where it finds the host of `url`.
    """

    url: str
    pending_updates: int
    last_error: str | None
    max_connections: int | None
    allowed_updates: tuple[str, ...]
    last_error_at: datetime | None = None
    ip_address: str | None = None


@contextlib.asynccontextmanager
async def open_gateway(settings: Settings) -> AsyncIterator["TelegramGateway"]:
    """A gateway for the bot of `settings`. Nothing is sent to Telegram here, so it may be away at the start.

    Raises: SettingsInvalid without a token.
    """
    api_url = settings.telegram_api_url.rstrip("/")
    token = settings.bot_token
    wire = open_wire(api_url, settings.anon_dir if settings.telegram_via == "anon" else None)
    bot = telegram.Bot(
        token,
        base_url=lambda secret: f"{api_url}/bot{secret}",
        base_file_url=lambda secret: f"{api_url}/file/bot{secret}",
        request=wire,
        get_updates_request=wire,
    )
    try:
        yield TelegramGateway(bot)
    finally:
        await wire.shutdown()


class TelegramGateway:
    """One method per thing the bot does. Each raises a subclass of `TelegramFailed`; see `runtime.chat.errors`."""

    def __init__(self, bot: telegram.Bot) -> None:
        self._bot = bot
        self._username: str | None = None

    async def username(self) -> str:
        """The bot's username without @, asked once (getMe) and remembered."""
        if self._username is None:
            me = await self._call("getMe", self._bot.get_me())
            self._username = me.username or ""
        return self._username

    async def send_text(self, place: Place, text: str, buttons: Keyboard = ()) -> Sent:
        """Send a message of 1 to 4096 UTF-16 units; links in it get no preview."""
        call = self._bot.send_message(
            place.chat_id,
            text,
            message_thread_id=place.thread_id,
            reply_parameters=_reply(place),
            reply_markup=_markup(buttons),
            link_preview_options=_NO_PREVIEW,
        )
        return _sent(await self._call("sendMessage", call))

    async def send_photo(self, place: Place, photo: Photo, caption: str = "", buttons: Keyboard = ()) -> Sent:
        """Send a picture that the chat shows."""
        call = self._bot.send_photo(
            place.chat_id,
            _upload(photo),
            caption=caption or None,
            message_thread_id=place.thread_id,
            reply_parameters=_reply(place),
            reply_markup=_markup(buttons),
        )
        return _sent(await self._call("sendPhoto", call, TRANSFER_SECONDS))

    async def send_video(self, place: Place, video: Video, caption: str = "", buttons: Keyboard = ()) -> Sent:
        """Send a video that plays while it loads."""
        call = self._bot.send_video(
            place.chat_id,
            _upload(video),
            caption=caption or None,
            width=video.width,
            height=video.height,
            duration=_whole_seconds(video),
            thumbnail=video.thumbnail,
            supports_streaming=True,
            message_thread_id=place.thread_id,
            reply_parameters=_reply(place),
            reply_markup=_markup(buttons),
        )
        return _sent(await self._call("sendVideo", call, TRANSFER_SECONDS))

    async def send_document(self, place: Place, document: Document, caption: str = "", buttons: Keyboard = ()) -> Sent:
        """Send a file as it is."""
        call = self._bot.send_document(
            place.chat_id,
            _upload(document),
            caption=caption or None,
            disable_content_type_detection=True,
            message_thread_id=place.thread_id,
            reply_parameters=_reply(place),
            reply_markup=_markup(buttons),
        )
        return _sent(await self._call("sendDocument", call, TRANSFER_SECONDS))

    async def send_medium(self, place: Place, medium: Medium, caption: str = "", buttons: Keyboard = ()) -> Sent:
        """Send one medium by the method of its kind."""
        match medium:
            case Photo():
                return await self.send_photo(place, medium, caption, buttons)
            case Video():
                return await self.send_video(place, medium, caption, buttons)
            case Document():
                return await self.send_document(place, medium, caption, buttons)

    async def send_album(self, place: Place, media: Sequence[Medium], caption: str = "") -> list[Sent]:
        """Send 2 to 10 media as one album, in order, the caption under the first. Documents do not mix with others."""
        call = self._bot.send_media_group(
            place.chat_id,
            [_album_item(medium, caption if position == 0 else "") for position, medium in enumerate(media)],
            message_thread_id=place.thread_id,
            reply_parameters=_reply(place),
        )
        return [_sent(message) for message in await self._call("sendMediaGroup", call, TRANSFER_SECONDS)]

    async def edit_text(self, chat_id: int, message_id: int, text: str, buttons: Keyboard = ()) -> None:
        """Make the bot's message say `text` under exactly these buttons; saying so already is success."""
        call = self._bot.edit_message_text(
            text,
            chat_id=chat_id,
            message_id=message_id,
            reply_markup=_markup(buttons),
            link_preview_options=_NO_PREVIEW,
        )
        await self._unless("editMessageText", call, NOT_MODIFIED)

    async def delete(self, chat_id: int, message_id: int) -> None:
        """Delete the bot's message. Raises: MessageGone, also for one older than 48 h."""
        await self._call("deleteMessage", self._bot.delete_message(chat_id, message_id), EDIT_SECONDS)

    async def chat_action(self, place: Place, action: ChatAction) -> None:
        """Show what the bot is doing, for 5 seconds or until its next message."""
        call = self._bot.send_chat_action(place.chat_id, action, message_thread_id=place.thread_id)
        await self._call("sendChatAction", call)

    async def answer_callback(self, query_id: str, text: str | None = None, alert: bool = False) -> bool:
        """Answer a pressed button, with at most 200 characters. False: too late, the user's app gave up waiting."""
        call = self._bot.answer_callback_query(query_id, text, show_alert=alert)
        return await self._unless("answerCallbackQuery", call, QUERY_TOO_OLD)

    async def download(self, file_id: str, max_bytes: int = DOWNLOAD_BYTES) -> bytes:
        """The content of a file sent to the bot. Raises: FileTooBig above `max_bytes` or Telegram's own 20 MiB."""
        file = await self._call("getFile", self._bot.get_file(file_id))
        if file.file_size is not None and file.file_size > max_bytes:
            raise FileTooBig(f"the file has {file.file_size} bytes, {max_bytes} are allowed")
        try:
            content = await self._call("download", file.download_as_bytearray(), TRANSFER_SECONDS)
        except TokenRefused:  # 404: the link to the file has expired, not the token, which getFile just took
            raise Refused("the file is not available any more") from None
        if len(content) > max_bytes:
            raise FileTooBig(f"the file has {len(content)} bytes, {max_bytes} are allowed")
        return bytes(content)

    async def set_commands(
        self, commands: Sequence[tuple[str, str]], *, language: str | None = None, scope: MenuScope = "default"
    ) -> None:
        """Show (name, description) pairs in the menu: at most 100, names without /, descriptions 1 to 256 long."""
        call = self._bot.set_my_commands(commands, _SCOPES[scope], language or "")
        await self._call("setMyCommands", call)

    async def commands(
        self, *, language: str | None = None, scope: MenuScope = "default"
    ) -> tuple[tuple[str, str], ...]:
        """The menu as Telegram has it: (name, description) pairs."""
        known = await self._call("getMyCommands", self._bot.get_my_commands(_SCOPES[scope], language or ""))
        return tuple((command.command, command.description) for command in known)

    async def set_webhook(
        self,
        url: str,
        *,
        secret: str,
        allowed_updates: Sequence[str] = (),
        max_connections: int = 40,
        drop_pending: bool = False,
    ) -> None:
        """Have updates posted to `url`, with `secret` in X-Telegram-Bot-Api-Secret-Token."""
        call = self._bot.set_webhook(
            url,
            secret_token=secret,
            allowed_updates=list(allowed_updates),
            max_connections=max_connections,
            drop_pending_updates=drop_pending,
        )
        await self._call("setWebhook", call)

    async def webhook(self) -> Webhook:
        """Where updates are posted to, and how that goes."""
        found = await self._call("getWebhookInfo", self._bot.get_webhook_info())
        return Webhook(
            url=found.url,
            pending_updates=found.pending_update_count,
            last_error=found.last_error_message,
            max_connections=found.max_connections,
            allowed_updates=tuple(found.allowed_updates or ()),
            last_error_at=found.last_error_date,
            ip_address=found.ip_address,
        )

    async def delete_webhook(self, *, drop_pending: bool = False) -> None:
        """Post updates nowhere any more."""
        await self._call("deleteWebhook", self._bot.delete_webhook(drop_pending_updates=drop_pending))

    async def _unless(self, method: str, call: Awaitable[object], harmless: str) -> bool:
        """Make the call; False if it was refused with the `harmless` description."""
        try:
            await self._call(method, call, EDIT_SECONDS, harmless=harmless)
        except _Harmless:
            return False
        return True

    async def _call(
        self, method: str, call: Awaitable[Answer], seconds: float = CALL_SECONDS, *, harmless: str | None = None
    ) -> Answer:
        failure: TelegramFailed
        try:
            async with asyncio.timeout(seconds):
                answer = await call
        except TelegramError as error:
            failure = translated(error)
        except TimeoutError:
            failure = OutcomeUnknown(f"no answer within {seconds:g} s")
        except (KeyError, TypeError, ValueError, OverflowError) as error:  # a 2xx whose body is no Bot API answer
            failure = OutcomeUnknown(f"the answer cannot be read ({type(error).__name__})")
        else:
            metrics.telegram_calls.add(method, "ok")
            return answer
        if harmless is not None and isinstance(failure, Refused) and harmless in failure.description.lower():
            failure = _Harmless(failure.description)
        metrics.telegram_calls.add(method, "ok" if isinstance(failure, _Harmless) else type(failure).__name__)
        raise failure  # outside the handlers: the exceptions of the HTTP client know URLs, and so the token


class _Harmless(Refused):
    """Refused because there was nothing to do."""


_NO_PREVIEW = telegram.LinkPreviewOptions(is_disabled=True)


def _reply(place: Place) -> telegram.ReplyParameters | None:
    if place.reply_to is None:
        return None
    return telegram.ReplyParameters(place.reply_to, allow_sending_without_reply=True)


def _markup(buttons: Keyboard) -> telegram.InlineKeyboardMarkup | None:
    if not buttons:
        return None
    return telegram.InlineKeyboardMarkup(
        [[telegram.InlineKeyboardButton(button.text, callback_data=button.data) for button in row] for row in buttons]
    )


def _upload(medium: Medium, *, attach: bool = False) -> telegram.InputFile:
    """The file as a stream: uploaded without further copies in memory."""
    return telegram.InputFile(io.BytesIO(medium.content), medium.name, attach=attach, read_file_handle=False)


def _whole_seconds(video: Video) -> int | None:
    return max(round(video.duration_seconds), 1) if video.duration_seconds is not None else None


def _album_item(
    medium: Medium, caption: str
) -> telegram.InputMediaPhoto | telegram.InputMediaVideo | telegram.InputMediaDocument:
    upload = _upload(medium, attach=True)
    match medium:
        case Photo():
            return telegram.InputMediaPhoto(upload, caption=caption or None)
        case Video():
            return telegram.InputMediaVideo(
                upload,
                caption=caption or None,
                width=medium.width,
                height=medium.height,
                duration=_whole_seconds(medium),
                thumbnail=medium.thumbnail,
                supports_streaming=True,
            )
        case Document():
            return telegram.InputMediaDocument(upload, caption=caption or None, disable_content_type_detection=True)


def _sent(message: telegram.Message) -> Sent:
    shown = (message.photo[-1] if message.photo else None) or message.video or message.animation or message.document
    return Sent(message.message_id, shown.file_id if shown else None)
