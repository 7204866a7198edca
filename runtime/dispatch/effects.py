"""What the effect of one update works with, and what is to happen once it is committed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from psycopg import AsyncConnection

from db import deliveries
from runtime.api import VeilrunError
from runtime.chat.texts import text
from runtime.dispatch.intake import Intake
from runtime.dispatch.queue_length import QueueLength
from runtime.dispatch.update import Message
from runtime.registry import Registry


class BotNameUnknown(VeilrunError):
    """The update names a bot, and Telegram has not said yet who we are: ask, then try again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the pressed button says: nothing, a passing line, or an alert to be closed."""

    query_id: str
    text: str | None = None
    alert: bool = False


@dataclass(slots=True)
class Effects:
    """What follows the commit: messages to send, status messages to send soon, jobs to place, a button to answer.

    due_seconds: jobs are to be placed then as well, since one may not start earlier.
    """

    deliveries: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    jobs_moved: bool = False
    due_seconds: float | None = None
    answer: Answer | None = None

    def job_waits(self, delay_seconds: float) -> None:
        """A job is to be placed: now, or after the delay that it was given."""
        self.jobs_moved = True
        if delay_seconds > 0:
            self.due_seconds = delay_seconds


@dataclass(frozen=True, slots=True)
class Scene:
    """One update taking effect: the transaction, what the bot knows, and what is to follow.

    bot_name: the bot's username without @, None until Telegram has told it.
    """

    connection: AsyncConnection
    registry: Registry
    command_ids: Mapping[str, int]
    bot_id: int
    update_id: int
    language: str | None
    effects: Effects
    queue_length: QueueLength
    bot_name: str | None = None

    @property
    def intake(self) -> Intake:
        """What turns requests into jobs here."""
        return Intake(self.connection, self.registry, self.command_ids, self.queue_length)

    def is_named(self, name: str) -> bool:
        """Whether `@name` is this bot. Raises: BotNameUnknown."""
        if self.bot_name is None:
            raise BotNameUnknown("this bot's name is not known yet")
        return name.casefold() == self.bot_name.casefold()

    def say(self, key: str, **values: object) -> str:
        """The text `key` in the language of who wrote."""
        return text(key, self.language, **values)

    async def owe(
        self, chat_id: int, kind: deliveries.Kind, payload: Mapping[str, Any], job_id: int | None = None
    ) -> None:
        """Owe the chat a message, to be sent right after the commit."""
        delivery_id = await deliveries.owe(self.connection, chat_id, kind, payload, job_id)
        if delivery_id is not None:
            (self.effects.statuses if kind == "status" else self.effects.deliveries).append(delivery_id)

    async def reply(self, message: Message, words: str, *, about: int | None = None) -> None:
        """Answer a message with a text: in a group as a reply, in a topic within it.

        about: an earlier message of the chat that the answer points at instead, in a private chat as well.
        """
        payload = {
            "text": words,
            "reply_to": about or (None if message.chat.is_private else message.message_id),
            "thread_id": message.topic,
        }
        await self.owe(message.chat.id, "notice", payload)
