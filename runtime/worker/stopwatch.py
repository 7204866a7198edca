"""When a run began and how its steps come, by this process's clock, from the readings of its progress."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from runtime.comfyui import Progress

LEAST_SECONDS = 1.0
"""For so long steps are watched before anything is said of those to come."""


@dataclass(frozen=True, slots=True)
class _Step:
    at: float
    node: str | None
    number: int
    fraction: float


class Stopwatch:
    """Hears every reading of one run. It may miss some, or come late: then it says less, and nothing wrong."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began: float | None = None
        self._first: _Step | None = None
        self._last_of_first_node: _Step | None = None
        self._last: _Step | None = None

    def note(self, reading: Progress) -> None:
        """Take in a reading as it comes."""
        if reading.phase == "queued":
            return
        now = self._clock()
        if self._began is None:
            self._began = now
        if reading.phase != "running" or reading.step is None:
            return
        self._last = _Step(now, reading.node, reading.step, reading.fraction)
        if self._first is None:
            self._first = self._last
        if self._first.node == self._last.node:
            self._last_of_first_node = self._last

    @property
    def ago_seconds(self) -> float | None:
        """Since the run began; None if it has not."""
        return None if self._began is None else self._clock() - self._began

    @property
    def load_seconds(self) -> float | None:
        """What came before the first step was begun: mostly the load, if the backend was cold.

        A step is heard of at its end, so the pace of the following ones says when the first one began.
        """
        first, last = self._first, self._last_of_first_node
        if self._began is None or first is None or last is None or first.number != 1 or last.number < 2:
            return None
        step_seconds = (last.at - first.at) / (last.number - 1)
        return max(first.at - self._began - step_seconds, 0.0)

    @property
    def left_seconds(self) -> float | None:
        """Until the run is over, at the pace of its steps so far; None as long as nobody can say."""
        first, last = self._first, self._last
        if first is None or last is None or last.fraction <= first.fraction or last.at - first.at < LEAST_SECONDS:
            return None
        pace = (last.fraction - first.fraction) / (last.at - first.at)
        return max((1.0 - last.fraction) / pace - (self._clock() - last.at), 0.0)
