"""Measuring the enabled templates on the backends, and what the ways to them cost. Publishes nothing.

Runs go through the client that jobs run by, one after the other, each with a fresh seed; the seconds of a run are the
server's own.
"""

from runtime.bench.case import Case, cases_of
from runtime.bench.errors import (
    ChartUnavailable,
    NothingInCommon,
    NothingToMeasure,
    RecordUnreadable,
    RecordUnwritable,
)
from runtime.bench.measure import Notebook, measure
from runtime.bench.path import measure_paths
from runtime.bench.record import Machine, Measurement, PathCost, Record, Run, Statistics

__all__ = [
    "Case",
    "ChartUnavailable",
    "Machine",
    "Measurement",
    "Notebook",
    "NothingInCommon",
    "NothingToMeasure",
    "PathCost",
    "Record",
    "RecordUnreadable",
    "RecordUnwritable",
    "Run",
    "Statistics",
    "cases_of",
    "measure",
    "measure_paths",
]
