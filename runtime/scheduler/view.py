"""What a decision sees, and what it says: plain values, so that a simulator can play with the same ones."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


def command_key(command: str, variant: str | None) -> str:
    """A command with its variant as the user writes it: `flux --dev`. In the database it is called bucket."""
    return f"{command} --{variant}" if variant else command


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """A job that may start, with what its command demands of a backend.

    rank_at: its place in the queue, smallest first; see `db.jobs.insert`. queued_at: since when it may start.
    vram_gb in GiB. concurrency: jobs of this command on all backends together, None = no bound. queue_seconds: longest
    wait from queued_at, None = no bound. size_class: see `runtime.scheduler.size_class`. near: backends that
    hold an input artifact of it. recalls: how often it was taken back from a look-ahead place.
    """

    id: int
    command: str
    queued_at: datetime
    rank_at: datetime
    user_id: int | None = None
    variant: str | None = None
    model_set: str = ""
    size_class: str = ""
    vram_gb: float = 0.0
    labels: frozenset[str] = frozenset()
    prefer: tuple[str, ...] = ()
    concurrency: int | None = None
    queue_seconds: float | None = None
    near: frozenset[str] = frozenset()
    recalls: int = 0

    @property
    def key(self) -> str:
        """How `Slot.missing` and `Timings` name the command: `flux`, or `flux --dev`."""
        return command_key(self.command, self.variant)


@dataclass(frozen=True, slots=True)
class Held:
    """The job that has a slot. placed_at: when it got it. began_at: when its run began there, None if it waits still,
    or if nobody saw it begin. is_cold: its weights have to be loaded.
    is_leaving: it is cancelled or asked to come back.
    """

    job_id: int
    key: str
    command: str
    placed_at: datetime
    rank_at: datetime
    user_id: int | None = None
    model_set: str = ""
    size_class: str = ""
    began_at: datetime | None = None
    is_cold: bool = False
    recalls: int = 0
    is_leaving: bool = False


@dataclass(frozen=True, slots=True)
class Slot:
    """One place in a backend's pipeline: held by a job, or free for one.

    away: why the backend takes no jobs now ("is away"), None if it does.
    warm_since: when warm_model_set was loaded, None = not known.
    missing: command key -> what the backend lacks for it.
    tripped: command key -> why it is kept away from this backend for a while.
    probing: command keys of which the backend may hold one job only, to see whether they work again.
    pinned: the only model sets that may be loaded there; empty = any. limits: command -> most jobs of it there.
    round_trip_seconds: of a small request.
    """

    backend: str
    position: int
    vram_gb: float
    device: str = ""
    labels: frozenset[str] = frozenset()
    held: Held | None = None
    away: str | None = None
    warm_model_set: str | None = None
    warm_since: datetime | None = None
    missing: Mapping[str, str] = field(default_factory=dict)
    tripped: Mapping[str, str] = field(default_factory=dict)
    probing: frozenset[str] = frozenset()
    pinned: frozenset[str] = frozenset()
    limits: Mapping[str, int] = field(default_factory=dict)
    round_trip_seconds: float = 0.0

    @property
    def is_free(self) -> bool:
        return self.held is None


@dataclass(frozen=True, slots=True)
class Placement:
    """A job gets a slot; `reason` says why this one. is_cold: its weights have to be loaded there."""

    job_id: int
    backend: str
    position: int
    reason: str
    is_cold: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """placements: in the order in which they were decided. waiting: job -> why it waits. expired: waited too long.

    hopeless: job -> why no backend can ever run it as things are; waiting would not help.
    recalls: job that waits behind another on its backend -> why it is to come back from there into the queue.
    starts: waiting job -> seconds from now until it is expected to start. ends: the same until its run is over, for
    waiting, placed and held jobs. look_again_seconds: when there will be something to decide though nothing happens
    until then, None = never.
    """

    placements: tuple[Placement, ...] = ()
    waiting: Mapping[int, str] = field(default_factory=dict)
    expired: tuple[int, ...] = ()
    hopeless: Mapping[int, str] = field(default_factory=dict)
    recalls: Mapping[int, str] = field(default_factory=dict)
    starts: Mapping[int, float] = field(default_factory=dict)
    ends: Mapping[int, float] = field(default_factory=dict)
    look_again_seconds: float | None = None
