"""Three receivers of the same update, each in a process of its own: `python -m benchmarks.webhook.servers NAME …`.

ours: durable, group commit. insert: durable, one INSERT a request, otherwise the same.
ptb: python-telegram-bot's own webhook server, which keeps updates in memory only.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from queue import Queue
from threading import Thread

import uvicorn
from psycopg_pool import AsyncConnectionPool
from telegram import Update
from telegram.ext import Application, TypeHandler

from db.updates import StoredUpdate
from runtime.sandbox.telegram import SandboxTelegram
from webhooks.app import create_app
from webhooks.group_commit import GroupCommit
from webhooks.process import collect_garbage_rarely
from webhooks.telegram import TelegramWebhook

SECRET = "benchmark-secret"
BOT_ID = 7


async def nothing() -> None:
    """No gauges to bring up to date."""


def serve(port: int, application: object) -> None:
    collect_garbage_rarely()
    uvicorn.run(
        application,  # type: ignore[arg-type]
        host="127.0.0.1",
        port=port,
        access_log=False,
        server_header=False,
        date_header=False,
        log_level="warning",
    )


def ours(port: int, dsn: str) -> None:
    """The receiver of the web process, with nobody behind it: dispatch has a benchmark of its own."""
    commit = GroupCommit(dsn, lambda stored: None)

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        await commit.start()
        yield
        await commit.stop()

    serve(port, create_app(TelegramWebhook(BOT_ID, SECRET, commit), {}, nothing, lifespan))


def insert(port: int, dsn: str) -> None:
    """The same, but each request commits for itself, on a pool of ten connections."""
    statement = (
        "insert into updates (bot_id, update_id, order_key, body) values (%s, %s, %s, %s) on conflict do nothing"
    )
    pool = AsyncConnectionPool(dsn, min_size=10, max_size=10, open=False, kwargs={"autocommit": True})

    class OneByOne(GroupCommit):
        def store(self, update: StoredUpdate) -> "asyncio.Future[None]":
            return asyncio.ensure_future(self._store_one(update))

        async def _store_one(self, update: StoredUpdate) -> None:
            async with pool.connection() as connection:
                await connection.execute(
                    statement, (update.bot_id, update.update_id, update.order_key, update.body), binary=True
                )

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        await pool.open()
        yield
        await pool.close()

    webhook = TelegramWebhook(BOT_ID, SECRET, OneByOne(dsn, lambda stored: None))
    serve(port, create_app(webhook, {}, nothing, lifespan))


def ptb(port: int, dsn: str) -> None:
    """python-telegram-bot as its documentation shows it, with one empty handler."""

    async def handle(update: object, context: object) -> None:
        pass

    api = sandbox_address()
    builder = Application.builder().token(f"{BOT_ID}:" + "A" * 35)
    application = builder.base_url(f"{api}/bot").base_file_url(f"{api}/file/bot").build()
    application.add_handler(TypeHandler(Update, handle))
    application.run_webhook(
        "127.0.0.1",
        port,
        "telegram/webhook",
        secret_token=SECRET,
        webhook_url=f"http://127.0.0.1:{port}/telegram/webhook",
    )


def sandbox_address() -> str:
    """A Bot API for PTB to talk to when it starts; idle from then on."""
    address: Queue[str] = Queue()

    async def stay() -> None:
        async with SandboxTelegram() as telegram:
            address.put(telegram.base_url)
            await asyncio.Event().wait()

    Thread(target=lambda: asyncio.run(stay()), daemon=True).start()
    return address.get(timeout=20)


if __name__ == "__main__":
    {"ours": ours, "insert": insert, "ptb": ptb}[sys.argv[1]](int(sys.argv[2]), sys.argv[3])
