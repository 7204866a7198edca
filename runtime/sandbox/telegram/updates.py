"""The queue of updates owed to the bot: numbered, filtered by allowed_updates, forgotten when they expire."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from runtime.sandbox.telegram import limits
from runtime.sandbox.telegram.clock import Clock
from runtime.sandbox.telegram.events import Waiters

KINDS = (
    "message",
    "edited_message",
    "channel_post",
    "edited_channel_post",
    "business_connection",
    "business_message",
    "edited_business_message",
    "deleted_business_messages",
    "message_reaction",
    "message_reaction_count",
    "inline_query",
    "chosen_inline_result",
    "callback_query",
    "shipping_query",
    "pre_checkout_query",
    "purchased_paid_media",
    "poll",
    "poll_answer",
    "my_chat_member",
    "chat_member",
    "chat_join_request",
    "chat_boost",
    "removed_chat_boost",
)
DEFAULT_KINDS = frozenset(KINDS) - {"chat_member", "message_reaction", "message_reaction_count"}
_EXPIRY = {"callback_query": limits.CALLBACK_EXPIRY_SECONDS, "inline_query": limits.INLINE_EXPIRY_SECONDS}


@dataclass(slots=True, eq=False)
class Update:
    """One update. Updates with the same `queue` reach the bot one after the other.

    queue: ("chat", id) for messages, ("user", id) for callbacks, as the official server orders them.
    """

    update_id: int
    kind: str
    payload: dict[str, Any]
    queue: tuple[str, int]
    chat_id: int | None
    expires_at: float
    attempts: int = 0
    held_until_other_chat: bool = field(default=False)

    def to_json(self) -> dict[str, Any]:
        return {"update_id": self.update_id, self.kind: self.payload}


class UpdateQueue:
    """Updates in order of arrival, until they are acknowledged or expire."""

    def __init__(self, clock: Clock, first_id: int) -> None:
        self._clock = clock
        self._next_id = first_id
        self._pending: dict[int, Update] = {}
        self.allowed = DEFAULT_KINDS
        self.arrivals = Waiters()

    def put(self, kind: str, payload: dict[str, Any], queue: tuple[str, int], chat_id: int | None) -> Update | None:
        """Queue an update; None if the bot did not ask for this kind."""
        if kind not in self.allowed:
            return None
        expires_at = self._clock.time() + _EXPIRY.get(kind, limits.MESSAGE_EXPIRY_SECONDS)
        update = Update(self._next_id, kind, payload, queue, chat_id, expires_at)
        self._next_id += 1
        self._pending[update.update_id] = update
        self.arrivals.wake()
        return update

    def allow(self, kinds: Iterable[Any] | None) -> None:
        """Take over allowed_updates: None keeps the previous choice, an empty list means the default kinds."""
        if kinds is None:
            return
        chosen = frozenset(kind for kind in kinds if kind in KINDS)
        self.allowed = chosen or DEFAULT_KINDS

    def pending(self) -> list[Update]:
        """What is still owed, oldest first; expired updates are dropped on the way."""
        now = self._clock.time()
        for update in [update for update in self._pending.values() if update.expires_at < now]:
            self.forget(update)
        return list(self._pending.values())

    def is_pending(self, update: Update) -> bool:
        return update.update_id in self._pending

    def forget(self, update: Update) -> None:
        self._pending.pop(update.update_id, None)

    def confirm_before(self, offset: int) -> None:
        """getUpdates with an offset acknowledges everything before it; negative counts from the end."""
        waiting = self.pending()
        cut = offset if offset >= 0 else (waiting[offset].update_id if len(waiting) >= -offset else 0)
        for update in waiting:
            if update.update_id < cut:
                self.forget(update)

    def clear(self) -> None:
        self._pending.clear()
