"""How long runs and loads take, as measured, and what is assumed where nothing was measured yet."""

from collections.abc import Mapping
from dataclasses import dataclass, field

RUN_SECONDS, LOAD_SECONDS = 15.0, 20.0
"""Assumed of a command that has run nowhere yet, and of weights that were never loaded."""


@dataclass(frozen=True, slots=True)
class Timings:
    """Measured seconds.

    runs: (command key, device, size class) -> the run alone, weights loaded.
    loads: (model set, device) -> what a run takes more when the weights have to be loaded.
    """

    runs: Mapping[tuple[str, str, str], float] = field(default_factory=dict)
    loads: Mapping[tuple[str, str], float] = field(default_factory=dict)

    def run_seconds(self, key: str, device: str, size_class: str = "") -> float:
        """Expected seconds of the run alone."""
        return self.runs.get((key, device, size_class), RUN_SECONDS)

    def load_seconds(self, model_set: str, device: str) -> float:
        """Expected seconds until the weights are loaded; nothing is to be loaded for a job without a model set."""
        return self.loads.get((model_set, device), LOAD_SECONDS) if model_set else 0.0

    def is_known(self, key: str, device: str, size_class: str = "") -> bool:
        """Whether such a run was measured."""
        return (key, device, size_class) in self.runs
