"""When a job will be done, as honestly as it is known: in round figures that only grow smaller, or not at all."""

import math
from dataclasses import dataclass

from db.jobs import Job
from runtime.chat.texts import text

LATE_SECONDS, LATE_SHARE = 5.0, 0.2
"""So much later than expected, or by this share of the whole time, is not worth a word."""

_MINUTE, _HOUR = 60.0, 3600.0


@dataclass(frozen=True, slots=True)
class Eta:
    """What is said of the time left. changes_in: seconds until other words are true, if nothing else happens."""

    key: str
    low: int = 0
    high: int = 0
    changes_in: float | None = None

    @property
    def is_late(self) -> bool:
        """Whether it should have been done by now, and by far."""
        return self.key == "eta.late"

    def words(self, language: str | None) -> str:
        """`done in 2 to 3 minutes`."""
        return text(self.key, language, low=self.low, high=self.high)


def eta_of(job: Job) -> Eta | None:
    """What may be said of the job; None as long as nobody knows."""
    if job.expected_at is None or job.expected_seconds is None:
        return None
    whole = (job.expected_at - (job.placed_at or job.run_at)).total_seconds()
    return eta(job.expected_seconds, whole_seconds=whole)


def eta(left_seconds: float, *, whole_seconds: float) -> Eta:
    """The words for so many seconds left of the whole time that was expected.

    Steps of 10 s below a minute, then a span of a minute, from 10 min on of 5 minutes, from an hour on of an hour.
    """
    if left_seconds < 10:
        late = max(LATE_SECONDS, LATE_SHARE * whole_seconds)
        return Eta("eta.late") if left_seconds < -late else Eta("eta.moment", changes_in=left_seconds + late)
    if left_seconds <= 50:
        tens = math.ceil(left_seconds / 10) * 10
        return Eta("eta.seconds", high=tens, changes_in=left_seconds - (tens - 10))
    if left_seconds < 1.5 * _MINUTE:
        return Eta("eta.minute", changes_in=left_seconds - 50)
    if left_seconds < 10 * _MINUTE:
        return _span("eta.minutes", left_seconds, _MINUTE, 1)
    if left_seconds < _HOUR:
        return _span("eta.minutes", left_seconds, _MINUTE, 5)
    return _span("eta.hours", left_seconds, _HOUR, 1)


def _span(key: str, left_seconds: float, unit_seconds: float, step: int) -> Eta:
    low = math.floor(left_seconds / unit_seconds / step) * step
    return Eta(key, low, low + step, changes_in=left_seconds - low * unit_seconds)
