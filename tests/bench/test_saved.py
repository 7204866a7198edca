"""Records as files."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from runtime.bench import Record, RecordUnreadable, RecordUnwritable
from runtime.bench.record import FORMAT
from runtime.bench.saved import read, to_csv, to_json, write


def test_a_saved_record_is_read_as_it_was(record: Record, tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.json", to_json(record))) == record


def test_the_spreadsheet_has_a_line_for_each_run(record: Record) -> None:
    rows = list(csv.DictReader(to_csv(record).splitlines()))

    assert len(rows) == sum(len(one.runs) for one in record.measurements)
    assert (rows[0]["template"], rows[0]["device"], rows[0]["kind"], rows[0]["run_seconds"]) == (
        "flux",
        "RTX 4090",
        "warm-up",
        "17.000",
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"template,backend\n", "is no JSON"),
        (b'{"some": "thing"}', "is no benchmark"),
        (b'{"made_at": 5, "veilrun": "1"}', "is no benchmark"),
        (b"[]", "is no benchmark"),
    ],
)
def test_a_file_that_is_no_record_is_refused_by_name(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(content)

    with pytest.raises(RecordUnreadable, match=rf"a\.json {said}"):
        read(tmp_path / "a.json")


def test_a_record_of_a_later_veilrun_and_a_file_that_is_not_there_are_refused(record: Record, tmp_path: Path) -> None:
    later = write(tmp_path / "a.json", to_json(replace(record, veilrun_bench=FORMAT + 1)))

    with pytest.raises(RecordUnreadable, match="later veilrun"):
        read(later)
    with pytest.raises(RecordUnreadable, match="No such file"):
        read(tmp_path / "b.json")


def test_a_result_that_cannot_be_written_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(RecordUnwritable, match="nowhere"):
        write(tmp_path / "nowhere" / "a.json", b"")
