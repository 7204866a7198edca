"""Figures side by side: template, seconds on device A, seconds on device B, improvement."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runtime.bench.errors import NothingInCommon
from runtime.bench.record import Measurement, Record, Statistics

NONE = "–"


@dataclass(frozen=True, slots=True)
class Column:
    """One device. seconds: template -> median of its runs. measured: what they come from, if it is known."""

    title: str
    seconds: Mapping[str, float]
    measured: Mapping[str, Measurement] = field(default_factory=dict)

    def statistics(self, template: str) -> Statistics | None:
        """Of the runs, as far as they are known."""
        one = self.measured.get(template)
        return one.statistics if one else None


@dataclass(frozen=True, slots=True)
class Group:
    """Columns that belong together: each is compared with the first of them."""

    columns: tuple[Column, ...]


def improvement_percent(before: float | None, after: float | None) -> float | None:
    """By how much less `after` is, as a part of `before`; None if one is not known."""
    return None if not before or after is None else (before - after) / before * 100


def group_of(record: Record) -> Group:
    """The machines of one record."""
    labels = record.labels
    return Group(tuple(_column(record, machine.backend, labels[machine.backend]) for machine in record.machines))


def groups_of_two(first: tuple[Path, Record], second: tuple[Path, Record]) -> list[Group]:
    """Each machine of two records beside itself, by its name; or the only one of each, whatever their names.

    Raises: NothingInCommon.
    """
    (path_a, a), (path_b, b) = first, second
    if not set(a.templates) & set(b.templates):
        raise NothingInCommon(f"{path_a} and {path_b} have no template in common, so there is nothing to compare")
    pairs = [(one.backend, two.backend) for one in a.machines for two in b.machines if one.backend == two.backend]
    if len(a.machines) == len(b.machines) == 1:
        pairs = [(a.machines[0].backend, b.machines[0].backend)]
    if not pairs:
        raise NothingInCommon(f"{path_a} and {path_b} have no backend of the same name")
    titles = [path_a.stem, path_b.stem] if path_a.stem != path_b.stem else [str(path_a), str(path_b)]
    labels = [a.labels, b.labels]
    return [
        Group(
            (
                _column(a, one, f"{titles[0]}: {labels[0][one]}"),
                _column(b, two, f"{titles[1]}: {labels[1][two]}"),
            )
        )
        for one, two in pairs
    ]


def _column(record: Record, backend: str, title: str) -> Column:
    measured = record.of(backend)
    known = {template: one.statistics for template, one in measured.items()}
    return Column(title, {template: found.median for template, found in known.items() if found}, measured)


def templates_of(groups: Iterable[Group]) -> list[str]:
    """Every template that any column has, in their order."""
    columns = [column for group in groups for column in group.columns]
    return list(dict.fromkeys(name for column in columns for name in (*column.measured, *column.seconds)))


def titles_of(groups: Sequence[Group]) -> list[str]:
    """The head of the table."""
    titles = ["template"]
    for group in groups:
        for number, column in enumerate(group.columns):
            titles.append(f"{column.title}, s")
            if number:
                titles.append("improvement")
    return titles


def rows_of(groups: Sequence[Group]) -> list[list[str]]:
    """A row for each template."""
    rows = []
    for template in templates_of(groups):
        row = [template]
        for group in groups:
            first = group.columns[0].seconds.get(template) if group.columns else None
            for number, column in enumerate(group.columns):
                seconds = column.seconds.get(template)
                row.append(NONE if seconds is None else f"{seconds:.2f}")
                if number:
                    gain = improvement_percent(first, seconds)
                    row.append(NONE if gain is None else f"{gain:.1f} %")
        rows.append(row)
    return rows


def comparison(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """The same for a script: template -> seconds of each column, and improvement against the first of its group."""
    return [
        {
            "template": template,
            "columns": [
                {
                    "title": column.title,
                    "seconds": column.seconds.get(template),
                    "improvement_percent": improvement_percent(
                        group.columns[0].seconds.get(template), column.seconds.get(template)
                    )
                    if number
                    else None,
                }
                for group in groups
                for number, column in enumerate(group.columns)
            ],
        }
        for template in templates_of(groups)
    ]


def detail_rows(groups: Sequence[Group]) -> list[list[str]]:
    """Template, device, median, least, most, spread, runs, load: of what was measured."""
    rows = []
    for template in templates_of(groups):
        for group in groups:
            for column in group.columns:
                known = column.statistics(template)
                if known is None:
                    continue
                load = column.measured[template].load_seconds
                rows.append(
                    [
                        template,
                        column.title,
                        *(f"{seconds:.2f}" for seconds in (known.median, known.low, known.high)),
                        f"{known.spread_percent:.0f} %",
                        str(known.count),
                        NONE if load is None else f"{load:.2f}",
                    ]
                )
    return rows


def remarks(groups: Sequence[Group]) -> list[str]:
    """What was not measured, and why; what to doubt."""
    found = []
    for group in groups:
        for column in group.columns:
            for template, one in column.measured.items():
                said = [*([one.failure] if one.failure else []), *one.doubts]
                found += [f"{template} on {column.title}: {text}" for text in said]
    return found
