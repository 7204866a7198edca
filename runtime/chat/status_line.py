"""What the status message of a job says, from the job alone."""

from db.jobs import COUNTED, Job
from runtime.chat.buttons import cancel_button
from runtime.chat.captions import shortened
from runtime.chat.eta import Eta, eta_of
from runtime.chat.messages import Envelope
from runtime.chat.progress_bar import Progress
from runtime.chat.spoken import spoken
from runtime.chat.texts import text

SOON_SECONDS = 5.0
"""What starts within so little time starts now: an album is waited for, no later hour."""

_REASON_UNITS = 300


def status_envelope(job: Job, position: int | None) -> Envelope | None:
    """What the status message of `job` says now; None when the job is over and its result speaks for itself.

    position: see `db.jobs.position`. A cancelled job says so, without a button.
    """
    if job.state == "cancelled":
        return Envelope(text("status.cancelled", job.language))
    if job.is_over:
        return None
    if job.cancel_requested:
        return Envelope(text("status.cancelling", job.language))
    line, eta = _line(job, position), shown_eta(job)
    if eta is not None:
        line = f"{line}\n{eta.words(job.language)}"
    if job.placement and _is_in_line(job) and position is not None:
        reason = shortened(job.placement, _REASON_UNITS)
        line = text("status.reason", job.language, line=line, reason=reason)
    return Envelope(line, buttons=cancel_button(job.id, job.language))


def shown_eta(job: Job) -> Eta | None:
    """What the status message says of the time until the job is done, if anything."""
    if job.is_over or job.cancel_requested or job.error == "PathAway" or job.due_seconds > SOON_SECONDS:
        return None
    return eta_of(job)


def place_in_line(position: int) -> str:
    """The place in the queue as a user reads it: nobody counts beyond a hundred."""
    return str(position) if position <= COUNTED else f"{COUNTED}+"


def _is_in_line(job: Job) -> bool:
    return job.state == "queued" and job.attempt == 0 and job.error != "PathAway" and job.due_seconds <= SOON_SECONDS


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
    if position == 1:
        return text("status.next", language)
    return text("status.position", language, position=place_in_line(position))
