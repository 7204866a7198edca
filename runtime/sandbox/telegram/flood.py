"""Telegram's message rate: about one a second per chat, 20 a minute per group, 30 a second over all chats.

Off unless asked for. Edits count like messages; an album counts each of its media. The figures are those of the
Bot API's FAQ; how large a burst the real service lets pass is nowhere written, three per chat is a careful guess.
"""

from __future__ import annotations

import json
import math
from collections import deque

from runtime.sandbox.telegram.calls import Call
from runtime.sandbox.telegram.clock import Clock
from runtime.sandbox.telegram.errors import TooManyRequests

_CHAT_BURST = 3
_CHAT_SECONDS = 3.0
_GROUP_MESSAGES = 20
_GROUP_SECONDS = 60.0
_ALL_MESSAGES = 30
_ALL_SECONDS = 1.0
_COUNTED = ("send", "edit", "copy", "forward")


class FloodGate:
    """Counts what the bot sends and refuses what comes too fast."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sent: dict[tuple[str, int], deque[float]] = {}

    def check(self, call: Call) -> None:
        """Count a call. Raises: TooManyRequests with the whole seconds until it would pass."""
        name = call.method.lower()
        chat_id = call.integer("chat_id")
        if not name.startswith(_COUNTED) or name == "sendchataction" or chat_id == 0:
            return
        windows = [(("chat", chat_id), _CHAT_BURST, _CHAT_SECONDS), (("all", 0), _ALL_MESSAGES, _ALL_SECONDS)]
        if chat_id < 0:
            windows.append((("group", chat_id), _GROUP_MESSAGES, _GROUP_SECONDS))
        now = self._clock.time()
        wait = max(self._wait(key, count, seconds, now) for key, count, seconds in windows)
        if wait > 0:
            raise TooManyRequests(math.ceil(wait))
        for key, _, _ in windows:
            self._sent[key].extend([now] * _messages(call))

    def _wait(self, key: tuple[str, int], count: int, seconds: float, now: float) -> float:
        times = self._sent.setdefault(key, deque())
        while times and times[0] <= now - seconds:
            times.popleft()
        return 0.0 if len(times) < count else times[len(times) - count] + seconds - now


def _messages(call: Call) -> int:
    if call.method.lower() != "sendmediagroup":
        return 1
    try:
        return max(1, len(json.loads(call.text("media"))))
    except (ValueError, TypeError):
        return 1
