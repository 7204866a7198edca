"""What came of a trace under a policy."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from benchmarks.placement.state import Backend, Ticket
from benchmarks.placement.traces import Trace


def quantile(values: Iterable[float], share: float) -> float:
    """The smallest value that at least this share of all does not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)] if ordered else 0.0


@dataclass(frozen=True)
class Result:
    """All jobs are over. Times in seconds. decided_seconds: processor time of the policy itself."""

    trace: Trace
    tickets: tuple[Ticket, ...] = field(repr=False)
    backends: tuple[Backend, ...] = field(repr=False)
    decisions: int
    decided_seconds: float
    recalls: int

    @cached_property
    def makespan(self) -> float:
        """From the start of the trace until the last run is over."""
        return max(ticket.ends_at or 0.0 for ticket in self.tickets)

    @property
    def jobs_per_hour(self) -> float:
        return 3600 * len(self.tickets) / self.makespan

    @cached_property
    def waits(self) -> list[float]:
        """Of each job from being queued until its run begins, its load included."""
        return [_wait(ticket) for ticket in self.tickets]

    @property
    def p50(self) -> float:
        return quantile(self.waits, 0.5)

    @property
    def p95(self) -> float:
        return quantile(self.waits, 0.95)

    @cached_property
    def modest_waits(self) -> list[float]:
        """Of those who are not greedy."""
        return [_wait(ticket) for ticket in self.tickets if ticket.job.user_id not in self.trace.greedy]

    @property
    def swaps_per_100(self) -> float:
        """Loads for each 100 jobs, the first of each backend included."""
        return 100 * sum(ticket.was_cold for ticket in self.tickets) / len(self.tickets)

    @property
    def busy_share(self) -> float:
        """Of all GPU time until the last end: loading or running."""
        return sum(one.load_seconds + one.run_seconds for one in self.backends) / len(self.backends) / self.makespan

    @property
    def running_share(self) -> float:
        return sum(one.run_seconds for one in self.backends) / len(self.backends) / self.makespan


def _wait(ticket: Ticket) -> float:
    assert ticket.runs_at is not None
    return ticket.runs_at - ticket.job.at
