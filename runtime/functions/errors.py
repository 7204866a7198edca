"""Why a caller over HTTP is refused: one class per thing that it can do about it, each with a code of its own.

`status` is the HTTP status; `code` and `title` do not change, the text is for people. Why a request that is well formed
becomes no job, see also `runtime.dispatch.refusals`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from runtime.api import VeilrunError


class Refused(VeilrunError):
    """The request is refused. retry_seconds: when it may be sent again as it is; None: not at all, or nobody knows."""

    status = 400
    code = "refused"
    title = "Refused"

    def __init__(self, message: str, *, retry_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds


class Malformed(Refused):
    """The body is not what its media type says."""

    status, code, title = 400, "malformed", "Malformed request"


class TokenMissing(Refused):
    """No token was shown."""

    status, code, title = 401, "token_missing", "No token"


class TokenInvalid(Refused):
    """The token is unknown, revoked or expired; the text says which."""

    status, code, title = 401, "token_invalid", "Invalid token"


class ScopeMissing(Refused):
    """The token may not do this."""

    status, code, title = 403, "scope_missing", "Not allowed with this token"


class CommandNotAllowed(Refused):
    """The token is for other commands."""

    status, code, title = 403, "command_not_allowed", "Command not allowed with this token"


class NotAllowed(Refused):
    """A plugin refused the request; the text is its reason."""

    status, code, title = 403, "vetoed", "Refused by a plugin"


class NotFound(Refused):
    """There is no such thing, or it is somebody else's, or it has expired."""

    status, code, title = 404, "not_found", "Not found"


class UnknownCommand(Refused):
    """There is no such command."""

    status, code, title = 404, "unknown_command", "Unknown command"


class MethodNotAllowed(Refused):
    """The path does not take this method."""

    status, code, title = 405, "method_not_allowed", "Method not allowed"


class OverAlready(Refused):
    """The job is over: there is nothing to cancel."""

    status, code, title = 409, "job_over", "The job is over"


class Duplicate(Refused):
    """The same request is in work already. `job_id` is its job."""

    status, code, title = 409, "duplicate", "In work already"

    def __init__(self, message: str, job_id: int) -> None:
        super().__init__(message)
        self.job_id = job_id


class KeySpent(Refused):
    """The job that the idempotency key stood for is not kept any more: use a new key to have it made again."""

    status, code, title = 409, "idempotency_key_spent", "The job of this idempotency key has expired"


class TooLarge(Refused):
    """The body, or a picture in it, is larger than allowed."""

    status, code, title = 413, "too_large", "Too large"


class UnsupportedType(Refused):
    """The body, or a picture in it, is of a kind that is not taken."""

    status, code, title = 415, "unsupported_type", "Unsupported media type"


class RangeNotSatisfiable(Refused):
    """The range begins behind the end. `size_bytes`: of the whole."""

    status, code, title = 416, "range_not_satisfiable", "Range not satisfiable"

    def __init__(self, message: str, size_bytes: int) -> None:
        super().__init__(message)
        self.size_bytes = size_bytes


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a request. at: its place, as in `arguments.steps`."""

    at: str
    detail: str


class Invalid(Refused):
    """Values do not fit; each fault is named."""

    status, code, title = 422, "invalid", "Invalid request"

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(f"{fault.at}: {fault.detail}" for fault in faults))
        self.faults = tuple(faults)


class KeyReused(Refused):
    """The idempotency key was used for another request."""

    status, code, title = 409, "idempotency_key_reused", "The idempotency key stands for another request"


class TooManyRequests(Refused):
    """The token's requests come too fast."""

    status, code, title = 429, "rate_limited", "Too many requests"


class TooManyJobs(Refused):
    """The token, or whoever has it, has too many jobs: open at once, waiting, of one command, or on this day."""

    status, code, title = 429, "too_many_jobs", "Too many jobs"


class TooManyStreams(Refused):
    """Too many event streams, waiting requests and uploads are open."""

    status, code, title = 429, "too_many_streams", "Too many event streams or uploads"


class TooMuchKept(Refused):
    """The pictures that were uploaded with this token take too much room until they expire."""

    status, code, title = 429, "too_much_kept", "Too much is kept"


class Busy(Refused):
    """The queue of everybody is full."""

    status, code, title = 503, "queue_full", "The queue is full"


class PluginTrouble(Refused):
    """A plugin failed or took too long with the request."""

    status, code, title = 503, "plugin_failed", "A plugin failed"


class DatabaseUnavailable(Refused):
    """The database does not answer."""

    status, code, title = 503, "unavailable", "Not available"


class Internal(Refused):
    """A fault of ours."""

    status, code, title = 500, "internal", "Internal error"
