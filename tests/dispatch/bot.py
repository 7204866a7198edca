"""A bot without GPUs: what people send in the sandbox is stored, dispatched and answered.

Jobs wait, or are ended by hand.
"""

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from db import artifacts, chats, deliveries, jobs, updates
from db.artifacts import Artifact, NewArtifact
from db.jobs import Job
from db.pool import Pool, open_pool
from db.updates import StoredUpdate
from runtime.chat.deliver import deliver
from runtime.chat.gateway import TelegramGateway, open_gateway
from runtime.dispatch.dispatcher import Dispatcher
from runtime.registry import LiveRegistry, Registry, load_registry
from runtime.sandbox.telegram import Chat, ChatMessage, SandboxTelegram
from runtime.scheduler.sync import sync_registry
from runtime.settings import Settings
from webhooks.envelope import read_envelope

BOT_ID = 7000000001
TOKEN = f"{BOT_ID}:token-of-the-bot-in-dispatch-tests"
DEADLINE = 20.0
ALL_FOUR = "plugins: {flux: {enabled: true}, qwen: {enabled: true}, wan: {enabled: true}, sd3: {enabled: true}}"
PUBLIC = f"version: 1\naccess: {{default: public}}\nbackends: []\n{ALL_FOUR}\n"


@dataclass
class Bot:
    """One web process's dispatch, next to its sandbox.

    placed: how often jobs were to be placed; placing is set then.
    """

    telegram: SandboxTelegram
    pool: Pool
    gateway: TelegramGateway
    registry: Registry
    ids: dict[str, int]
    session: aiohttp.ClientSession
    dispatcher: Dispatcher = field(init=False)
    placed: int = 0
    placing: asyncio.Event = field(default_factory=asyncio.Event)
    _offset: int = 0
    _numbers: Any = field(default_factory=lambda: itertools.count(10**6))

    def __post_init__(self) -> None:
        self.dispatcher = self.another()

    def another(self, sweep_seconds: float = 3600.0) -> Dispatcher:
        """A dispatcher as another process would have it."""
        return Dispatcher(
            pool=self.pool,
            live=LiveRegistry(self.registry, self.ids),
            gateway=self.gateway,
            on_jobs=self._place,
            on_deliveries=self._deliver,
            sweep_seconds=sweep_seconds,
        )

    async def _place(self) -> None:
        self.placed += 1
        self.placing.set()

    async def _deliver(self, ids: Sequence[int]) -> None:
        for number in ids:
            await deliver(number, pool=self.pool, gateway=self.gateway, registry=self.registry)

    async def poll(self) -> list[dict[str, Any]]:
        """The updates that the sandbox owes, as raw JSON."""
        address = f"{self.telegram.base_url}/bot{TOKEN}/getUpdates"
        async with self.session.post(address, json={"offset": self._offset, "timeout": 0}) as answer:
            found: list[dict[str, Any]] = (await answer.json())["result"]
        if found:
            self._offset = found[-1]["update_id"] + 1
        return found

    async def store(self, *raw: dict[str, Any] | bytes) -> list[StoredUpdate]:
        """Store updates as the receiver does; dispatch is not told."""
        bodies = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in raw]
        stored = [StoredUpdate(BOT_ID, *read_envelope(body), body) for body in bodies]
        async with self.pool.connection() as connection:
            new = await updates.store(connection, stored)
        return [one for one in stored if (one.bot_id, one.update_id) in new]

    async def give(self, *raw: dict[str, Any] | bytes) -> None:
        """Store and dispatch updates made by hand, and wait for their effect."""
        self.dispatcher.accept(await self.store(*raw))
        async with asyncio.timeout(DEADLINE):
            await self.dispatcher.idle()

    async def say(self, **parts: Any) -> None:
        """Give a message made by hand, from Ada (11) in her private chat unless it says otherwise."""
        await self.give(self.message(**parts))

    def message(self, **parts: Any) -> dict[str, Any]:
        number = next(self._numbers)
        person = {"id": 11, "is_bot": False, "first_name": "Ada", "language_code": "en"}
        chat = {"id": 11, "type": "private", "first_name": "Ada"}
        return {
            "update_id": number,
            "message": {"message_id": number, "date": 0, "chat": chat, "from": person, **parts},
        }

    async def catch_up(self) -> None:
        """Take in what people have sent, and wait for its effect."""
        while found := await self.poll():
            await self.give(*found)

    async def jobs(self) -> list[Job]:
        """All jobs, oldest first."""
        async with self.pool.connection() as connection:
            return (await jobs.newest(connection))[::-1]

    async def job(self) -> Job:
        """The newest job."""
        return (await self.jobs())[-1]

    async def inputs(self, job: Job) -> list[Artifact]:
        async with self.pool.connection() as connection:
            return await artifacts.inputs(connection, job.id)

    async def finish(self, job: Job, content: bytes, kind: str = "image") -> Artifact:
        """End the job as its worker would, and send the result."""
        assert job.chat_id is not None
        assert job.user_id is not None
        async with self.pool.connection() as connection:
            media_type = "image/png" if kind == "image" else "video/mp4"
            made = NewArtifact(kind, media_type, job_id=job.id, user_id=job.user_id, width=64, height=48)  # type: ignore[arg-type]
            artifact_id = await artifacts.add(connection, made, content)
            await chats.remember(connection, job.chat_id, job.user_id, artifact_id)
            await connection.execute(
                "update jobs set state = 'collected', started_at = now(), ended_at = now() where id = %s", (job.id,)
            )
            owed = await deliveries.owe(connection, job.chat_id, "result", {}, job.id)
        assert owed is not None
        await self._deliver([owed])
        async with self.pool.connection() as connection:
            artifact = await artifacts.get(connection, artifact_id)
        assert artifact is not None
        return artifact

    async def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        async with self.pool.connection() as connection:
            cursor = await connection.execute(statement, values)  # type: ignore[arg-type]
            return await cursor.fetchall() if cursor.description else []


@contextlib.asynccontextmanager
async def bot_with(dsn: str, registry: Path) -> AsyncIterator[Bot]:
    """A bot whose registry file says `registry`."""
    async with contextlib.AsyncExitStack() as stack:
        telegram = await stack.enter_async_context(SandboxTelegram(TOKEN))
        settings = Settings(telegram_bot_token=TOKEN, telegram_api_url=telegram.base_url)
        gateway = await stack.enter_async_context(open_gateway(settings))
        pool = await stack.enter_async_context(open_pool(dsn, "dispatch-test"))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        loaded = load_registry(registry)
        bot = Bot(telegram, pool, gateway, loaded, dict(await sync_registry(pool, loaded)), session)
        stack.push_async_callback(bot.dispatcher.stop)
        yield bot


def said(chat: Chat) -> list[str]:
    """What the bot has said in this chat, oldest first."""
    return [message.body.text for message in chat.messages if message.from_bot]


def photo_of(chat: Chat) -> ChatMessage:
    """The newest picture of the bot."""
    return [message for message in chat.messages if message.from_bot and message.photo][-1]
