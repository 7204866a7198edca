"""Two pictures: every policy on every trace, and how long jobs wait on the mixed fleet."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from benchmarks.placement.bars import OURS, PEERS
from benchmarks.placement.score import Score

COLOURS = {OURS: "#0b7285", "fifo": "#adb5bd", "least busy": "#868e96", "invokeai": "#f08c00", "swarmui": "#c2255c"}
MARKS = {OURS: "D", "fifo": "v", "least busy": "^", "invokeai": "s", "swarmui": "o"}
SOONEST_SECONDS = 0.1
"""Shorter waits are drawn as this long."""

Scores = Mapping[str, Mapping[str, Score]]


def draw(scores: Scores, folder: Path) -> list[Path]:
    """The files written: one picture of all traces, and one for each mixed trace among them."""
    folder.mkdir(parents=True, exist_ok=True)
    pyplot.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    drawn = [_all_traces(scores, folder / "placement.png")]
    mixed = [by_policy for trace, by_policy in scores.items() if trace.startswith("mixed")]
    return [*drawn, _waits(mixed, folder / "placement-waits.png")] if mixed else drawn


def _all_traces(scores: Scores, path: Path) -> Path:
    figure, (waits, speeds) = pyplot.subplots(
        1, 2, figsize=(10, 0.36 * len(scores) + 1.4), sharey=True, layout="constrained"
    )
    _dots(waits, scores, lambda score: max(score.modest_p95, SOONEST_SECONDS))
    waits.set(xlabel="p95 wait of all but the greedy user, seconds (less is better)")
    _logarithmic(waits)
    waits.set_yticks(range(len(scores)), list(scores))
    waits.invert_yaxis()
    _dots(speeds, scores, lambda score: 100 / score.stretch)
    speeds.set(xlabel="throughput, % of what the lower bound allows", xlim=(0, 103))
    handles, labels = waits.get_legend_handles_labels()
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
