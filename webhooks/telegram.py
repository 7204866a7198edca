"""POST /telegram/webhook: the update is durable before it is acknowledged.

A bare ASGI callable, in front of FastAPI: routing and validation there would cost more than everything done here.
"""

import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

import psycopg
import structlog

from db.errors import DatabaseAway
from db.updates import StoredUpdate
from runtime import metrics
from webhooks.envelope import MalformedUpdate, read_envelope
from webhooks.group_commit import GroupCommit

log = structlog.get_logger("veilrun.receiver")

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

SECRET_HEADER = b"x-telegram-bot-api-secret-token"
LARGEST_BODY = 1024 * 1024  # bytes; a real update has a few thousand
RETRY_AFTER_SECONDS = 5
REMEMBER_MALFORMED_SECONDS = 24 * 3600.0  # as long as Telegram repeats an update that was not acknowledged
REMEMBER_MALFORMED = 1000


class TooLarge(Exception):
    """The body is longer than any update."""


class Disconnected(Exception):
    """The client left before its body was complete."""


class TelegramWebhook:
    """The receiver of one bot's updates."""

    def __init__(self, bot_id: int, secret: str, commit: GroupCommit) -> None:
        if not secret:
            raise ValueError("without a secret anybody could send updates")
        self._bot_id = bot_id
        self._secret = secret.encode()
        self._commit = commit
        self._malformed: OrderedDict[bytes, float] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request: 200, 400, 401, 405, 413 or 503."""
        started = time.perf_counter()
        if scope["method"] != "POST":
            await _answer(send, 405, "method", allow=b"POST")
            return
        secret, length = b"", 0
        for name, value in scope["headers"]:
            if name == SECRET_HEADER:
                secret = value
            elif name == b"content-length":
                length = _length(value)
        if not hmac.compare_digest(secret, self._secret):
            await _answer(send, 401, "unauthorized")
            return
        try:
            if length > LARGEST_BODY:
                raise TooLarge
            body = await _body(receive)
            update_id, order_key = read_envelope(body)
            await self._commit.store(StoredUpdate(self._bot_id, update_id, order_key, body))
        except TooLarge:
            await _answer(send, 413, "too_large")
        except Disconnected:
            metrics.updates_received.labels("disconnected").inc()
        except (MalformedUpdate, psycopg.DataError):
            await self._answer_malformed(send, body)
        except DatabaseAway:
            await _answer(send, 503, "database_away", retry_after=str(RETRY_AFTER_SECONDS).encode())
        else:
            await _answer(send, 200, "stored")
            metrics.ack_seconds.observe(time.perf_counter() - started)

    async def _answer_malformed(self, send: Send, body: bytes) -> None:
        """400 and a line in the log the first time; 200 when it comes again, or Telegram would repeat it for a day."""
        now, digest = time.monotonic(), hashlib.sha256(body).digest()
        known = self._malformed.get(digest)
        if known is not None and now - known < REMEMBER_MALFORMED_SECONDS:
            await _answer(send, 200, "malformed_again")
            return
        self._malformed[digest] = now
        self._malformed.move_to_end(digest)
        if len(self._malformed) > REMEMBER_MALFORMED:
            self._malformed.popitem(last=False)
        log.warning("malformed update refused", sha256=digest.hex()[:16], size=len(body))
        await _answer(send, 400, "malformed")


def _length(header: bytes) -> int:
    """Content-Length in bytes; 0 if it says nothing, for the body is counted as well."""
    digits = header.strip()
    if not digits.isdigit():
        return 0
    return int(digits) if len(digits) < 20 else LARGEST_BODY + 1


async def _body(receive: Receive) -> bytes:
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body: bytes = message.get("body", b"")
        if len(body) > LARGEST_BODY:
            raise TooLarge
        return body
    parts = bytearray()
    while True:
        if message["type"] == "http.disconnect":
            raise Disconnected
        parts += message.get("body", b"")
        if len(parts) > LARGEST_BODY:
            raise TooLarge
        if not message.get("more_body"):
            return bytes(parts)
        message = await receive()


async def _answer(send: Send, status: int, result: str, **headers: bytes) -> None:
    metrics.updates_received.labels(result).inc()
    fields = [(b"content-length", b"0"), *((name.replace("_", "-").encode(), value) for name, value in headers.items())]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": b""})
