"""How long runs and loads take, as measured, and what is assumed where nothing was measured yet."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

RUN_SECONDS, LOAD_SECONDS = 15.0, 20.0
"""Assumed of a command that has run nowhere yet, and of weights of which neither a load nor the size is known."""

GB_PER_SECOND = 1.0
"""How fast weights are assumed to be loaded where no load was measured, in GiB: Wan's 35.4 GB cost a first run 37 s."""

_LEAST_LOAD_SECONDS = 0.1

MOST_COMPARED = 8
"""What is expected of a device where a command never ran is worked out from so many others where it did."""


@dataclass(frozen=True, slots=True)
class Timings:
    """Measured seconds.

    runs: (command key, device, size class) -> the run alone, weights loaded.
    loads: (model set, device) -> what a run takes more when the weights have to be loaded.
    weights_gb: model set -> the size of its files, in GiB.

    Asked thousands of times for one decision, it works out each answer once.
    """

    runs: Mapping[tuple[str, str, str], float] = field(default_factory=dict)
    loads: Mapping[tuple[str, str], float] = field(default_factory=dict)
    weights_gb: Mapping[str, float] = field(default_factory=dict)
    _sizes: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _runs: dict[tuple[str, str, str], float] = field(default_factory=dict, init=False, repr=False, compare=False)
    _loads: dict[tuple[str, str], float] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for (key, device, size_class), seconds in self.runs.items():
            self._sizes.setdefault(key, {}).setdefault(device, {})[size_class] = seconds

    def run_seconds(self, key: str, device: str, size_class: str = "") -> float:
        """Expected seconds of the run alone.

        The same was measured; else in the nearest size there; else on another device, as much faster or slower as that
        one is with what both have run; else nobody knows, and it is RUN_SECONDS.
        """
        asked = key, device, size_class
        seconds = self._runs.get(asked)
        if seconds is None:
            seconds = self._runs[asked] = self._expected_run(key, device, size_class)
        return seconds

    def load_seconds(self, model_set: str, device: str) -> float:
        """Expected seconds until the weights are loaded; nothing is to be loaded for a job without a model set.

        Measured there; else on other devices; else by the size of the files, at the rate at which others were loaded
        there or at GB_PER_SECOND; else LOAD_SECONDS.
        """
        asked = model_set, device
        seconds = self._loads.get(asked)
        if seconds is None:
            seconds = self._loads[asked] = self._expected_load(model_set, device)
        return seconds

    def is_known(self, key: str, device: str, size_class: str = "") -> bool:
        """Whether such a run was measured on the device, in this size or in another that it can be scaled from.

        A job of unknown size is known only where others of unknown size ran: it may be anything.
        """
        sizes = self._sizes.get(key, {}).get(device, {})
        return size_class in sizes or bool(size_class and sizes)

    def measured_keys(self) -> frozenset[str]:
        """The commands that have run anywhere, so that what is expected of them is more than a guess."""
        return frozenset(self._sizes)

    def _expected_run(self, key: str, device: str, size_class: str) -> float:
        by_device = self._sizes.get(key, {})
        if device in by_device:
            return _scaled(by_device[device], size_class)
        if not by_device:
            return RUN_SECONDS
        others = sorted(by_device)[:MOST_COMPARED]
        expected = (_scaled(by_device[other], size_class) * self._slowness(device, other) for other in others)
        return math.fsum(expected) / len(others)

    def _slowness(self, device: str, other: str) -> float:
        """How many times as long runs take on `device` as on `other`, by what both have run."""
        ratios = [
            math.log(seconds / there)
            for key, by_device in self._sizes.items()
            for size, seconds in by_device.get(device, {}).items()
            if (there := self.runs.get((key, other, size), 0.0)) > 0 and seconds > 0
        ]
        return math.exp(math.fsum(ratios) / len(ratios)) if ratios else 1.0

    def _expected_load(self, model_set: str, device: str) -> float:
        if not model_set:
            return 0.0
        measured = {where: seconds for (known, where), seconds in self.loads.items() if known == model_set}
        if device in measured:
            return measured[device]
        if measured:
            return math.fsum(measured.values()) / len(measured)
        size_gb = self.weights_gb.get(model_set)
        return LOAD_SECONDS if size_gb is None else size_gb / self._gb_per_second(device)

    def _gb_per_second(self, device: str) -> float:
        loads = [
            (self.weights_gb[model_set], seconds)
            for (model_set, where), seconds in self.loads.items()
            if where == device and model_set in self.weights_gb and seconds > _LEAST_LOAD_SECONDS
        ]
        if not loads:
            return GB_PER_SECOND
        return math.fsum(size for size, _ in loads) / math.fsum(seconds for _, seconds in loads)


def _scaled(sizes: Mapping[str, float], size_class: str) -> float:
    """What a job of this size takes where jobs of these sizes were measured."""
    if size_class in sizes:
        return sizes[size_class]
    wanted = _factor(size_class)
    nearest = min(sizes, key=lambda size: (size == "", abs(math.log2(wanted / _factor(size)))))
    return sizes[nearest] * wanted / _factor(nearest)


def _factor(size_class: str) -> float:
    """`1.4x` -> 1.4. Where the size is unknown, the job counts as one by its command's defaults."""
    return float(size_class[:-1]) if size_class else 1.0
