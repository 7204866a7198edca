"""Backends filling up in the course of one decision."""

from collections.abc import Sequence

from benchmarks.placement.state import Backend


class Room:
    """Which backends have a place, and what each will hold."""

    def __init__(self, backends: Sequence[Backend]) -> None:
        self._backends = backends
        self.counts = {backend.name: len(backend.held) for backend in backends}
        self.warm = {backend.name: backend.warm for backend in backends}

    def open(self) -> list[Backend]:
        """Those with a place: idle ones first, each group in the order of the registry."""
        free = [one for one in self._backends if one.places is None or self.counts[one.name] < one.places]
        return sorted(free, key=lambda backend: self.counts[backend.name] > 0)

    def take(self, backend: Backend, model_set: str) -> None:
        self.counts[backend.name] += 1
        self.warm[backend.name] = model_set
