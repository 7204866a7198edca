"""A time before which no scheduler could have had the last job done."""

from collections import Counter, defaultdict

from benchmarks.placement.capacity import least_seconds
from benchmarks.placement.traces import Trace
from benchmarks.placement.workload import Command


def least_makespan(trace: Trace) -> float:
    """Seconds from the start of the trace; no schedule of it ends sooner, not even one that knew the future.

    Take the jobs that come at or after some moment. None of their work can be done before it, so the end is no sooner
    than that moment, half a round trip for a prompt to get there, and `least_seconds` of their runs. On top comes one
    load for each model set that nobody asked for before; and as no more sets can be loaded at that moment than there
    are cards, one for each further set, counted as the quickest to load. The largest of these over all moments is the
    bound, or what a single job needs on the fastest card, if that is later. Runs count with the seconds they
    really take.
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
        there = job.at + trace.round_trip_seconds / 2
        fresh = [command.load_seconds for command in work if first_of[command] >= number]
        known = sorted(command.load_seconds for command in work if first_of[command] < number)
        surplus = known[: max(len(known) - len(trace.backends), 0)]
        load_seconds = sum(fresh) + sum(surplus)
        single = min(job.run_seconds(device) for device in cards)
        if first_of[job.command] == number:
            single += job.command.load_seconds
        bound = max(bound, there + least_seconds(work, cards, load_seconds=load_seconds), there + single)
    return bound
