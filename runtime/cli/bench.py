"""`veilrun bench`: how fast the enabled templates are on these backends."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from runtime.bench import (
    Case,
    ChartUnavailable,
    Notebook,
    NothingToMeasure,
    PathCost,
    Record,
    cases_of,
    measure,
    measure_paths,
)
from runtime.bench.chart import bar_lines, draw_png
from runtime.bench.path import path_rows, path_titles
from runtime.bench.published import published
from runtime.bench.record import Kind
from runtime.bench.saved import read, to_csv, to_json, write
from runtime.bench.table import (
    Group,
    comparison,
    detail_rows,
    group_of,
    groups_of_two,
    remarks,
    rows_of,
    templates_of,
    titles_of,
)
from runtime.cli.output import AsJson, notices, print_error, print_json, screen
from runtime.cli.targets import backend_of, everything_installed
from runtime.registry import BackendConfig, Registry, configured_registry
from runtime.settings import read_settings

DETAILS = ["template", "device", "median s", "least", "most", "spread", "runs", "load s"]
NOTE = (
    "Bars: median seconds of a run with the weights loaded, by the server's own clock; lines: least to most. "
    "Each panel has its own scale."
)


def add_to(app: typer.Typer) -> None:
    """Register this command."""
    app.command(epilog='Example: veilrun bench flux "flux --dev" --backend gpu-a --backend gpu-b --runs 5')(bench)


def bench(
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="COMMAND", help='As in the chat, quoted: "flux --dev --steps 8". Default: all.'),
    ] = None,
    backend: Annotated[
        list[str] | None,
        typer.Option("--backend", "-b", metavar="NAME", help="Name or address; repeatable. Default: all."),
    ] = None,
    runs: Annotated[
        int, typer.Option(min=1, metavar="N", help="Runs that count, of each template on each backend.")
    ] = 5,
    warm_up: Annotated[int, typer.Option(min=0, metavar="N", help="Runs before them that do not.")] = 1,
    keep_weights: Annotated[
        bool, typer.Option("--keep-weights", help="Do not unload first: what loading costs is not measured then.")
    ] = False,
    path: Annotated[
        bool, typer.Option("--path", help="Measure the ways to the backends instead: round trips, events, bytes.")
    ] = False,
    published_too: Annotated[
        bool, typer.Option("--published", help="Beside them, the published figures of an RTX 4090 and an RTX 5090.")
    ] = False,
    show: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Measure nothing, show a saved benchmark again.")
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None, typer.Option(metavar="A.json B.json", help="Measure nothing, compare two saved ones.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option(metavar="NAME", help="Write NAME.json, NAME.csv, NAME.png. Default: bench-<time>.")
    ] = None,
    no_save: Annotated[bool, typer.Option("--no-save", help="Write no files.")] = False,
    as_json: AsJson = False,
) -> None:
    """Measure the enabled templates on the backends.

    Each runs by itself: warm-up first, then --runs with a fresh seed each. A table, bars, JSON, CSV and a chart come of
    it; nothing leaves this machine. Best while nobody uses the backends. Ctrl-C keeps what was measured.
    """
    if compare is not None:
        _compare(compare, published_too, save, as_json=as_json)
        return
    if show is not None:
        record = read(show)
        _show(record, published_too=published_too, as_json=as_json)
        if save is not None:
            _draw(save, _groups(record, published_too), "veilrun bench")
        return
    target = None if no_save else save or Path(f"bench-{datetime.now(UTC):%Y%m%d-%H%M%S}")
    notebook, was_stopped = Notebook(), False
    settings = read_settings()
    registry = (
        configured_registry(settings) if settings.registry.exists() else everything_installed(settings.plugins_dir)
    )
    backends = _backends(registry, backend or [])
    cases = [] if path else cases_of(registry, command or [])
    try:
        asyncio.run(
            _paths(backends, notebook, runs, settings.anon_dir)
            if path
            else _measure(registry, cases, backends, notebook, runs, warm_up, keep_weights, settings.anon_dir)
        )
    except KeyboardInterrupt:
        was_stopped = True
        print_error("stopped: what was measured so far follows", style="yellow")
    record = notebook.record
    _show(record, published_too=published_too, as_json=as_json)
    if target is not None and (record.measurements or record.paths):
        _save(record, target, published_too)
    has_failed = any(one.failure for one in record.measurements) or any(one.failure for one in record.paths)
    raise typer.Exit(130 if was_stopped else 1 if has_failed else 0)


def _backends(registry: Registry, wanted: Sequence[str]) -> list[BackendConfig]:
    if wanted:
        return [_named(backend_of(registry, name), number) for number, name in enumerate(dict.fromkeys(wanted), 1)]
    if not registry.backends:
        raise NothingToMeasure("there is no backend: name one, --backend http://127.0.0.1:8188")
    return list(registry.backends)


def _named(config: BackendConfig, number: int) -> BackendConfig:
    """One that was given by its address is called by its place: what is saved may be published."""
    return replace(config, name=f"backend-{number}") if config.name == config.url else config


async def _measure(
    registry: Registry,
    cases: Sequence[Case],
    backends: Sequence[BackendConfig],
    notebook: Notebook,
    runs: int,
    warm_up: int,
    keep_weights: bool,
    anon_dir: Path,
) -> None:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=notices, transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("")

        def tell(name: str, template: str, kind: Kind, number: int) -> None:
            progress.update(task, description=f"{name}: {template}, {kind} {number}")

        await measure(
            registry,
            cases,
            backends,
            notebook,
            runs=runs,
            warm_up=warm_up,
            unloads=not keep_weights,
            anon_dir=anon_dir,
            on_run=tell,
        )


async def _paths(backends: Sequence[BackendConfig], notebook: Notebook, rounds: int, anon_dir: Path) -> None:
    await measure_paths(backends, notebook.paths, rounds=rounds, anon_dir=anon_dir)
    notebook.is_complete = True


def _groups(record: Record, published_too: bool) -> list[Group]:
    groups = [group_of(record)] if record.measurements else []
    return [*groups, published(templates_of(groups))] if published_too and groups else groups


def _show(record: Record, *, published_too: bool, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(to_json(record).decode())
        return
    groups = _groups(record, published_too)
    if groups:
        _print(groups)
    if record.paths:
        _print_paths(record.paths)


def _print(groups: Sequence[Group]) -> None:
    _table(titles_of(groups), rows_of(groups))
    details = detail_rows(groups)
    if details:
        screen.print()
        _table(DETAILS, details, words=2)
    for line in ["", *bar_lines(groups)]:
        screen.print(line, markup=False, soft_wrap=True)
    for remark in remarks(groups):
        notices.print(f"note: {remark}", style="yellow", markup=False, soft_wrap=True)


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> None:
    """Figures to the right, below titles that may take several lines; the first columns are words."""
    table = Table(box=None, pad_edge=False, padding=(0, 0, 0, 1), header_style="bold")
    for number, title in enumerate(titles):
        longest = max(map(len, title.split()))
        table.add_column(title, justify="left" if number < words else "right", min_width=longest, overflow="fold")
    for row in rows:
        table.add_row(*row)
    width = max(screen.width, screen.measure(table).minimum)  # no figure is lost; a terminal breaks lines
    screen.print(table, markup=False, width=width, crop=False)


def _print_paths(costs: Sequence[PathCost]) -> None:
    _table(path_titles(costs), path_rows(costs))
    for cost in costs:
        if cost.failure:
            notices.print(f"note: {cost.backend}: {cost.failure}", style="yellow", markup=False, soft_wrap=True)


def _compare(files: tuple[Path, Path], published_too: bool, save: Path | None, *, as_json: bool) -> None:
    first, second = files
    groups = groups_of_two((first, read(first)), (second, read(second)))
    if published_too:
        groups.append(published(templates_of(groups)))
    if as_json:
        print_json(comparison(groups))
        return
    _print(groups)
    if save is not None:
        _draw(save, groups, f"{first.stem} and {second.stem}")


def _save(record: Record, target: Path, published_too: bool) -> None:
    files = [write(target.with_name(f"{target.name}.json"), to_json(record))]
    if record.measurements:
        files.append(write(target.with_name(f"{target.name}.csv"), to_csv(record)))
    notices.print(f"saved: {', '.join(map(str, files))}", markup=False, soft_wrap=True)
    if any(one.counted for one in record.measurements):
        _draw(target, _groups(record, published_too), "veilrun bench")


def _draw(target: Path, groups: Sequence[Group], title: str) -> None:
    try:
        content = draw_png(groups, title, NOTE)
    except ChartUnavailable as error:
        notices.print(f"no chart: {error}", style="yellow", markup=False, soft_wrap=True)
        return
    file = write(target.with_name(f"{target.name}.png"), content)
    notices.print(f"chart: {file}", markup=False, soft_wrap=True)
