"""Structured logs: one line an event, ids and class names only. No prompt, no medium, no token is ever given to it."""

import logging
import sys

import structlog

SECRET_IN_URL = ("httpx", "httpcore", "telegram", "aiohttp.access", "uvicorn.access")
"""Loggers whose INFO and DEBUG lines hold URLs, and so the bot token: kept at WARNING."""

CHATTY = ("alembic",)
"""Loggers whose INFO lines tell an operator nothing: kept at WARNING as well."""

REPEATING = ("pika",)
"""Loggers that tell in ten lines of ERROR what ours tell in one of WARNING."""


def configure_logs(level: str) -> None:
    """Log to standard error: readable on a terminal, JSON lines elsewhere."""
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    renderer = (
        structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer(sort_keys=True)
    )
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(number)
    for name in (*SECRET_IN_URL, *CHATTY):
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    for name in REPEATING:
        logging.getLogger(name).setLevel(logging.CRITICAL)
