"""What can come of a call to Telegram besides success: one class per thing the caller can do about it.

No text here holds the token, a URL or a word of the user.
"""

from runtime.api import VeilrunError


class TelegramFailed(VeilrunError):
    """A Bot API call did not succeed."""


class NotSent(TelegramFailed):
    """The request surely never reached Telegram (no connection): trying again later cannot make a second copy."""


class TokenRefused(NotSent):
    """Telegram does not know this bot's token (401, 404): nothing is sent until the operator corrects it."""


class OutcomeUnknown(TelegramFailed):
    """The request may have taken effect: the answer was late, cut off or unreadable. Never repeat a send blindly."""


class RetryLater(TelegramFailed):
    """429: nothing was done, and nothing may be sent to this chat for `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"too many requests, again in {seconds:g} s")
        self.seconds = seconds


class ChatBlocked(TelegramFailed):
    """The user blocked the bot, or it was removed from the chat: nothing will ever arrive there."""


class ChatMigrated(TelegramFailed):
    """The group has become a supergroup: the same message goes to `new_id`."""

    def __init__(self, new_id: int) -> None:
        super().__init__("the group has become a supergroup")
        self.new_id = new_id


class MessageGone(TelegramFailed):
    """The message to edit or delete is not there any more, or cannot be changed any more: forget it."""


class ThreadGone(TelegramFailed):
    """The forum topic was deleted: send to the chat without a topic."""


class Refused(TelegramFailed):
    """Telegram looked at the request and said no, as `description` tells: repeating it as it is cannot help."""

    def __init__(self, description: str) -> None:
        super().__init__(description)
        self.description = description


class FileTooBig(Refused):
    """The file is larger than a bot may download (20 MiB) or the caller allows."""
