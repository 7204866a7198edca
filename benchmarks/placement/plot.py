"""Two pictures: every policy on every trace by six measures, and how long jobs wait on the mixed fleet."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from benchmarks.placement.bars import OURS, PEERS
from benchmarks.placement.outcome import quantile
from benchmarks.placement.score import Score

COLOURS = {OURS: "#0b7285", "fifo": "#adb5bd", "least busy": "#868e96", "invokeai": "#f08c00", "swarmui": "#c2255c"}
MARKS = {OURS: "D", "fifo": "v", "least busy": "^", "invokeai": "s", "swarmui": "o"}
SOONEST_SECONDS = 0.1
"""Shorter waits are drawn as this long."""

Scores = Mapping[str, Mapping[str, Score]]

WAITS: Mapping[str, Callable[[Score], float]] = {
    "p50 wait, seconds": lambda score: quantile(score.waits, 0.5),
    "p95 wait of all but the greedy user, seconds": lambda score: score.modest_p95,
    "worst wait of these, seconds": lambda score: score.modest_worst,
}
SHARES: Mapping[str, Callable[[Score], float]] = {
    "throughput, % of what the lower bound allows": lambda score: 100 / score.stretch,
    "GPUs running jobs, % of the time": lambda score: 100 * score.running_share,
    "loads of weights for each 100 jobs": lambda score: score.swaps_per_100,
}


def draw(scores: Scores, folder: Path) -> list[Path]:
    """The files written: one picture of all traces, and one for each mixed trace among them."""
    folder.mkdir(parents=True, exist_ok=True)
    pyplot.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    drawn = [_all_traces(scores, folder / "placement.png")]
    mixed = [by_policy for trace, by_policy in scores.items() if trace.startswith("mixed")]
    return [*drawn, _waits(mixed, folder / "placement-waits.png")] if mixed else drawn


def _all_traces(scores: Scores, path: Path) -> Path:
    figure, (waits, shares) = pyplot.subplots(
        2, 3, figsize=(14, 2 * (0.3 * len(scores) + 0.9)), sharey=True, layout="constrained"
    )
    for axes, (label, value) in zip(waits, WAITS.items(), strict=True):
        _dots(axes, scores, lambda score, value=value: max(value(score), SOONEST_SECONDS))
        axes.set(xlabel=label)
        _logarithmic(axes)
    for axes, (label, value) in zip(shares, SHARES.items(), strict=True):
        _dots(axes, scores, value)
        axes.set(xlabel=label, xlim=(0, 103))
    waits[0].set_yticks(range(len(scores)), list(scores))
    waits[0].set_ylim(len(scores) - 0.5, -0.5)
    handles, labels = waits[0].get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside upper center", ncols=len(labels), frameon=False)
    return _saved(figure, path)


def _dots(axes: Axes, scores: Scores, value: Callable[[Score], float]) -> None:
    for policy in reversed((OURS, *PEERS)):
        points = [(value(of[policy]), row) for row, of in enumerate(scores.values()) if policy in of]
        axes.scatter(
            [x for x, _ in points],
            [y for _, y in points],
            c=COLOURS[policy],
            marker=MARKS[policy],
            label=policy,
            s=46 if policy == OURS else 30,
            zorder=3 if policy == OURS else 2,
        )
    axes.grid(axis="y", color="#e9ecef", zorder=0)


def _waits(mixed: Sequence[Mapping[str, Score]], path: Path) -> Path:
    figure, panels = pyplot.subplots(
        1, len(mixed), figsize=(5 * len(mixed), 3.4), sharey=True, layout="constrained", squeeze=False
    )
    for axes, by_policy in zip(panels[0], mixed, strict=True):
        for policy in (OURS, *PEERS):
            waits = [max(wait, SOONEST_SECONDS) for wait in by_policy[policy].waits]
            shares = [100 * number / len(waits) for number in range(1, len(waits) + 1)]
            axes.plot(waits, shares, color=COLOURS[policy], label=policy, lw=2.2 if policy == OURS else 1.3)
        axes.axhline(95, color="#ced4da", lw=0.8, ls=":")
        _logarithmic(axes)
        axes.set(xlabel="wait, seconds", title=by_policy[OURS].trace, ylim=(0, 101))
    panels[0][0].set_ylabel("% of the jobs that wait no longer")
    panels[0][-1].legend(frameon=False, loc="upper left")
    return _saved(figure, path)


def _logarithmic(axes: Axes) -> None:
    """The x axis, with plain numbers."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_locator(NullLocator())


def _saved(figure: Figure, path: Path) -> Path:
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return path
