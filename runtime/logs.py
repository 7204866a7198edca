"""Structured logs: one line an event, ids and class names only. No prompt, no medium, no token is ever given to it."""

import logging
import sys
import traceback
from pathlib import Path
from typing import Any

import structlog
from structlog.typing import EventDict, Processor

OURS = "veilrun"
"""What our own loggers begin with."""

SECRET_IN_URL = ("httpx", "httpcore", "telegram", "aiohttp.access", "uvicorn.access")
"""Loggers whose INFO lines hold URLs, and so the bot token: kept at WARNING."""

CHATTY = ("alembic",)
"""Loggers whose INFO lines tell an operator nothing: kept at WARNING as well."""

REPEATING = ("pika", "opentelemetry")
"""Loggers that tell in ten lines of ERROR what ours tell in one of WARNING."""


def configure_logs(level: str) -> None:
    """Log to standard error: readable on a terminal, JSON lines elsewhere."""
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    renderer = (
        structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer(sort_keys=True)
    )
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_words,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = Lines(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(number, logging.INFO))  # at DEBUG libraries show what they work on: Pillow, what a picture says
    logging.getLogger(OURS).setLevel(number)
    for name in (*SECRET_IN_URL, *CHATTY):
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    for name in REPEATING:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def where(error: BaseException) -> str:
    """The innermost places of ours that an error came through, as "schema.py:146 < wanted.py:68"."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "site-packages" not in frame.filename]
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames[-4:]))


def _without_words(logger: object, method: str, event: EventDict) -> EventDict:
    """An error's class and places for its traceback: its text, and that of its causes, may hold a user's words."""
    error = _error(event.pop("exc_info", None))
    if error is not None:
        event.setdefault("error", type(error).__name__)
        event["where"] = where(error)
    if event.get("logger") == "asyncio":  # further lines show the task, and with it the error's text
        event["event"] = str(event["event"]).partition("\n")[0]
    return event


def _error(exc_info: Any) -> BaseException | None:
    match exc_info:
        case BaseException():
            return exc_info
        case (_, error, _):
            return error if isinstance(error, BaseException) else None
    return sys.exc_info()[1] if exc_info else None


class Lines(logging.StreamHandler[Any]):
    """A line that cannot be written is told in a word: the standard library would quote it, and any error at work."""

    def handleError(self, record: logging.LogRecord) -> None:
        failure = sys.exc_info()[1]
        try:
            sys.stderr.write(f"a line of the log {record.name} was lost: {type(failure).__name__}\n")
        except (OSError, ValueError):
            return  # standard error itself is gone
