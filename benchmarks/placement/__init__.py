"""The trace simulator: fleets that never existed, with `place()` and its peers in charge."""

from benchmarks.placement.bound import least_makespan
from benchmarks.placement.outcome import Result
from benchmarks.placement.policies import policies
from benchmarks.placement.simulator import simulate
from benchmarks.placement.traces import TRACES, Trace, make_trace
from benchmarks.placement.workload import COMMANDS, Job

__all__ = ["COMMANDS", "TRACES", "Job", "Result", "Trace", "least_makespan", "make_trace", "policies", "simulate"]
