"""Whether this machine's clock agrees with those that the other checks came across."""

from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from runtime.doctor.line import Line, fault, ok, warning

SUBJECT = "clock"
FAR_SECONDS = 5.0
ANON_SECONDS = 1800.0
"""So far off, the consensus of the Anyone network may be out of date, or not valid yet."""

CURE = "set the clock by NTP (timedatectl set-ntp true) where it is wrong"
DATE_SECONDS = 0.5
"""What a Date header leaves open: it counts whole seconds."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How far this machine's clock is ahead of that of `source`, below 0 = behind, and how far that may be off."""

    source: str
    ahead_seconds: float
    off_by_seconds: float

    @classmethod
    def of(cls, source: str, theirs: float, asked_at: float, answered_at: float) -> "Reading":
        """From their time, told between two times of ours; all in seconds of the epoch."""
        return cls(source, (asked_at + answered_at) / 2 - theirs, (answered_at - asked_at) / 2)

    @classmethod
    def of_date(cls, source: str, date: str, asked_at: float, answered_at: float) -> "Reading | None":
        """The same from a Date header (RFC 9110), None if it is none."""
        try:
            theirs = parsedate_to_datetime(date).timestamp()
        except ValueError:
            return None
        near = cls.of(source, theirs + DATE_SECONDS, asked_at, answered_at)
        return cls(source, near.ahead_seconds, near.off_by_seconds + DATE_SECONDS)

    @property
    def least_seconds(self) -> float:
        """How far the two clocks are apart for certain."""
        return max(abs(self.ahead_seconds) - self.off_by_seconds, 0.0)


def clock_lines(readings: Iterable[Reading], *, needs_anon: bool) -> list[Line]:
    """A line for each clock that differs, or one for all."""
    known = list(readings)
    if not known:
        return [warning(SUBJECT, "not compared: nobody who has a clock answered", "look again when one of them does")]
    far = [reading for reading in known if reading.least_seconds > FAR_SECONDS]
    if not far:
        most = max(reading.least_seconds for reading in known)
        return [ok(SUBJECT, f"within {max(most, 1):.0f} s of {_listed(reading.source for reading in known)}")]
    return [_line(reading, needs_anon=needs_anon) for reading in far]


def _line(reading: Reading, *, needs_anon: bool) -> Line:
    way = "ahead of" if reading.ahead_seconds > 0 else "behind"
    text = f"this machine is {_spoken(reading.least_seconds)} {way} {reading.source}"
    if needs_anon and reading.least_seconds > ANON_SECONDS:
        return fault(SUBJECT, f"{text}; anon needs a right clock", CURE)
    return warning(SUBJECT, text, CURE)


def _spoken(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.0f} h"
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
