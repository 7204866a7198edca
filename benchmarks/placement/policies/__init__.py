"""The policies that compete, each from its own description, all over the same view."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from benchmarks.placement.state import View


@dataclass(frozen=True, slots=True)
class Choice:
    """A waiting job goes to that backend. expected_cold: its weights are to be loaded there."""

    job_id: int
    backend: str
    position: int | None = None
    expected_cold: bool = False


@dataclass(frozen=True, slots=True)
class Choices:
    """What a policy decided. recalls: jobs to be taken back. look_again_seconds: decide again after that, though
    nothing happened."""

    given: tuple[Choice, ...] = ()
    recalls: tuple[int, ...] = ()
    look_again_seconds: float | None = None


class Policy(Protocol):
    """One policy in one simulation; it may remember things.

    lookahead: prompts that may wait behind the one that runs, None = any number. watches_loads: it decides when a load
    is over, too.
    learns: it is told the run times that were seen so far, not their true means.
    """

    lookahead: int | None
    watches_loads: bool
    learns: bool

    def decide(self, view: View) -> Choices: ...


Maker = Callable[[], Policy]


def policies() -> Mapping[str, Maker]:
    """By name: ours, the peers as described, each of them given our look-ahead, and ours when it knows no run times."""
    from benchmarks.placement.policies.fifo import Fifo
    from benchmarks.placement.policies.invokeai import InvokeAi
    from benchmarks.placement.policies.least_busy import LeastBusy
    from benchmarks.placement.policies.ours import Ours
    from benchmarks.placement.policies.swarmui import SwarmUi

    return {
        "ours": Ours,
        "fifo": Fifo,
        "least busy": LeastBusy,
        "invokeai": InvokeAi,
        "swarmui": SwarmUi,
        "fifo +1": lambda: Fifo(lookahead=1),
        "invokeai +1": lambda: InvokeAi(lookahead=1),
        "swarmui +1": lambda: SwarmUi(lookahead=1),
        "ours, learning": lambda: Ours(learns=True),
    }
