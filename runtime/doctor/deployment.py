"""What the checks look at."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from runtime.doctor.clock import Reading
from runtime.registry import BackendConfig, Registry
from runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class Deployment:
    """The settings of this process, and the registry if it could be read.

    environment: where the settings came from. clocks: what the checks happened to learn of other clocks.
    """

    settings: Settings
    registry: Registry | None
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    clocks: list[Reading] = field(default_factory=list)

    @property
    def backends(self) -> tuple[BackendConfig, ...]:
        """All backends of the registry; none if it could not be read."""
        return self.registry.backends if self.registry else ()

    @property
    def needs_anon(self) -> bool:
        """Whether anything here goes through the Anyone network."""
        return self.settings.telegram_via == "anon" or any(backend.transport == "anon" for backend in self.backends)
