"""Queue and history of one server. Both live in memory only: a restart forgets them."""

import asyncio
import copy
import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

HISTORY_SIZE = 10_000


@dataclass(frozen=True, slots=True)
class QueueItem:
    """A posted prompt. A lower `number` runs first."""

    number: float
    prompt_id: str
    graph: Json
    extra: Json
    outputs: list[str]

    def __lt__(self, other: "QueueItem") -> bool:
        return (self.number, self.prompt_id) < (other.number, other.prompt_id)

    def listed(self) -> list[Any]:
        """As GET /queue and the history show it."""
        return [self.number, self.prompt_id, self.graph, self.extra, self.outputs]


class PromptQueue:
    """Pending prompts in heap order, and the one that runs. `on_change` is called after every change."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._woken = asyncio.Event()
        self.pending: list[QueueItem] = []
        self.running: QueueItem | None = None
        self.flags: dict[str, bool] = {}

    @property
    def remaining(self) -> int:
        return len(self.pending) + (self.running is not None)

    def put(self, item: QueueItem) -> None:
        heapq.heappush(self.pending, item)
        self._on_change()
        self._woken.set()

    async def take(self) -> QueueItem | None:
        """The next prompt, now running; None when only a flag was set."""
        while not self.pending and not self.flags:
            self._woken.clear()
            await self._woken.wait()
        if not self.pending:
            return None
        item = heapq.heappop(self.pending)
        self.running = copy.deepcopy(item)
        self._on_change()
        return item

    def finish(self) -> QueueItem:
        """The prompt that ran, as it was when it started."""
        item, self.running = self.running, None
        if item is None:
            raise RuntimeError("no prompt is running")
        return item

    def clear(self) -> None:
        self.pending = []
        self._on_change()

    def delete(self, prompt_ids: Iterable[object]) -> None:
        """Drop pending prompts, one per id; a running or unknown id is left alone."""
        for prompt_id in prompt_ids:
            match = next((item for item in self.pending if item.prompt_id == prompt_id), None)
            if match is not None:
                self.pending.remove(match)
                heapq.heapify(self.pending)
                self._on_change()

    def raise_flag(self, name: str) -> None:
        """Ask the worker to unload models or free memory, between prompts."""
        self.flags[name] = True
        self._woken.set()

    def take_flags(self) -> set[str]:
        names, self.flags = set(self.flags), {}
        return names


class History:
    """What ended, oldest first."""

    def __init__(self) -> None:
        self._entries: dict[str, Json] = {}

    def add(self, item: QueueItem, entry: Json) -> None:
        """A prompt id that was used before has its entry overwritten, in its old place."""
        if len(self._entries) > HISTORY_SIZE:
            del self._entries[next(iter(self._entries))]
        self._entries[item.prompt_id] = {"prompt": item.listed(), **entry}

    def one(self, prompt_id: str) -> Json:
        return {prompt_id: self._entries[prompt_id]} if prompt_id in self._entries else {}

    def page(self, max_items: int | None, offset: int) -> Json:
        """The newest `max_items`, or those from `offset` on; all without either."""
        if offset < 0 and max_items is not None:
            offset = len(self._entries) - max_items
        found: Json = {}
        for position, (prompt_id, entry) in enumerate(self._entries.items()):
            if position >= offset:
                found[prompt_id] = entry
                if max_items is not None and len(found) >= max_items:
                    break
        return found

    def clear(self) -> None:
        self._entries = {}

    def delete(self, prompt_ids: Iterable[object]) -> None:
        for prompt_id in prompt_ids:
            self._entries.pop(prompt_id, None)  # type: ignore[call-overload]
