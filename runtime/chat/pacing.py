"""When which status message may be edited: decided here, without clock, database or network."""

from dataclasses import dataclass

PRIVATE_SECONDS = 1.0
GROUP_SECONDS = 5.0  # 12 a minute; Telegram allows 20 messages and edits a minute to a group, for all purposes
OVERALL_SECONDS = 0.05  # 20 a second; Telegram allows 30 messages a second to all chats together
MOST_IN_FLIGHT = 4
_FORGET_SECONDS = 60.0


@dataclass(slots=True)
class _Chat:
    free_at: float = 0.0
    is_busy: bool = False


class Pacer:
    """Which job's status message is edited next. Times are seconds of any clock that does not go back.

    At most one edit per chat is under way, and the next one to it starts no sooner than the chat's interval after the
    last one began. Who has waited longest is first, unless something is urgent.
    """

    def __init__(self) -> None:
        self._wanted: dict[int, int] = {}  # job id -> chat id, in the order of waiting
        self._editing: dict[int, int] = {}
        self._chats: dict[int, _Chat] = {}
        self._free_at = 0.0

    def want(self, job_id: int, chat_id: int, *, is_urgent: bool = False) -> None:
        """The job's status message has, or may have, something new to say. is_urgent: before all that wait."""
        if is_urgent:
            self._wanted.pop(job_id, None)
            self._wanted = {job_id: chat_id, **self._wanted}
        else:
            self._wanted.setdefault(job_id, chat_id)

    def forget(self, job_id: int) -> None:
        """The job's status message is not to be edited any more."""
        self._wanted.pop(job_id, None)

    def hush(self, chat_id: int, until: float) -> None:
        """No edit to this chat before `until`."""
        chat = self._chats.setdefault(chat_id, _Chat())
        chat.free_at = max(chat.free_at, until)

    def next(self, now: float) -> int | None:
        """The job to edit now, if any may be; tell `done` when that is over."""
        if now < self._free_at or len(self._editing) >= MOST_IN_FLIGHT:
            return None
        job_id = next((job_id for job_id, chat_id in self._wanted.items() if self._is_free(chat_id, now)), None)
        if job_id is None:
            return None
        chat_id = self._editing[job_id] = self._wanted.pop(job_id)
        seconds = PRIVATE_SECONDS if chat_id > 0 else GROUP_SECONDS
        self._chats[chat_id] = _Chat(free_at=now + seconds, is_busy=True)
        self._free_at = now + OVERALL_SECONDS
        return job_id

    def _is_free(self, chat_id: int, now: float) -> bool:
        chat = self._chats.get(chat_id)
        return chat is None or (not chat.is_busy and chat.free_at <= now)

    def done(self, job_id: int, now: float) -> None:
        """The edit that `next` gave out is over, whatever came of it."""
        chat_id = self._editing.pop(job_id)
        self._chats[chat_id].is_busy = False
        for other in [other for other, chat in self._chats.items() if _is_long_over(chat, now)]:
            if other not in self._wanted.values():
                del self._chats[other]

    def wake_at(self) -> float | None:
        """When `next` should be asked again, unless something is wanted or done before; None: not before that."""
        if len(self._editing) >= MOST_IN_FLIGHT:
            return None
        waiting = (self._chats.get(chat_id, _Chat()) for chat_id in self._wanted.values())
        earliest = min((chat.free_at for chat in waiting if not chat.is_busy), default=None)
        return None if earliest is None else max(earliest, self._free_at)


def _is_long_over(chat: _Chat, now: float) -> bool:
    return not chat.is_busy and chat.free_at + _FORGET_SECONDS < now
