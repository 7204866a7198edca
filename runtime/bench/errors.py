"""What can keep a benchmark from being made, saved, read or drawn."""

from runtime.api import VeilrunError


class NothingToMeasure(VeilrunError):
    """No command is enabled, or none of those that were named; or there is no backend."""


class RecordUnreadable(VeilrunError):
    """A file is no saved benchmark, or one of a later veilrun."""


class RecordUnwritable(VeilrunError):
    """A result could not be written to its file."""


class ChartUnavailable(VeilrunError):
    """The package that draws is not installed."""


class NothingInCommon(VeilrunError):
    """Two saved benchmarks have no template in common."""
