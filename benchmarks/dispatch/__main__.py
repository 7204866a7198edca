"""What one update costs: reading it, finding its command, and its whole effect in the database.

Reading and finding run against python-telegram-bot's own objects and own handlers, for the same body; ours finds the
arguments as well. The effect is a job that is queued with its status message owed, in one transaction; nothing is
rendered or sent.
"""

import argparse
import asyncio
import contextlib
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import telegram
from telegram.ext import Application, CommandHandler

from benchmarks.webhook.load import body
from db import migrate, updates
from db.embedded import embedded_database
from db.pool import Pool, open_pool
from db.updates import StoredUpdate
from runtime.chat.gateway import TelegramGateway
from runtime.dispatch.arguments import parse_arguments
from runtime.dispatch.command_line import read_command
from runtime.dispatch.dispatcher import Dispatcher
from runtime.dispatch.update import read_update
from runtime.registry import LiveRegistry, Registry, load_registry
from runtime.scheduler.sync import sync_registry
from webhooks.envelope import read_envelope

BOT = telegram.Bot("123456789:AAExampleTokenOfNobodyAtAll0123456789")
REGISTRY = """\
version: 1
access: {default: public}
backends: []
plugins: {flux: {enabled: true}}
"""


def microseconds(work: Callable[[], object], calls: int = 300) -> float:
    """What one call costs."""
    started = time.perf_counter()
    for _ in range(calls):
        work()
    return (time.perf_counter() - started) / calls * 1e6


async def microseconds_awaited(work: Callable[[], Awaitable[object]], calls: int = 300) -> float:
    """As `microseconds`, for what is awaited."""
    started = time.perf_counter()
    for _ in range(calls):
        await work()
    return (time.perf_counter() - started) / calls * 1e6


def compared(what: str, costs: Sequence[tuple[float, float]]) -> str:
    """A line about pairs of (ours, theirs) that were measured in turn: medians, and the median of the ratios."""
    ours, theirs = (statistics.median(side) for side in zip(*costs, strict=True))
    ratio = statistics.median(other / own for own, other in costs)
    return f"{what:34} ours {ours:6.1f} us   python-telegram-bot {theirs:6.1f} us   {ratio:.0f}x"


async def in_memory(registry: Registry, rounds: int) -> float:
    """Reading an update, and finding what it asks for. Microseconds for both."""
    update = body(10**11)

    def read() -> telegram.Update:
        return telegram.Update.de_json(json.loads(update), BOT)

    def find() -> None:
        message = read_update(update).message
        line = read_command(message.words) if message else None
        loaded = registry.resolve(line.word) if line else None
        if line and loaded:
            parse_arguments(loaded.command, line.rest)

    async def handled(*_: object) -> None:
        return None

    async def handle() -> None:
        await application.process_update(read())

    application = Application.builder().bot(BOT).updater(None).build()
    application.add_handler(CommandHandler("f", handled))
    application._initialized = True  # without a network there is nothing to initialise
    BOT._bot_user = telegram.User(123456789, "veilrun", is_bot=True, username="veilrun_bot")  # what getMe would tell
    reading = [(microseconds(lambda: read_update(update)), microseconds(read)) for _ in range(rounds * 5)]
    envelope = [(microseconds(lambda: read_envelope(update)), microseconds(read)) for _ in range(rounds * 5)]
    finding = [(microseconds(find), await microseconds_awaited(handle)) for _ in range(rounds * 5)]
    print(compared(f"number and chat of {len(update)} bytes", envelope))
    print(compared("reading what has an effect", reading))
    print(compared("and finding its command", finding))
    return statistics.median(ours for ours, _ in finding)


def commands(first: int, count: int, chats: int) -> list[StoredUpdate]:
    """Commands of as many private chats, in turn."""
    found = []
    for number in range(first, first + count):
        user = {"id": 1000 + number % chats, "is_bot": False, "first_name": "B", "language_code": "en"}
        chat = {"id": user["id"], "type": "private"}
        message = {"message_id": number, "from": user, "chat": chat, "date": 1795400000}
        message["text"] = "/f an astronaut riding a horse on the moon, golden hour --ar 16:9"
        content = json.dumps({"update_id": number, "message": message}).encode()
        found.append(StoredUpdate(1, number, 1000 + number % chats, content))
    return found


@contextlib.asynccontextmanager
async def dispatching(pool: Pool, registry: Registry) -> AsyncIterator[Dispatcher]:
    """A dispatcher whose effects end in the database."""

    async def nothing(*_: object) -> None:
        return None

    gateway = TelegramGateway(BOT)
    gateway._username = "veilrun_bot"
    dispatcher = Dispatcher(
        pool=pool,
        live=LiveRegistry(registry, await sync_registry(pool, registry)),
        gateway=gateway,
        on_jobs=nothing,
        on_deliveries=nothing,
    )
    await dispatcher.start()
    try:
        yield dispatcher
    finally:
        await dispatcher.stop()


async def through(pool: Pool, dispatcher: Dispatcher, stored: Sequence[StoredUpdate]) -> float:
    """Seconds from the hand-over to the last commit."""
    async with pool.connection() as connection:
        await updates.store(connection, stored)
    started = time.perf_counter()
    dispatcher.accept(stored)
    await dispatcher.idle()
    return time.perf_counter() - started


async def in_database(dsn: str, registry: Registry, rounds: int, parsing: float) -> None:
    """The whole effect: one at a time, and as many as come. parsing: microseconds that it takes of them."""
    async with open_pool(dsn, "bench") as pool, dispatching(pool, registry) as dispatcher:
        await through(pool, dispatcher, commands(1, 200, 8))  # warm-up
        alone = [await through(pool, dispatcher, commands(1000 + n, 1, 1)) for n in range(rounds * 100)]
        many = [500 / await through(pool, dispatcher, commands(100_000 + n * 500, 500, 40)) for n in range(rounds)]
        async with pool.connection() as connection:
            row = await (await connection.execute("select count(*) from jobs")).fetchone()
    expected = 200 + rounds * 600
    assert row is not None
    assert row[0] == expected, f"{row[0]} jobs for {expected} commands"
    ordered = sorted(alone)
    busy = 1e6 / statistics.median(many)
    print(
        f"{'from stored to queued job':34} median {statistics.median(alone) * 1000:.2f} ms"
        f"   p99 {ordered[int(len(ordered) * 0.99)] * 1000:.2f} ms   {statistics.median(many):.0f}/s from 40 chats"
    )
    print(
        f"{'one update of many':34} {busy:.0f} us, of which reading and finding {parsing:.0f} us ({parsing / busy:.1%})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    wanted = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="veilrun-bench-"))
    folder.chmod(0o711)
    try:
        path = folder / "plugin_registry.yaml"
        path.write_text(REGISTRY, encoding="utf-8")
        registry = load_registry(path)
        parsing = asyncio.run(in_memory(registry, wanted.rounds))
        with embedded_database(folder / "state") as dsn:
            migrate.upgrade(dsn)
            asyncio.run(in_database(dsn, registry, wanted.rounds, parsing))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
