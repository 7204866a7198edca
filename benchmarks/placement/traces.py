"""Who asks for what and when, and of which fleet: the same for every policy."""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from benchmarks.placement.capacity import least_seconds
from benchmarks.placement.workload import BY_KEY, RTX_4090, RTX_5090, Command, Job

MIX: Mapping[str, float] = {"flux": 0.40, "sd3": 0.20, "qwen": 0.15, "flux --dev": 0.15, "wan": 0.10}
"""Share of each command among the jobs, unless the trace says otherwise."""

QUICK_MIX: Mapping[str, float] = {"flux": 0.70, "sd3": 0.20, "qwen": 0.10}
"""Short runs, where a round trip hurts most."""

NOISE = 0.05
"""Standard deviation of a run's seconds, as a share of their mean."""

ROUND_TRIP_SECONDS = 0.3
"""Of the path, unless the trace says otherwise."""

GREEDY_USER = 0


@dataclass(frozen=True, slots=True)
class BackendSpec:
    """One GPU."""

    name: str
    device: str


@dataclass(frozen=True)
class Trace:
    """jobs: in the order of their coming, ids ascending. greedy: the users who are not modest."""

    name: str
    backends: tuple[BackendSpec, ...]
    jobs: tuple[Job, ...] = field(repr=False)
    round_trip_seconds: float = ROUND_TRIP_SECONDS
    greedy: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Wish:
    """A job before it has a number."""

    at: float
    user_id: int
    command: Command


def cards(on_4090: int, on_5090: int = 0) -> tuple[BackendSpec, ...]:
    """So many of each, taking turns in the registry's order."""
    old = [BackendSpec(f"gpu-{number:02}", RTX_4090) for number in range(0, 2 * on_4090, 2)]
    new = [BackendSpec(f"gpu-{number:02}", RTX_5090) for number in range(1, 2 * on_5090, 2)]
    return tuple(sorted(old + new, key=lambda spec: spec.name))


def rate_of(load: float, backends: Sequence[BackendSpec], mix: Mapping[str, float]) -> float:
    """Jobs a second that keep the fleet busy for this share of the time, if nothing had to be loaded more than once
    and every job ran on the card that suits it."""
    counts = {device: sum(spec.device == device for spec in backends) for device in (RTX_4090, RTX_5090)}
    return load / least_seconds({BY_KEY[key]: share for key, share in mix.items()}, counts)


def _times(rng: random.Random, rate: float, count: int) -> Iterator[float]:
    """Moments of a Poisson process."""
    at = 0.0
    for _ in range(count):
        at += rng.expovariate(rate)
        yield at


def _command(rng: random.Random, mix: Mapping[str, float]) -> Command:
    return BY_KEY[rng.choices(list(mix), list(mix.values()))[0]]


def _jobs(rng: random.Random, wishes: Iterable[Wish]) -> tuple[Job, ...]:
    ordered = sorted(wishes, key=lambda wish: wish.at)
    return tuple(
        Job(number, wish.at, wish.user_id, wish.command, max(rng.gauss(1.0, NOISE), 0.5))
        for number, wish in enumerate(ordered, 1)
    )


def _crowd(
    rng: random.Random,
    backends: Sequence[BackendSpec],
    *,
    count: int,
    load: float,
    users: int,
    mix: Mapping[str, float] = MIX,
) -> list[Wish]:
    """Single jobs of many users, independent of each other."""
    times = _times(rng, rate_of(load, backends, mix), count)
    return [Wish(at, rng.randint(1, users), _command(rng, mix)) for at in times]


def many_users(rng: random.Random, scale: float) -> Trace:
    backends = cards(8)
    wishes = _crowd(rng, backends, count=round(2000 * scale), load=0.8, users=500)
    return Trace("many users", backends, _jobs(rng, wishes))


