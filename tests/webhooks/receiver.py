"""The receiver as a web process has it: the real application on a real server, with a real database behind it."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import uvicorn
from psycopg import AsyncConnection

from db.updates import StoredUpdate
from runtime.chat.webhook import PATH
from webhooks.app import Check, create_app
from webhooks.bounded_http import BoundedHttp
from webhooks.group_commit import GroupCommit
from webhooks.telegram import TelegramWebhook

BOT_ID = 7000000001
SECRET = "a-secret-of-the-receiver-tests"
HEADERS = {"X-Telegram-Bot-Api-Secret-Token": SECRET, "Content-Type": "application/json"}
DEADLINE = 20.0


def message(update_id: int, chat_id: int = 5, text: str = "/f an astronaut") -> bytes:
    chat = {"id": chat_id, "type": "private"}
    body = {"message_id": update_id, "date": 0, "chat": chat, "from": {"id": 5, "is_bot": False}, "text": text}
    return json.dumps({"update_id": update_id, "message": body}).encode()


@dataclass
class Receiver:
    """A running receiver. `handed_over` is what dispatch would have got."""

    url: str
    commit: GroupCommit
    server: uvicorn.Server
    session: aiohttp.ClientSession
    handed_over: list[StoredUpdate] = field(default_factory=list)

    async def post(self, body: bytes, **headers: str) -> tuple[int, dict[str, str]]:
        """(status, headers) of the answer."""
        async with self.session.post(self.url + PATH, data=body, headers={**HEADERS, **headers}) as answer:
            await answer.read()
            return answer.status, dict(answer.headers)

    async def status(self, body: bytes, **headers: str) -> int:
        return (await self.post(body, **headers))[0]

    async def get(self, path: str) -> tuple[int, str]:
        async with self.session.get(self.url + path) as answer:
            return answer.status, await answer.text()


@contextlib.asynccontextmanager
async def running(dsn: str, checks: dict[str, Check] | None = None) -> AsyncIterator[Receiver]:
    """Serve on a free port until the end of the block."""
    handed_over: list[StoredUpdate] = []

    def hand_over(stored: Sequence[StoredUpdate]) -> None:
        handed_over.extend(stored)

    commit = GroupCommit(dsn, hand_over)

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        await commit.start()
        try:
            yield
        finally:
            await commit.stop()

    async def receiver() -> str | None:
        return None if commit.is_connected else "the receiver has no connection to the database"

    async def measure() -> None:
        return None

    app = create_app(
        TelegramWebhook(BOT_ID, SECRET, commit), {"receiver": receiver, **(checks or {})}, measure, lifespan
    )
    config = uvicorn.Config(
        app, "127.0.0.1", 0, http=BoundedHttp, access_log=False, log_config=None, timeout_graceful_shutdown=5
    )
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]  # the test's process has its own
    serving = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(DEADLINE):
            while not server.started:
                assert not serving.done(), "the server did not start"
                await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(DEADLINE)) as session:
            yield Receiver(f"http://127.0.0.1:{port}", commit, server, session, handed_over)
    finally:
        server.should_exit = True
        await asyncio.wait_for(serving, DEADLINE)


async def rows(connection: AsyncConnection) -> list[tuple[Any, ...]]:
    cursor = await connection.execute("select bot_id, update_id, order_key, body from updates order by update_id")
    return await cursor.fetchall()


@dataclass
class Answered:
    """What a raw ASGI call got."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    received: int = 0

    @property
    def status(self) -> int | None:
        return next((m["status"] for m in self.messages if m["type"] == "http.response.start"), None)


async def call(webhook: TelegramWebhook, events: Sequence[dict[str, Any]], *headers: tuple[bytes, bytes]) -> Answered:
    """One ASGI call without a server: exactly these events, in this order."""
    answered = Answered()
    left = iter(events)

    async def receive() -> dict[str, Any]:
        answered.received += 1
        return next(left)

    async def send(event: Any) -> None:
        answered.messages.append(event)

    scope = {"type": "http", "method": "POST", "path": PATH, "headers": list(headers)}
    await webhook(scope, receive, send)
    return answered
