"""What the bot asked of the Bot API, call by call, for tests to look at and to wait for."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from runtime.sandbox.telegram.events import Waiters


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One call. File contents are left out: `files` maps each part's name to its size in bytes.

    received_at: clock seconds when the request was read; seconds: how long the answer took.
    status: HTTP status, 0 when the connection was cut or left hanging by a fault.
    """

    method: str
    parameters: dict[str, Any]
    files: dict[str, int]
    status: int
    result: Any
    description: str
    received_at: float
    seconds: float
    fault: str = ""

    @property
    def ok(self) -> bool:
        return self.status == 200

    def chat_id(self) -> int | None:
        """The chat the call was about, if it named one by number."""
        try:
            return int(self.parameters["chat_id"])
        except (KeyError, ValueError):
            return None


class Journal:
    """The last `keep` calls, oldest first."""

    def __init__(self, keep: int = 10_000) -> None:
        self._entries: deque[JournalEntry] = deque(maxlen=keep)
        self._waiters = Waiters()

    def __iter__(self) -> Iterator[JournalEntry]:
        return iter(tuple(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def calls(self, method: str, chat_id: int | None = None) -> list[JournalEntry]:
        """Calls of `method` (case does not matter), narrowed to one chat if given."""
        wanted = method.lower()
        return [
            entry
            for entry in self._entries
            if entry.method.lower() == wanted and (chat_id is None or entry.chat_id() == chat_id)
        ]

    def clear(self) -> None:
        self._entries.clear()

    def add(self, entry: JournalEntry) -> None:
        self._entries.append(entry)
        self._waiters.wake()

    async def wait_for(
        self, wanted: str | Callable[[JournalEntry], bool], *, count: int = 1, timeout: float = 10.0
    ) -> JournalEntry:
        """Return the `count`-th call that fits, waiting for it. `wanted` is a method name or a predicate.

        Raises: TimeoutError naming the calls that did come.
        """
        fits = _calls_of(wanted) if isinstance(wanted, str) else wanted

        def find() -> JournalEntry | None:
            found = [entry for entry in self._entries if fits(entry)]
            return found[count - 1] if len(found) >= count else None

        try:
            async with asyncio.timeout(timeout):
                return await self._waiters.until(find)
        except TimeoutError as expired:
            seen = ", ".join(entry.method for entry in self._entries) or "none"
            raise TimeoutError(f"no such call within {timeout} s; calls so far: {seen}") from expired


def _calls_of(method: str) -> Callable[[JournalEntry], bool]:
    wanted = method.lower()
    return lambda entry: entry.method.lower() == wanted
