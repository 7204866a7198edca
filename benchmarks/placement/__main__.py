"""Fleets that never existed, with our scheduler and its peers in charge: a table for each trace, then the bars.

The bars are meant for the full traces: in a short one the first loads of the weights weigh too much.
"""

import argparse
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks.placement.bars import OURS, bars
from benchmarks.placement.bound import least_makespan
from benchmarks.placement.policies import policies
from benchmarks.placement.score import Score, table
from benchmarks.placement.simulator import simulate
from benchmarks.placement.traces import TRACES, make_trace

QUICK_SCALE = 0.25


def played(task: tuple[str, str, int, float]) -> Score:
    """One trace under one policy."""
    name, policy, seed, scale = task
    trace = make_trace(name, seed=seed, scale=scale)
    return Score.of(policy, simulate(trace, policies()[policy]()), least_makespan(trace))


def play(
    names: Iterable[str], chosen: Iterable[str], *, seed: int, scale: float, processes: int
) -> Iterator[Sequence[Score]]:
    """The scores of the chosen policies, trace by trace."""
    tasks = [(name, policy, seed, scale) for name in names for policy in chosen]
    with ProcessPoolExecutor(processes) as pool:
        for _, scores in itertools.groupby(pool.map(played, tasks), lambda score: score.trace):
            yield list(scores)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.placement", description=__doc__)
    parser.add_argument("traces", nargs="*", metavar="TRACE", help=f"default: all of {', '.join(TRACES)}")
    parser.add_argument("--quick", action="store_true", help="a quarter of the jobs")
    parser.add_argument("--policy", action="append", choices=tuple(policies()), help="default: all of them")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--plot", type=Path, metavar="DIR", help="draw pictures there (needs matplotlib)")
    wanted = parser.parse_args()
    if unknown := set(wanted.traces) - set(TRACES):
        parser.error(f"no such trace: {', '.join(sorted(unknown))}")
    scale = QUICK_SCALE if wanted.quick else 1.0
    scores = {}
    chosen = wanted.policy or list(policies())
    for of_trace in play(wanted.traces or TRACES, chosen, seed=wanted.seed, scale=scale, processes=wanted.processes):
        first = of_trace[0]
        print(
            f"\n{first.trace}: {len(first.waits)} jobs, lower bound {first.bound:.0f} s\n{table(of_trace)}", flush=True
        )
        scores[first.trace] = {score.policy: score for score in of_trace}
    if OURS in chosen:
        print("\n" + "\n".join(map(str, bars(scores))))
    if wanted.plot:
        from benchmarks.placement.plot import draw

        for path in draw(scores, wanted.plot):
            print(path)


if __name__ == "__main__":
    main()
