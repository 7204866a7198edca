"""The HTTP client under the bot: pool, time limits, and no URL in any log, because every URL holds the token."""

import ipaddress
import logging
import warnings
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from telegram.error import BadRequest, NetworkError, RetryAfter
from telegram.request import HTTPXRequest
from telegram.warnings import PTBDeprecationWarning

from runtime.chat.anon_wire import AnonWire

POOL_SIZE = 64
CONNECT_SECONDS, READ_SECONDS, WRITE_SECONDS = 10.0, 30.0, 30.0
ANON_CONNECT_SECONDS = 65.0  # circuits take their time
UPLOAD_WRITE_SECONDS = 120.0  # for each piece of an upload, not for the whole
POOL_SECONDS = 20.0
BARE_429_SECONDS = 5.0  # a proxy's 429 without retry_after


class Wire(HTTPXRequest):
    """Requests of one bot. Answers that python-telegram-bot would blur get their own error."""

    async def do_request(self, *arguments: Any, **named: Any) -> tuple[int, bytes]:
        """Status and body. Raises: TelegramError."""
        status, body = await super().do_request(*arguments, **named)
        if status == 413:
            raise BadRequest("Request Entity Too Large")
        if status == 429 and b"retry_after" not in body:
            raise RetryAfter(int(BARE_429_SECONDS))
        if status >= 500:  # the body may be a proxy's page: nothing in it is for us
            raise NetworkError(f"HTTP {status}")
        return status, body


def open_wire(api_url: str, anon_dir: Path | None = None) -> Wire:
    """A client for the Bot API at `api_url`. Proxies from the environment are used, except towards this machine.

    anon_dir: where this machine's anon is told about, if all goes through it and nothing by another way.
    """
    silence_url_logs()
    warnings.filterwarnings("ignore", "(?s).*retry_after", PTBDeprecationWarning)  # both its types are understood
    return Wire(
        connection_pool_size=POOL_SIZE,
        connect_timeout=CONNECT_SECONDS if anon_dir is None else ANON_CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        write_timeout=WRITE_SECONDS,
        pool_timeout=POOL_SECONDS,
        media_write_timeout=UPLOAD_WRITE_SECONDS,
        httpx_kwargs=_way(api_url, anon_dir),
    )


async def date_of(api_url: str, anon_dir: Path | None = None) -> str | None:
    """The Date header of the server at `api_url`, reached as `open_wire` would. Nothing else is told to it, no token.

    Raises: httpx.HTTPError.
    """
    silence_url_logs()
    seconds = CONNECT_SECONDS if anon_dir is None else ANON_CONNECT_SECONDS
    async with httpx.AsyncClient(timeout=seconds, **_way(api_url, anon_dir)) as client:
        date: str | None = (await client.head(api_url)).headers.get("Date")
        return date


def _way(api_url: str, anon_dir: Path | None) -> dict[str, Any]:
    if anon_dir is not None:
        return {"trust_env": False, "transport": AnonWire(anon_dir, POOL_SIZE)}
    return {"trust_env": False} if _is_loopback(api_url) else {}


def silence_url_logs() -> None:
    """Keep the lines of httpx (URLs at INFO) and python-telegram-bot (URLs, prompts and answers) out of all logs."""
    for name in ("httpx", "httpcore"):
        logger = logging.getLogger(name)
        logger.setLevel(max(logger.level, logging.WARNING))
    logging.getLogger("telegram").setLevel(logging.CRITICAL)


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
