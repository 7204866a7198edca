"""What every kind of delivery works with, and what it hands back."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from psycopg import AsyncConnection

from db.deliveries import Delivery
from db.jobs import Job
from db.pool import Pool
from runtime.api import VeilrunError
from runtime.chat.buttons import Keyboard, again_button, original_button
from runtime.chat.gateway import TelegramGateway
from runtime.chat.messages import Place
from runtime.registry import Registry

Write: TypeAlias = Callable[[AsyncConnection], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Desk:
    """Where deliveries are made from. registry: None offers every command again that ever ran."""

    pool: Pool
    gateway: TelegramGateway
    registry: Registry | None = None

    def again_button(self, job: Job) -> Keyboard:
        """Run the job once more; nothing if its command is not there any more."""
        if self.registry is not None and job.command not in self.registry.commands:
            return ()
        return ((again_button(job.id, job.language),),)

    def result_buttons(self, job: Job, *, original: bool) -> Keyboard:
        """Under a result: again, and the original where the chat shows it compressed."""
        row = [button for buttons in self.again_button(job) for button in buttons]
        if original:
            row.append(original_button(job.id, job.language))
        return (row,) if row else ()


@dataclass(frozen=True, slots=True)
class Done:
    """It is in the chat as `message_ids`. also: what becomes true with it, written in the same transaction.

    afterwards: what follows when that is committed, and may fail without harm.
    """

    message_ids: Sequence[int]
    also: Write | None = None
    afterwards: Callable[[], Awaitable[None]] | None = None


class Unwanted(VeilrunError):
    """The message has no point any more: it is dropped. The text says why, for the row."""


class Sender(Protocol):
    """Sends one kind of delivery. Raises: TelegramFailed, Unwanted."""

    async def __call__(self, desk: Desk, delivery: Delivery, job: Job | None) -> Done:
        """Send it, or what is left of it after an earlier try."""
        ...


def place_of(delivery: Delivery, job: Job | None) -> Place:
    """Where the delivery goes: as its payload says, else in the thread of the job's command and in reply to it."""
    payload: Mapping[str, Any] = delivery.payload
    return Place(
        delivery.chat_id,
        thread_id=payload.get("thread_id", job.thread_id if job else None),
        reply_to=payload.get("reply_to", job.message_id if job else None),
    )
