"""Small traces made by hand, and policies that do as they are told."""

from collections.abc import Callable, Sequence

from benchmarks.placement import Result, Trace, simulate
from benchmarks.placement.policies import Choices
from benchmarks.placement.state import View
from benchmarks.placement.traces import cards
from benchmarks.placement.workload import BY_KEY, Job

FLUX, SD3, QWEN, DEV, WAN = (BY_KEY[key] for key in ("flux", "sd3", "qwen", "flux --dev", "wan"))


def trace(*asked: tuple[float, str] | tuple[float, str, int], gpus: int = 1, new: int = 0, rtt: float = 1.0) -> Trace:
    """asked: (seconds, command key, user); each job its own user unless told. gpus: RTX 4090; new: RTX 5090."""
    jobs = []
    for number, (at, key, *user) in enumerate(asked, 1):
        jobs.append(Job(number, at, user[0] if user else number, BY_KEY[key]))
    return Trace("made by hand", cards(gpus, new), tuple(jobs), round_trip_seconds=rtt)


class Scripted:
    """Decides with the function given."""

    watches_loads = False
    learns = False

    def __init__(self, decide: Callable[[View], Choices], lookahead: int | None = 1) -> None:
        self.lookahead = lookahead
        self._decide = decide

    def decide(self, view: View) -> Choices:
        return self._decide(view)


def runs(result: Result) -> list[tuple[int, float, float]]:
    """(job, begin of its load or run, end), in the order in which they began."""
    began = [(one.id, one.loads_at or 0.0, one.ends_at or 0.0) for one in result.tickets]
    return sorted(began, key=lambda one: one[1])


def order(result: Result) -> Sequence[int]:
    return [job_id for job_id, _, _ in runs(result)]


def played(of: Trace, policy: object) -> Result:
    return simulate(of, policy)  # type: ignore[arg-type]
