"""From python-telegram-bot's exceptions to ours: what a failed call means for whoever made it."""

from datetime import timedelta

import httpx
from telegram import error as ptb

from runtime.chat.errors import (
    ChatBlocked,
    ChatMigrated,
    FileTooBig,
    MessageGone,
    NotSent,
    OutcomeUnknown,
    Refused,
    RetryLater,
    TelegramFailed,
    ThreadGone,
    TokenRefused,
)

NOT_MODIFIED = "message is not modified"
QUERY_TOO_OLD = "query is too old"

_BEFORE_SENDING = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_MESSAGE_GONE = (
    "message to edit not found",
    "message to delete not found",
    "message can't be edited",
    "message can't be deleted",
    "message_id_invalid",
)
_CHAT_GONE = ("chat not found", "peer_id_invalid", "user not found")


def translated(error: ptb.TelegramError) -> TelegramFailed:
    """The error of ours that says what the caller can do. It carries no exception of httpx: those know the URL."""
    match error:
        case ptb.RetryAfter():
            pause = error.retry_after
            return RetryLater(pause.total_seconds() if isinstance(pause, timedelta) else pause)
        case ptb.ChatMigrated():
            return ChatMigrated(error.new_chat_id)
        case ptb.Forbidden():
            return ChatBlocked(_plain(error))
        case ptb.InvalidToken():
            return TokenRefused("Telegram does not accept TELEGRAM_BOT_TOKEN: take a new one from BotFather")
        case ptb.BadRequest():  # a subclass of NetworkError: first
            return _refused(_plain(error))
        case ptb.NetworkError():
            cause = error.__cause__
            if isinstance(cause, _BEFORE_SENDING):
                return NotSent(f"no connection to Telegram ({type(cause).__name__})")
            return OutcomeUnknown(type(cause).__name__ if cause else type(error).__name__)
        case _:
            return Refused(_plain(error))


def _refused(description: str) -> TelegramFailed:
    words = description.lower()
    if any(said in words for said in _MESSAGE_GONE):
        return MessageGone(description)
    if any(said in words for said in _CHAT_GONE):
        return ChatBlocked(description)
    if "message thread not found" in words:
        return ThreadGone(description)
    if "file is too big" in words:
        return FileTooBig(description)
    return Refused(description)


def _plain(error: ptb.TelegramError) -> str:
    return error.message.splitlines()[0][:200] if error.message else type(error).__name__
