"""A time before which no scheduler could have had the last job done."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from benchmarks.placement.capacity import least_seconds
from benchmarks.placement.traces import Trace
from benchmarks.placement.workload import Command


def least_makespan(trace: Trace) -> float:
    """Seconds from the start of the trace; no schedule of it ends sooner, not even one that knew the future.

    Take the jobs that come at or after some moment. None of their work can be done before it, so the end is no sooner
    than that moment, half a round trip for a prompt to get there, and `least_seconds` of their runs and loads. Loads
    there are at least these:

    - one of each model set that nobody asked for before;
    - one on each card that is used for the first time. How many cards it is best to use is tried out;
    - where more sets were asked for before than there are cards, one of each set that no card can hold at that moment,
      counted as those that are loaded soonest.

    The largest of these over all moments is the bound, or what a single job needs on the fastest card, if that is
    later. Runs count with the seconds they really take.
    """
    cards = Counter(backend.device for backend in trace.backends)
    first_of: dict[Command, int] = {}
    for number, job in enumerate(trace.jobs):
        first_of.setdefault(job.command, number)
    work: dict[Command, float] = defaultdict(float)
    bound = 0.0
    for number in reversed(range(len(trace.jobs))):
        job = trace.jobs[number]
        work[job.command] += job.factor
        fresh = [command.load_seconds for command in work if first_of[command] >= number]
        known = sorted(command.load_seconds for command in work if first_of[command] < number)
        dropped = sum(known[: max(len(known) - len(trace.backends), 0)])
        soonest = min(command.load_seconds for command in work)
        seconds = min(
            least_seconds(
                work,
                used,
                load_seconds=sum(fresh) + max(dropped, soonest * (used.total() - number - len(fresh))),
            )
            for used in _used(cards, number)
        )
        alone = min(job.run_seconds(device) for device in cards)
        if first_of[job.command] == number:
            alone += job.command.load_seconds
        bound = max(bound, job.at + trace.round_trip_seconds / 2 + max(seconds, alone))
    return bound


def _used(cards: Mapping[str, int], jobs_before: int) -> Iterator[Counter[str]]:
    """How many of each device may be used; all of them, if each can have been used already."""
    if jobs_before >= sum(cards.values()):
        yield Counter(cards)
        return
    (one, ones), *rest = cards.items()
    other, others = rest[0] if rest else (one, 0)
    for many in range(ones + 1):
        for more in range(others + 1):
            if many + more:
                yield Counter({one: many}) + Counter({other: more})