def bursty(rng: random.Random, scale: float) -> Trace:
    """Two minutes of rush in ten, six times as busy as the rest; users ask for the same command several times over."""
    backends = cards(8)
    rate = rate_of(0.8, backends, MIX) / 4
    wishes: list[Wish] = []
    at = 0.0
    while len(wishes) < 2000 * scale:
        at += rng.expovariate(rate * (3.0 if at % 600 < 120 else 0.5))
        user, command = rng.randint(1, 300), _command(rng, MIX)
        tries = 1 + int(rng.expovariate(1 / 3.5))
        wishes += [Wish(at + 3.0 * number, user, command) for number in range(tries)]
    return Trace("bursty", backends, _jobs(rng, wishes))


def greedy(rng: random.Random, scale: float) -> Trace:
    """A calm crowd, and one user who asks for 400 runs of everything within three minutes."""
    backends = cards(8)
    wishes = _crowd(rng, backends, count=round(1500 * scale), load=0.6, users=100)
    wishes += [Wish(300 + 0.5 * number, GREEDY_USER, _command(rng, MIX)) for number in range(round(400 * scale))]
    return Trace("one greedy user", backends, _jobs(rng, wishes), greedy=frozenset({GREEDY_USER}))


def not_greedy(rng: random.Random, scale: float) -> Trace:
    """The same crowd without that user."""
    full = greedy(rng, scale)
    return replace(
        full, name="without the greedy user", jobs=tuple(job for job in full.jobs if job.user_id not in full.greedy)
    )


def mixed(load: float, name: str) -> Callable[[random.Random, float], Trace]:
    def make(rng: random.Random, scale: float) -> Trace:
        backends = cards(4, 4)
        wishes = _crowd(rng, backends, count=round(2500 * scale), load=load, users=400)
        return Trace(name, backends, _jobs(rng, wishes))

    return make


def backlog(rng: random.Random, scale: float) -> Trace:
    """All at once: 600 jobs of 150 users, none before and none after."""
    wishes = [Wish(0.0, rng.randint(1, 150), _command(rng, MIX)) for _ in range(round(600 * scale))]
    return Trace("backlog", cards(4, 4), _jobs(rng, wishes))


def fleet(count: int) -> Callable[[random.Random, float], Trace]:
    def make(rng: random.Random, scale: float) -> Trace:
        backends = cards(count)
        jobs = round(scale * {1: 300, 4: 1000, 16: 2000, 64: 3000}[count])
        wishes = _crowd(rng, backends, count=jobs, load=0.7, users=50 * count)
        return Trace(f"{count} backend{'s' if count > 1 else ''}", backends, _jobs(rng, wishes))

    return make


def latency(seconds: float) -> Callable[[random.Random, float], Trace]:
    def make(rng: random.Random, scale: float) -> Trace:
        backends = cards(8)
        wishes = _crowd(rng, backends, count=round(2500 * scale), load=0.9, users=400, mix=QUICK_MIX)
        return Trace(f"round trip {seconds:g} s", backends, _jobs(rng, wishes), round_trip_seconds=seconds)

    return make


_MAKERS: Mapping[str, tuple[str, Callable[[random.Random, float], Trace]]] = {
    "many users": ("many users", many_users),
    "bursty": ("bursty", bursty),
    "one greedy user": ("greedy", greedy),
    "without the greedy user": ("greedy", not_greedy),
    "mixed, near saturation": ("mixed", mixed(0.9, "mixed, near saturation")),
    "mixed, above saturation": ("mixed", mixed(1.2, "mixed, above saturation")),
    "backlog": ("backlog", backlog),
    **{f"{count} backend{'s' if count > 1 else ''}": (f"fleet {count}", fleet(count)) for count in (1, 4, 16, 64)},
    **{f"round trip {seconds:g} s": ("latency", latency(seconds)) for seconds in (0.0, 0.3, 1.0)},
}

TRACES = tuple(_MAKERS)
"""Their names."""


def make_trace(name: str, *, seed: int = 1, scale: float = 1.0) -> Trace:
    """The same for the same seed. scale: of the number of jobs, for a quick look."""
    stream, make = _MAKERS[name]
    return make(random.Random(f"{seed} {stream}"), scale)
