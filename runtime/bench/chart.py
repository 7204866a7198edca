"""The figures as a picture (PNG, by matplotlib) and as bars of letters for a terminal."""

import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from runtime.bench.errors import ChartUnavailable
from runtime.bench.table import NONE, Column, Group, improvement_percent, templates_of

if TYPE_CHECKING:  # an extra, and slow to load
    from matplotlib.axes import Axes
    from matplotlib.patches import Patch

COLOURS = ("#4c72b0", "#dd8452", "#55a868", "#8172b3", "#937860", "#c44e52")
PUBLISHED_COLOURS = ("#b8bec7", "#8a929e")
"""For bars of which only a median is known."""

MOST_PANELS = 5
"""In one row."""

BAR_WIDTH = 32


def draw_png(groups: Sequence[Group], title: str, note: str = "") -> bytes:
    """One panel for each template, each with a scale of its own: bars are medians, lines reach from least to most,
    what is hatched is what loading the weights took on top.

    Raises: ChartUnavailable.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ChartUnavailable("matplotlib, which draws, is not installed: pip install 'veilrun[bench]'") from error
    templates = [name for name in templates_of(groups) if any(name in column.seconds for column in _columns(groups))]
    across = min(len(templates), MOST_PANELS) or 1
    down = -(-len(templates) // across) or 1
    columns = list(_columns(groups))
    legend_rows = -(-len(columns) // 3)
    height = 3.2 * down + 0.9 + 0.25 * legend_rows
    figure = Figure(figsize=(max(2.3 * across, 7.0), height), dpi=150)
    FigureCanvasAgg(figure)
    panels = figure.subplots(down, across, squeeze=False).flatten()
    for panel, template in zip(panels, templates, strict=False):
        _draw_panel(panel, groups, template)
    for panel in panels[len(templates) :]:
        panel.set_visible(False)
    colours = dict(_coloured(groups))
    handles = [_patch(colours[column.title]) for column in columns]
    labels = [column.title for column in columns]
    if any(one.load_seconds for column in columns for one in column.measured.values()):
        handles.append(_patch("white", hatch="////"))
        labels.append("+ loading the weights, first run")
    figure.suptitle(title, x=0.02, ha="left", fontsize=12, fontweight="bold", y=1 - 0.12 / height)
    figure.legend(
        handles, labels, loc="lower left", ncols=3, frameon=False, fontsize=8, bbox_to_anchor=(0.01, 0.24 / height)
    )
    figure.text(0.02, 0.1 / height, note, fontsize=7, color="#666666")
    bottom = (0.75 + 0.25 * legend_rows) / height
    figure.subplots_adjust(left=0.07, right=0.985, top=1 - 0.72 / height, bottom=bottom, wspace=0.42, hspace=0.35)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def _draw_panel(panel: "Axes", groups: Sequence[Group], template: str) -> None:
    colours = dict(_coloured(groups))
    count = sum(len(group.columns) for group in groups)
    size = 8 if count < 3 else 6.5
    highest = 0.0
    for place, column in enumerate(_columns(groups)):
        seconds = column.seconds.get(template)
        if seconds is None:
            panel.text(place, 0, NONE, ha="center", va="bottom", fontsize=8, color="#888888")
            continue
        known = column.statistics(template)
        errors = [[seconds - known.low], [known.high - seconds]] if known else None
        panel.bar(place, seconds, 0.72, color=colours[column.title], yerr=errors, capsize=2, error_kw={"lw": 0.9})
        top = known.high if known else seconds
        load = column.measured[template].load_seconds if template in column.measured else None
        if load:
            panel.bar(place, load, 0.72, bottom=seconds, color="white", edgecolor=colours[column.title], hatch="////")
            top = max(top, seconds + load)
        said = f"{seconds:.2f}\n+ {load:.2f}" if load else f"{seconds:.2f}"
        panel.annotate(said, (place, top), (0, 2), textcoords="offset points", ha="center", fontsize=size)
        highest = max(highest, top)
    panel.set_xlim(-0.7, count - 0.3)
    panel.set_ylim(0, highest * 1.22 or 1)
    panel.set_title(template, fontsize=9)
    panel.set_xticks([])
    panel.set_ylabel("seconds", fontsize=7)
    panel.tick_params(labelsize=7)
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)


def _patch(colour: str, hatch: str | None = None) -> "Patch":
    from matplotlib.patches import Patch

    return Patch(facecolor=colour, edgecolor="#666666" if hatch else colour, hatch=hatch)


def _columns(groups: Sequence[Group]) -> Iterator[Column]:
    return (column for group in groups for column in group.columns)


def _coloured(groups: Sequence[Group]) -> Iterator[tuple[str, str]]:
    measured, told = 0, 0
    for column in _columns(groups):
        if column.measured:
            yield column.title, COLOURS[measured % len(COLOURS)]
            measured += 1
        else:
            yield column.title, PUBLISHED_COLOURS[told % len(PUBLISHED_COLOURS)]
            told += 1


def bar_lines(groups: Sequence[Group], width: int = BAR_WIDTH) -> list[str]:
    """Bars for a terminal; those of one template have one scale, the slowest being `width` letters long."""
    lines = []
    indent = max((len(column.title) for column in _columns(groups)), default=0)
    for template in templates_of(groups):
        longest = max((column.seconds.get(template, 0.0) for column in _columns(groups)), default=0.0)
        if not longest:
            continue
        lines.append(template)
        for group in groups:
            first = group.columns[0].seconds.get(template) if group.columns else None
            for number, column in enumerate(group.columns):
                seconds = column.seconds.get(template)
                if seconds is None:
                    continue
                gain = improvement_percent(first, seconds) if number else None
                said = "" if gain is None else f"  {-gain:+.1f} %"
                bar = "█" * max(round(seconds / longest * width), 1)
                lines.append(f"  {column.title:<{indent}}  {bar:<{width}} {seconds:8.2f} s{said}")
    return lines
