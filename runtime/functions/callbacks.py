"""Sending result webhooks: at least once, from the table, with growing pauses between tries."""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator

import aiohttp
import structlog

from db import callbacks, jobs
from db.callbacks import Callback, Try
from db.pool import AWAY, Pool
from runtime import metrics
from runtime.functions.addresses import NotPublic, Policy, check_url, guarded_socket
from runtime.functions.errors import Invalid
from runtime.functions.feed import JobFeed
from runtime.functions.signing import signed_headers
from runtime.functions.views import Viewer

log = structlog.get_logger("veilrun.callbacks")

PAUSES_SECONDS = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0)
"""Between tries; after the last one it is given up. All together about 8 hours."""

SPREAD = 0.2
"""By so much of itself each pause is longer or shorter: what failed in one instant does not come back in one."""

TRY_SECONDS = 10.0
CLAIM_SECONDS = 60.0
"""A sender that has not settled a try by then counts as dead."""

AT_ONCE = 16
LONGEST_REST_SECONDS = 3600.0
"""So long a receiver may ask to be left in peace."""

AGENT = "veilrun"
GONE = 410  # Standard Webhooks: the receiver wants no more of this


@contextlib.asynccontextmanager
async def open_client(policy: Policy) -> AsyncIterator[aiohttp.ClientSession]:
    """What sends: without proxies of the environment and cookies; to public addresses only, unless `policy` is any."""
    factory = None if policy == "any" else guarded_socket
    connector = aiohttp.TCPConnector(socket_factory=factory, use_dns_cache=False, limit=AT_ONCE, force_close=True)
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=TRY_SECONDS),
        headers={"User-Agent": AGENT},
        trust_env=False,
        auto_decompress=False,
    ) as client:
        yield client


class CallbackSender:
    """Sends what is due, in every web process; rows are claimed, so no two send the same try."""

    def __init__(
        self,
        pool: Pool,
        client: aiohttp.ClientSession,
        feed: JobFeed,
        viewer: Viewer,
        policy: Policy,
        *,
        sweep_seconds: float,
    ) -> None:
        self._pool = pool
        self._client = client
        self._feed = feed
        self._viewer = viewer
        self._policy = policy
        self._sweep_seconds = sweep_seconds
        self._sending: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Send until cancelled; what is under way then is sent again later."""
        try:
            while True:
                self._feed.ended.clear()
                try:
                    pause = await self._begin_due()
                except AWAY as error:
                    log.warning("result webhooks wait", error=type(error).__name__)
                    pause = self._sweep_seconds
                await self._rest(pause)
        finally:
            for task in self._sending:
                task.cancel()
            await asyncio.gather(*self._sending, return_exceptions=True)

    async def _begin_due(self) -> float:
        """Begin to send what is due, as far as there is room. Seconds until there is more to do, if nothing happens."""
        room = AT_ONCE - len(self._sending)
        if room <= 0:
            return self._sweep_seconds
        async with self._pool.connection() as connection:
            due = await callbacks.claim(connection, CLAIM_SECONDS, room)
            left = await callbacks.next_in_seconds(connection)
        for callback in due:
            task = asyncio.create_task(self._send(callback), name=f"callback-{callback.id}")
            self._sending.add(task)
            task.add_done_callback(self._ended)
        return self._sweep_seconds if left is None else min(max(left, 0.05), self._sweep_seconds)

    async def _rest(self, seconds: float) -> None:
        """Until some job ends; with no room left, until some try does."""
        waits: set[asyncio.Task[object]] = {asyncio.create_task(self._feed.ended.wait())}
        try:
            full = self._sending if len(self._sending) >= AT_ONCE else set()
            await asyncio.wait({*waits, *full}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("result webhook not settled", error=type(error).__name__)

    async def _send(self, callback: Callback) -> None:
        body = await self._body(callback)
        if body is None:
            return
        started = time.monotonic()
        status, error, rest_seconds = await self._post(callback, body)
        tried = Try(status, error, time.monotonic() - started)
        is_delivered = status is not None and 200 <= status < 300
        may_help = status != GONE and error != "NotAllowed" and callback.attempts <= len(PAUSES_SECONDS)
        state = "delivered" if is_delivered else "open" if may_help else "failed"
        pause = 0.0
        if state == "open":
            pause = PAUSES_SECONDS[callback.attempts - 1] * random.uniform(1 - SPREAD, 1 + SPREAD)
            pause = max(pause, rest_seconds)
        async with self._pool.connection() as connection:
            await callbacks.settle(connection, callback, tried, state, pause)  # type: ignore[arg-type]
        metrics.callbacks.labels("delivered" if is_delivered else error or "refused").inc()
        log.info(
            "result webhook", job=callback.job_id, number=callback.attempts, status=status, error=error, state=state
        )

    async def _body(self, callback: Callback) -> bytes | None:
        """None: the job has expired, and its webhook with it. What was asked for is not told here: only what became
        of it."""
        async with self._pool.connection() as connection:
            job = await jobs.get(connection, callback.job_id)
            if job is None or not job.is_over:
                return None
            view = await self._viewer.single(connection, job, with_arguments=False)
        ended = view.ended_at.isoformat() if view.ended_at else None
        content = {"type": f"job.{view.state}", "timestamp": ended, "data": view.model_dump(mode="json")}
        return json.dumps(content, ensure_ascii=True, separators=(",", ":")).encode()

    async def _post(self, callback: Callback, body: bytes) -> tuple[int | None, str | None, float]:
        """(status, class of what went wrong, seconds that the receiver wants to be left in peace)."""
        headers = {
            "Content-Type": "application/json",
            **signed_headers(callback.signing_secret, callback.message_id, int(time.time()), body),
        }
        try:
            check_url(callback.url, self._policy)  # the setting may be another one since
            async with self._client.post(
                callback.url, data=body, headers=headers, allow_redirects=False
            ) as answer:  # its body is of no interest
                return answer.status, None, _rest_seconds(answer.headers.get("Retry-After"))
        except Invalid:
            return None, "NotAllowed", 0.0
        except TimeoutError:
            return None, "Timeout", 0.0
        except (aiohttp.ClientError, OSError) as error:
            return None, _cause(error), 0.0


def _rest_seconds(header: str | None) -> float:
    if header is None or not header.isascii() or not header.isdigit() or len(header) > 9:
        return 0.0
    return min(float(header), LONGEST_REST_SECONDS)


def _cause(error: BaseException) -> str:
    """The class of what lies under it; the text may hold the address."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, NotPublic):
            return "NotPublic"
        inner = inner.__cause__ or inner.__context__ or getattr(inner, "os_error", None)
    return type(error).__name__
