"""Posting updates to the bot's webhook the way the official server does.

One chat (one user, for callbacks) gets its updates strictly one after the other: the next is not sent until the last
was acknowledged or has expired. Different chats go in parallel, up to max_connections; after 10 s without a success
only one request is under way. A failed update is tried again at once, then after 2, 4, 8 … s up to a random
60 to 120 s; a Retry-After of the bot is honoured up to an hour.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import deque
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl

import aiohttp

from runtime.sandbox.telegram.calls import Call, arguments_from_json, read_parts
from runtime.sandbox.telegram.errors import ApiError
from runtime.sandbox.telegram.events import Waiters
from runtime.sandbox.telegram.state import Webhook, World
from runtime.sandbox.telegram.updates import Update

_MAX_DELAY_SECONDS = 60
_MAX_RETRY_AFTER_SECONDS = 3600
_QUIET_SECONDS = 10
_GONE_SECONDS = 23 * 3600
_ANSWER_SECONDS = 60
_REFUSED_IN_ANSWER = ("setwebhook", "deletewebhook", "close", "logout")

Perform = Callable[[Call], Awaitable[object]]


class Delivery:
    """The loop between the update queue and the bot's webhook. `perform` runs a method named in a 2xx answer."""

    def __init__(self, world: World, perform: Perform) -> None:
        self._world = world
        self._perform = perform
        self._queues: dict[tuple[str, int], deque[Update]] = {}
        self._workers: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._known: set[int] = set()
        self._slots = Waiters()
        self._busy = 0
        self._last_success = float("-inf")
        self._gone_since: float | None = None
        self._random = random.Random(world.seed)
        self._sent = Waiters()
        self._sent_chats: deque[int | None] = deque(maxlen=256)
        self._serving: Webhook | None = None
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=aiohttp.ClientTimeout(total=_ANSWER_SECONDS), auto_decompress=True
        )
        self._loop = asyncio.create_task(self._run(), name="sandbox webhook delivery")

    async def stop(self) -> None:
        tasks = [*self._workers.values(), *([self._loop] if self._loop else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _run(self) -> None:
        while True:
            self._take()
            await self._world.updates.arrivals.next()

    def _take(self) -> None:
        """Move new updates into their queues; a changed webhook starts afresh."""
        if self._world.webhook != self._serving:
            self._serving = self._world.webhook
            self._start_afresh()
        if self._serving is None:
            return
        pending = self._world.updates.pending()
        self._known &= {update.update_id for update in pending}
        for update in pending:
            if update.update_id in self._known:
                continue
            self._known.add(update.update_id)
            self._queues.setdefault(update.queue, deque()).append(update)
            if update.queue not in self._workers:
                worker = asyncio.create_task(self._drain(update.queue), name=f"sandbox webhook {update.queue}")
                self._workers[update.queue] = worker

    def _start_afresh(self) -> None:
        for worker in self._workers.values():
            worker.cancel()
        self._workers, self._queues, self._known = {}, {}, set()
        self._last_success = float("-inf")
        self._gone_since = None

    async def _drain(self, queue: tuple[str, int]) -> None:
        waiting = self._queues[queue]
        while waiting:
            update = waiting[0]
            if self._world.faults.strike_delivery("reorder", update.chat_id):
                await self._other_chat(update)
            await self._deliver(update)
            waiting.popleft()
        del self._queues[queue], self._workers[queue]

    async def _deliver(self, update: Update) -> None:
        """Post until acknowledged, expired, or the webhook is gone."""
        world = self._world
        delay = 1
        while world.updates.is_pending(update) and (webhook := world.webhook) is not None:
            retry_after = await self._post(webhook, update)
            if retry_after is None:
                world.updates.forget(update)
                world.events.waiters.wake()
                if world.faults.strike_delivery("duplicate", update.chat_id):
                    await self._post(webhook, update)
                return
            update.attempts += 1
            wait = retry_after
            if retry_after == 0 and update.attempts > 1:
                delay = min(self._random.randint(_MAX_DELAY_SECONDS, 2 * _MAX_DELAY_SECONDS), delay * 2)
                wait = delay
            if world.clock.time() + wait > update.expires_at:
                world.updates.forget(update)
                return
            await world.clock.sleep(wait)

    async def _post(self, webhook: Webhook, update: Update) -> int | None:
        """One attempt. None when acknowledged, else the seconds the bot asked to wait (0: none named)."""
        await self._slots.until(lambda: True if self._busy < self._allowed(webhook) else None)
        self._busy += 1
        try:
            return await self._request(webhook, update)
        finally:
            self._busy -= 1
            self._slots.wake()

    async def _request(self, webhook: Webhook, update: Update) -> int | None:
        assert self._session is not None
        headers = {"Content-Type": "application/json"}
        if webhook.secret_token:
            headers["X-Telegram-Bot-Api-Secret-Token"] = webhook.secret_token
        body = json.dumps(update.to_json(), ensure_ascii=False, separators=(",", ":")).encode()
        try:
            async with self._session.post(webhook.url, data=body, headers=headers, allow_redirects=False) as response:
                if 200 <= response.status <= 299:
                    self._succeeded(update)
                    await self._perform_answer(response)
                    return None
                self._note_gone(response.status)
                self._failed(f"Wrong response from the webhook: {response.status} {response.reason}")
                return _seconds(response.headers.get("Retry-After", ""))
        except TimeoutError:
            self._failed("Read timeout expired")
        except aiohttp.ClientConnectorError:
            self._failed("Connection refused")
        except aiohttp.ClientError:
            self._failed("Webhook connection closed")
        return 0

    def _succeeded(self, update: Update) -> None:
        self._last_success = self._world.clock.time()
        self._gone_since = None
        self._sent_chats.append(update.chat_id)
        self._sent.wake()

    def _failed(self, reason: str) -> None:
        self._world.last_error_date = self._world.now()
        self._world.last_error_message = reason
        self._world.events.waiters.wake()

    def _note_gone(self, status: int) -> None:
        now = self._world.clock.time()
        if status != 410:
            self._gone_since = None
        elif self._gone_since is None:
            self._gone_since = now
        elif now > self._gone_since + _GONE_SECONDS:
            self._world.webhook = None
            self._world.events.waiters.wake()

    def _allowed(self, webhook: Webhook) -> int:
        is_quiet = self._last_success + _QUIET_SECONDS < self._world.clock.time()
        return 1 if is_quiet else webhook.max_connections

    async def _other_chat(self, update: Update) -> None:
        self._sent_chats.clear()
        await self._sent.until(lambda: True if any(chat_id != update.chat_id for chat_id in self._sent_chats) else None)

    async def _perform_answer(self, response: aiohttp.ClientResponse) -> None:
        """Run the call in a 2xx body, if there is one; its result goes nowhere, as on Telegram."""
        call = Call("")
        try:
            if response.content_type == "application/json":
                call.arguments.update(arguments_from_json(await response.read()))
            elif response.content_type == "application/x-www-form-urlencoded":
                call.arguments.update(parse_qsl((await response.read()).decode()))
            elif response.content_type.startswith("multipart/"):
                await read_parts(aiohttp.MultipartReader(response.headers, response.content), call)
        except ApiError:
            return
        call.method = call.arguments.pop("method", "")
        name = call.method.lower()
        if name and not name.startswith("get") and name not in _REFUSED_IN_ANSWER:
            await self._perform(call)


def _seconds(retry_after: str) -> int:
    return min(int(retry_after), _MAX_RETRY_AFTER_SECONDS) if retry_after.isdecimal() else 0
