"""One line of a table: what a policy made of a trace, in numbers alone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from benchmarks.placement.outcome import Result, quantile

HEADINGS = (
    "policy",
    "jobs/h",
    "wait p50",
    "p95",
    "modest p95",
    "worst",
    "swaps/100",
    "busy",
    "running",
    "makespan/bound",
    "recalls",
    "ms",
)
"""Waits in seconds, from being queued until the run begins; `modest` and `worst`: of users who are not greedy.
ms: what one decision cost."""


@dataclass(frozen=True)
class Score:
    """See HEADINGS. waits: all of them, ascending."""

    trace: str
    policy: str
    bound: float
    makespan: float
    waits: Sequence[float] = field(repr=False)
    modest_p95: float
    modest_worst: float
    swaps_per_100: float
    busy_share: float
    running_share: float
    recalls: int
    decision_seconds: float

    @classmethod
    def of(cls, policy: str, result: Result, bound: float) -> "Score":
        return cls(
            result.trace.name,
            policy,
            bound,
            result.makespan,
            sorted(result.waits),
            quantile(result.modest_waits, 0.95),
            max(result.modest_waits, default=0.0),
            result.swaps_per_100,
            result.busy_share,
            result.running_share,
            result.recalls,
            result.decided_seconds / result.decisions,
        )

    @property
    def jobs_per_hour(self) -> float:
        return 3600 * len(self.waits) / self.makespan

    @property
    def p95(self) -> float:
        return quantile(self.waits, 0.95)

    @property
    def stretch(self) -> float:
        """Makespan as a multiple of the lower bound."""
        return self.makespan / self.bound

    def cells(self) -> tuple[str, ...]:
        return (
            self.policy,
            f"{self.jobs_per_hour:.0f}",
            f"{quantile(self.waits, 0.5):.1f}",
            f"{self.p95:.1f}",
            f"{self.modest_p95:.1f}",
            f"{self.modest_worst:.1f}",
            f"{self.swaps_per_100:.1f}",
            f"{self.busy_share:.1%}",
            f"{self.running_share:.1%}",
            f"{self.stretch:.3f}",
            f"{self.recalls}",
            f"{self.decision_seconds * 1000:.1f}",
        )


def table(scores: Iterable[Score]) -> str:
    """Aligned columns, the first to the left."""
    rows = [HEADINGS, *(score.cells() for score in scores)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
