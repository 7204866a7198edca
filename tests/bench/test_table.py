"""Figures side by side."""

from dataclasses import replace
from pathlib import Path

import pytest

from runtime.bench import NothingInCommon, Record
from runtime.bench.published import published
from runtime.bench.record import Machine, Statistics
from runtime.bench.table import (
    comparison,
    detail_rows,
    group_of,
    groups_of_two,
    improvement_percent,
    remarks,
    rows_of,
    templates_of,
    titles_of,
)


def test_the_table_is_like_the_published_one(record: Record) -> None:
    group = group_of(record)

    assert titles_of([group]) == ["template", "RTX 4090, s", "RTX 5090, s", "improvement"]
    assert rows_of([group]) == [
        ["flux", "5.00", "2.00", "60.0 %"],
        ["sd3", "9.00", "6.00", "33.3 %"],
        ["wan", "–", "37.00", "–"],
    ]


def test_published_figures_stand_beside_and_are_compared_among_themselves(record: Record) -> None:
    groups = [group_of(record), published(record.templates)]

    assert titles_of(groups)[4:] == ["RTX 4090, published, s", "RTX 5090, published, s", "improvement"]
    assert [row[4:] for row in rows_of(groups)] == [
        ["4.92", "1.80", "63.4 %"],
        ["8.96", "5.96", "33.5 %"],
        ["61.87", "37.15", "40.0 %"],
    ]


def test_all_five_published_templates_are_known() -> None:
    group = published(["sd3", "flux", "flux --dev", "wan", "qwen"])

    assert rows_of([group]) == [
        ["sd3", "8.96", "5.96", "33.5 %"],
        ["flux", "4.92", "1.80", "63.4 %"],
        ["flux --dev", "16.05", "10.11", "37.0 %"],
        ["wan", "61.87", "37.15", "40.0 %"],
        ["qwen", "9.62", "4.44", "53.8 %"],
    ]


def test_median_least_most_spread_and_load_are_told_apart(record: Record) -> None:
    assert detail_rows([group_of(record)])[0] == ["flux", "RTX 4090", "5.00", "4.00", "6.00", "40 %", "3", "12.00"]


def test_what_was_not_measured_is_said(record: Record) -> None:
    assert remarks([group_of(record)]) == ["wan on RTX 4090: it needs 24 GB, and the registry says 12 GB"]


def test_two_cards_of_a_kind_are_told_apart_by_their_backends(record: Record) -> None:
    alike = replace(record, machines=tuple(replace(one, device="RTX 4090") for one in record.machines))

    assert titles_of([group_of(alike)])[1:3] == ["RTX 4090 (gpu-a), s", "RTX 4090 (gpu-b), s"]


def test_two_saved_runs_are_compared_backend_by_backend(record: Record) -> None:
    quicker = replace(
        record,
        measurements=tuple(
            replace(one, runs=tuple(replace(run, run_seconds=(run.run_seconds or 0) / 2) for run in one.runs))
            for one in record.measurements
        ),
    )
    groups = groups_of_two((Path("before.json"), record), (Path("after.json"), quicker))

    assert [column.title for column in groups[0].columns] == ["before: RTX 4090", "after: RTX 4090"]
    assert rows_of(groups)[0] == ["flux", "5.00", "2.50", "50.0 %", "2.00", "1.00", "50.0 %"]
    assert comparison(groups)[0]["columns"][1]["improvement_percent"] == 50.0


def test_two_runs_with_one_backend_each_are_compared_whatever_it_is_called(record: Record) -> None:
    def only(backend: str) -> Record:
        kept = tuple(one for one in record.measurements if one.backend == backend)
        return replace(record, machines=tuple(m for m in record.machines if m.backend == backend), measurements=kept)

    groups = groups_of_two((Path("a.json"), only("gpu-a")), (Path("b.json"), only("gpu-b")))

    assert rows_of(groups)[0] == ["flux", "5.00", "2.00", "60.0 %"]


def test_runs_with_nothing_in_common_are_refused(record: Record) -> None:
    other = replace(record, measurements=tuple(replace(one, template="upscale") for one in record.measurements))
    elsewhere = replace(record, machines=(Machine("x", "A"), Machine("y", "B")))

    for second in (other, elsewhere):
        with pytest.raises(NothingInCommon, match=r"a\.json and b\.json"):
            groups_of_two((Path("a.json"), record), (Path("b.json"), second))


@pytest.mark.parametrize(
    ("before", "after", "gain"), [(9.62, 4.44, 53.8), (2.0, 3.0, -50.0), (None, 1.0, None), (0.0, 1.0, None)]
)
def test_improvement_is_a_part_of_what_it_was_before(before, after, gain) -> None:
    found = improvement_percent(before, after)

    assert (found and round(found, 1)) == gain


def test_one_run_has_no_spread_and_none_has_no_statistics() -> None:
    one = Statistics.of([2.0])

    assert one is not None
    assert (one.spread_percent, one.median, one.count) == (0.0, 2.0, 1)
    assert Statistics.of([]) is None


def test_templates_keep_the_order_in_which_they_were_measured(record: Record) -> None:
    assert templates_of([group_of(record)]) == ["flux", "sd3", "wan"]
