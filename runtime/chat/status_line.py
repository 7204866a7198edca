"""What the status message of a job says, from the job alone."""

from db.jobs import Job
from runtime.chat.buttons import cancel_button
from runtime.chat.captions import shortened
from runtime.chat.messages import Envelope
from runtime.chat.progress_bar import Progress
from runtime.chat.spoken import spoken
from runtime.chat.texts import text

SOON_SECONDS = 5.0
"""What starts within so little time starts now: an album is waited for, no later hour."""

_REASON_UNITS = 300


def status_envelope(job: Job, position: int | None) -> Envelope | None:
    """What the status message of `job` says now; None when the job is over and its result speaks for itself.

    position: place in the queue, 1 = next. A cancelled job says so, without a button.
    """
    if job.state == "cancelled":
        return Envelope(text("status.cancelled", job.language))
    if job.is_over:
        return None
    if job.cancel_requested:
        return Envelope(text("status.cancelling", job.language))
    return Envelope(_line(job, position), buttons=cancel_button(job.id, job.language))


def _line(job: Job, position: int | None) -> str:
    language = job.language
    if job.state == "running":
        return Progress.read(job.progress or {}).line(language)
    if job.state == "placed":
        return text("status.placed", language, backend=job.backend or "?")
    if job.error == "PathAway":
        return text("status.path_away", language)
    if job.attempt > 0:
        return text("status.retrying", language)
    if job.due_seconds > SOON_SECONDS:
        return text("status.later", language, time=spoken(job.due_seconds, language))
    if position is None:
        return text("status.accepted", language)
    line = text("status.next", language) if position == 1 else text("status.position", language, position=position)
    if not job.placement:
        return line
    return text("status.reason", language, line=line, reason=shortened(job.placement, _REASON_UNITS))
