"""What the checks look at."""

from dataclasses import dataclass

from runtime.registry import BackendConfig, Registry
from runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class Deployment:
    """The settings of this process, and the registry if it could be read."""

    settings: Settings
    registry: Registry | None

    @property
    def backends(self) -> tuple[BackendConfig, ...]:
        """All backends of the registry; none if it could not be read."""
        return self.registry.backends if self.registry else ()

    @property
    def needs_anon(self) -> bool:
        """Whether anything here goes through the Anyone network."""
        return self.settings.telegram_via == "anon" or any(backend.transport == "anon" for backend in self.backends)
