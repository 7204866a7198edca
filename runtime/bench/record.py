"""What was measured: every run as it was, and the figures that follow from them."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["warm-up", "measured"]

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Machine:
    """A backend as it was measured. Its address is not kept."""

    backend: str
    device: str
    vram_gb: float = 0.0
    comfyui_version: str = ""
    pytorch_version: str = ""
    transport: str = "direct"


@dataclass(frozen=True, slots=True)
class Run:
    """One run. run_seconds: the server's own time for it, None if it did not say.

    total_seconds: what it took here, from the upload to the files and the clean-up. first_step_seconds: what came
    before the first step of the sampler began, the load among it; None if its steps do not tell. is_fresh: it did the
    whole work, and gave nothing from its cache. was_alone: nothing else was in the server's queue when it began.
    """

    kind: Kind
    total_seconds: float
    run_seconds: float | None = None
    first_step_seconds: float | None = None
    seed: int | None = None
    is_fresh: bool = True
    was_alone: bool = True


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of some runs, in seconds."""

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Statistics | None":
        """None if there are none."""
        return cls(statistics.median(seconds), min(seconds), max(seconds), len(seconds)) if seconds else None

    @property
    def spread_percent(self) -> float:
        """From the quickest to the slowest, as a part of the median."""
        return (self.high - self.low) / self.median * 100 if self.median else 0.0


@dataclass(frozen=True, slots=True)
class Measurement:
    """The runs of one template on one backend. template: as in the chat, `flux --dev`.

    options: what was asked for beside the prompt, which is not kept. was_unloaded: the server had let go of all weights
    before the first run. failure: why there are no runs, or no more of them.
    """

    template: str
    backend: str
    options: dict[str, str | int | float | list[int]] = field(default_factory=dict)
    runs: tuple[Run, ...] = ()
    was_unloaded: bool = False
    failure: str | None = None

    @property
    def counted(self) -> list[float]:
        """Seconds of the runs that say something: not warm-ups, and no answers from a cache."""
        return [
            run.run_seconds
            for run in self.runs
            if run.kind == "measured" and run.is_fresh and run.run_seconds is not None
        ]

    @property
    def statistics(self) -> Statistics | None:
        """Of the runs that say something."""
        return Statistics.of(self.counted)

    @property
    def load_seconds(self) -> float | None:
        """What the first run took more than the others, the weights not being loaded; None if they may have been."""
        known = self.statistics
        if known is None or not self.was_unloaded or not self.runs or self.runs[0].run_seconds is None:
            return None
        return max(self.runs[0].run_seconds - known.median, 0.0)

    @property
    def doubts(self) -> tuple[str, ...]:
        """What a reader of the figures should know."""
        found = []
        measured = [run for run in self.runs if run.kind == "measured"]
        cached = sum(not run.is_fresh for run in measured)
        if cached:
            found.append(f"{cached} of {len(measured)} runs were answered from the cache and are left out")
        if any(run.run_seconds is None for run in measured):
            found.append("the server does not tell how long a run took")
        if any(not run.was_alone for run in measured):
            found.append("the server had other prompts meanwhile")
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Part:
    """One figure of a path: `what`, with the medians of its rounds in `unit`."""

    what: str
    unit: str
    median: float
    low: float
    high: float
    rounds: int


@dataclass(frozen=True, slots=True)
class PathCost:
    """What the way to one backend costs. failure: why there is no figure, or no more of them."""

    backend: str
    transport: str
    parts: tuple[Part, ...] = ()
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One benchmark. made_at: ISO 8601, UTC. is_complete: it ran to its end."""

    made_at: str
    veilrun: str
    machines: tuple[Machine, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    paths: tuple[PathCost, ...] = ()
    is_complete: bool = True
    veilrun_bench: int = FORMAT

    @property
    def templates(self) -> list[str]:
        """In the order in which they were first measured."""
        return list(dict.fromkeys(one.template for one in self.measurements))

    @property
    def labels(self) -> dict[str, str]:
        """Backend -> how it is called in a table: by its device, or "RTX 5090 (gpu-a)" if another one has the same."""
        devices = [machine.device for machine in self.machines]
        return {
            machine.backend: machine.backend
            if not machine.device
            else machine.device
            if devices.count(machine.device) == 1
            else f"{machine.device} ({machine.backend})"
            for machine in self.machines
        }

    def of(self, backend: str) -> dict[str, Measurement]:
        """Template -> what was measured on that backend."""
        return {one.template: one for one in self.measurements if one.backend == backend}
