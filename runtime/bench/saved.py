"""A record as a file: JSON to be read again, CSV for a spreadsheet."""

import csv
import io
from pathlib import Path

import msgspec

from runtime.bench.errors import RecordUnreadable, RecordUnwritable
from runtime.bench.record import FORMAT, Record

COLUMNS = (
    "template",
    "backend",
    "device",
    "kind",
    "number",
    "run_seconds",
    "total_seconds",
    "first_step_seconds",
    "seed",
    "is_fresh",
    "was_alone",
)


def to_json(record: Record) -> bytes:
    """The whole record."""
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"


def to_csv(record: Record) -> str:
    """One line for each run."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    devices = {machine.backend: machine.device for machine in record.machines}
    for one in record.measurements:
        for number, run in enumerate(one.runs, 1):
            writer.writerow(
                [
                    one.template,
                    one.backend,
                    devices.get(one.backend, ""),
                    run.kind,
                    number,
                    *(_cell(seconds) for seconds in (run.run_seconds, run.total_seconds, run.first_step_seconds)),
                    "" if run.seed is None else run.seed,
                    int(run.is_fresh),
                    int(run.was_alone),
                ]
            )
    return text.getvalue()


def _cell(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.3f}"


def write(path: Path, content: bytes | str) -> Path:
    """Write the file. Raises: RecordUnwritable."""
    try:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    except OSError as error:
        raise RecordUnwritable(f"{path}: {error.strerror}") from error
    return path


def read(path: Path) -> Record:
    """A record that was saved as JSON. Raises: RecordUnreadable."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RecordUnreadable(f"{path}: {error.strerror}") from error
    try:
        record = msgspec.json.decode(content, type=Record)
    except msgspec.ValidationError as error:
        raise RecordUnreadable(f"{path} is no benchmark that `veilrun bench` saved: {error}") from error
    except msgspec.DecodeError as error:
        raise RecordUnreadable(f"{path} is no JSON: {error}; give the .json that `veilrun bench` saved") from error
    if record.veilrun_bench > FORMAT:
        raise RecordUnreadable(f"{path} was saved by a later veilrun ({record.veilrun}): upgrade this one")
    return record
