"""Run and load times as they are learned from tries, for a scheduler that starts knowing nothing but sizes of files."""

from collections import deque

from benchmarks.placement.state import Ticket
from benchmarks.placement.workload import COMMANDS
from db.timings import KEPT
from runtime.scheduler.timings import Timings


class Learner:
    """By the rules of `db.timings.learn`: a warm run is a run; what a cold one took more than those is a load."""

    def __init__(self) -> None:
        self._runs: dict[tuple[str, str, str], deque[float]] = {}
        self._guessed: dict[tuple[str, str, str], float] = {}
        self._loads: dict[tuple[str, str], deque[float]] = {}
        self._weights_gb = {command.model_set: command.size_gb for command in COMMANDS}

    def see(self, ticket: Ticket, device: str) -> None:
        """The ticket's run is over. The first cold run of a command is split as the pace of its steps shows it."""
        assert ticket.loads_at is not None
        assert ticket.runs_at is not None
        assert ticket.ends_at is not None
        key, seconds = (ticket.job.command.key, device, ""), ticket.ends_at - ticket.loads_at
        if not ticket.was_cold:
            self._runs.setdefault(key, deque(maxlen=KEPT)).append(seconds)
            return
        load = ticket.runs_at - ticket.loads_at
        if key in self._runs:
            load = max(seconds - _mean(self._runs[key]), 0.0)
        else:
            self._guessed[key] = seconds - load
        self._loads.setdefault((ticket.job.command.model_set, device), deque(maxlen=KEPT)).append(load)

    def timings(self) -> Timings:
        """All that is known by now."""
        return Timings(
            self._guessed | {key: _mean(seen) for key, seen in self._runs.items()},
            {key: _mean(seen) for key, seen in self._loads.items()},
            self._weights_gb,
        )


def _mean(seconds: deque[float]) -> float:
    """Without the shortest and the longest, if there are more."""
    if len(seconds) < 3:
        return sum(seconds) / len(seconds)
    return (sum(seconds) - min(seconds) - max(seconds)) / (len(seconds) - 2)
