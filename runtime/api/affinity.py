"""Where a command may run, and how much of the fleet it may take."""

import math
from dataclasses import dataclass, field

from runtime.api.errors import DeclarationError


@dataclass(frozen=True, slots=True)
class GpuAffinity:
    """Which GPUs may run a command, and which it prefers.

    vram_gb: smallest card that holds the model set, in GiB as ComfyUI reports it.
    prefer: backend names or device classes ("RTX 5090"), best first; others stay allowed.
    labels: a backend must carry every one of these.
    model_set: commands with the same value share loaded weights, so switching between them is free.
    """

    vram_gb: float
    prefer: tuple[str, ...] = ()
    labels: frozenset[str] = field(default_factory=frozenset)
    model_set: str = ""

    def __post_init__(self) -> None:
        if not _is_number(self.vram_gb) or self.vram_gb <= 0:
            raise DeclarationError(f"vram_gb must be above 0, got {self.vram_gb!r}")
        for name, kind in (("prefer", tuple), ("labels", frozenset)):
            words = getattr(self, name)
            if isinstance(words, str) or not all(isinstance(word, str) for word in words):
                raise DeclarationError(f'{name} takes several words, like ("fast",), not {words!r}')
            object.__setattr__(self, name, kind(words))


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one command; `None` means no bound. The operator may tighten or widen each in the registry.

    queue_seconds, load_seconds, run_seconds: longest wait for a GPU, for the weights, for the run itself.
    concurrency: jobs of this command on all backends together. per_user: unfinished jobs of one user.
    max_attempts: how often a job is started before it becomes a dead letter. unique: a request of the same user in the
    same chat with the same words, options and pictures is refused while the first one is not over; a seed that nobody
    chose makes no difference.
    """

    queue_seconds: float = 3600.0
    load_seconds: float = 600.0
    run_seconds: float = 600.0
    concurrency: int | None = None
    per_user: int | None = None
    max_attempts: int = 3
    unique: bool = False

    def __post_init__(self) -> None:
        for name in ("queue_seconds", "load_seconds", "run_seconds", "max_attempts"):
            bound = getattr(self, name)
            if not _is_number(bound) or bound <= 0:
                raise DeclarationError(f"{name} must be above 0, got {bound!r}")
        for name in ("concurrency", "per_user"):
            bound = getattr(self, name)
            if bound is not None and (not isinstance(bound, int) or bound < 1):
                raise DeclarationError(f"{name} must be at least 1, or left out for no bound, got {bound!r}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
