"""Real parts for the chat side: a Bot API server, a gateway that talks to it, a database with jobs in it."""

import asyncio
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from db import artifacts, chats, deliveries, jobs, placement
from db.pool import Pool, open_pool
from runtime.chat.deliver import deliver
from runtime.chat.gateway import TelegramGateway, open_gateway
from runtime.sandbox.telegram import SandboxTelegram
from runtime.settings import Settings

TOKEN = "123456789:AAExampleTokenOfNobodyAtAll0123456789"


def settings_for(api_url: str) -> Settings:
    return Settings(telegram_bot_token=TOKEN, telegram_api_url=api_url)


def picture(width: int = 64, height: int = 48, colour: str = "teal") -> bytes:
    """A PNG that carries the prompt in its metadata, as ComfyUI's do."""
    content, metadata = io.BytesIO(), PngImagePlugin.PngInfo()
    metadata.add_text("prompt", "a secret prompt")
    Image.new("RGB", (width, height), colour).save(content, "PNG", pnginfo=metadata)
    return content.getvalue()


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Return when the condition holds; for what nothing else tells. Raises: TimeoutError."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@dataclass
class Office:
    """The tables as dispatch and workers would have left them, and the sending of what is owed."""

    pool: Pool
    gateway: TelegramGateway
    commands: dict[str, int] = field(default_factory=dict)

    async def job(
        self,
        chat_id: int,
        *,
        state: str = "queued",
        outputs: Sequence[bytes] = (),
        arguments: Mapping[str, Any] | None = None,
        kind: str = "image",
        user_id: int | None = None,
        command: str = "flux",
        **columns: Any,
    ) -> int:
        """A job of this chat in this state, with what it made."""
        async with self.pool.connection() as connection:
            await chats.see(connection, chat_id, "private" if chat_id > 0 else "supergroup", "en")
            if command not in self.commands:
                row = placement.CommandRow(command, (), "plugin", "1", "summary", f"digest-{command}", {})
                self.commands.update(await placement.sync_commands(connection, [row]))
            new = jobs.NewJob(
                command_id=self.commands[command],
                command=command,
                arguments=arguments or {"prompt": "an astronaut", "seed": 7},
                chat_id=chat_id,
                user_id=user_id,
                language="en",
            )
            job_id = await jobs.insert(connection, new)
            assert job_id is not None
            for position, content in enumerate(outputs):
                media_type = "image/png" if kind == "image" else "video/mp4"
                made = artifacts.NewArtifact(kind, media_type, job_id=job_id, position=position)  # type: ignore[arg-type]
                await artifacts.add(connection, made, content)
        await self.set(job_id, state=state, **columns)
        return job_id

    async def set(self, job_id: int, **columns: Any) -> None:
        """Bring the job into another state, as its worker would."""
        if columns.get("state") == "collected":
            columns = {"started_at": "2026-11-23 10:00:00+00", "ended_at": "2026-11-23 10:00:04.2+00", **columns}
        assignments = ", ".join(f"{name} = %s" for name in columns)
        async with self.pool.connection() as connection:
            await connection.execute(
                f"update jobs set {assignments} where id = %s",
                (*columns.values(), job_id),  # type: ignore[arg-type]
            )

    async def execute(self, statement: str) -> None:
        async with self.pool.connection() as connection:
            await connection.execute(statement)  # type: ignore[arg-type]

    async def get(self, job_id: int) -> jobs.Job:
        async with self.pool.connection() as connection:
            job = await jobs.get(connection, job_id)
        assert job is not None
        return job

    async def owe(self, chat_id: int, kind: str, job_id: int | None = None, **payload: Any) -> int:
        async with self.pool.connection() as connection:
            await chats.see(connection, chat_id, "private" if chat_id > 0 else "supergroup", "en")
            delivery_id = await deliveries.owe(connection, chat_id, kind, payload, job_id)  # type: ignore[arg-type]
        assert delivery_id is not None
        return delivery_id

    async def send(self, delivery_id: int) -> None:
        await deliver(delivery_id, pool=self.pool, gateway=self.gateway)

    async def owe_and_send(self, chat_id: int, kind: str, job_id: int | None = None, **payload: Any) -> int:
        delivery_id = await self.owe(chat_id, kind, job_id, **payload)
        await self.send(delivery_id)
        return delivery_id

    async def row(self, delivery_id: int) -> tuple[str, str | None]:
        """(state, error) of a delivery."""
        async with self.pool.connection() as connection:
            cursor = await connection.execute("select state, error from deliveries where id = %s", (delivery_id,))
            found = await cursor.fetchone()
        assert found is not None
        return found

    async def make_due(self) -> None:
        """Let the time pass that postponed deliveries and quiet chats wait for."""
        async with self.pool.connection() as connection:
            await connection.execute("update deliveries set run_at = now() where state = 'pending'")
            await connection.execute("update chats set quiet_until = null")


@pytest.fixture
async def sandbox():
    async with SandboxTelegram(TOKEN) as telegram:
        yield telegram


@pytest.fixture
async def gateway(sandbox):
    async with open_gateway(settings_for(sandbox.base_url)) as gateway:
        yield gateway


@pytest.fixture
async def office(database, gateway):
    async with open_pool(database.dsn, "test") as pool:
        yield Office(pool, gateway)


@pytest.fixture
def alice(sandbox):
    return sandbox.user("Alice")
