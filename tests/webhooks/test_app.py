"""Health, readiness and metrics, and Telegram's own way in: setWebhook at the sandbox."""

import asyncio
import re

from runtime.chat.gateway import open_gateway
from runtime.chat.webhook import PATH, register_webhook
from runtime.sandbox.telegram import SandboxTelegram
from runtime.settings import Settings
from tests.webhooks.receiver import BOT_ID, SECRET, message, rows, running
from webhooks import app

TOKEN = f"{BOT_ID}:token-of-the-bot-in-receiver-tests"


async def test_a_living_process_says_so(receiver) -> None:
    assert await receiver.get("/healthz") == (200, '{"status":"alive"}')


async def test_a_process_with_its_database_is_ready(receiver) -> None:
    assert await receiver.get("/readyz") == (200, '{"status":"ready"}')


async def test_a_process_that_is_not_ready_says_why(database) -> None:
    async def away() -> str | None:
        return "the database does not answer"

    async def stopped() -> str | None:
        return "dispatch has stopped"

    async with running(database.dsn, {"database": away, "dispatch": stopped}) as receiver:
        status, text = await receiver.get("/readyz")

    assert status == 503
    assert '"database":"the database does not answer"' in text
    assert '"dispatch":"dispatch has stopped"' in text
    assert "receiver" not in text


async def test_a_check_that_hangs_is_a_reason_too(database, monkeypatch) -> None:
    monkeypatch.setattr(app, "CHECK_SECONDS", 0.05)

    async def hangs() -> str | None:
        await asyncio.Event().wait()
        return None

    async with running(database.dsn, {"database": hangs}) as receiver:
        assert (await receiver.get("/readyz"))[0] == 503


async def test_metrics_count_updates_by_result_and_name_nobody(receiver) -> None:
    await receiver.status(message(1, chat_id=987654321))
    await receiver.status(b"no update")
    await receiver.status(b"no update")

    status, text = await receiver.get("/metrics")

    assert status == 200
    for result in ("stored", "malformed", "malformed_again"):
        assert re.search(rf'veilrun_updates_received_total{{result="{result}"}} [1-9]', text)
    assert "veilrun_commit_batch_updates_count" in text
    assert "veilrun_ack_seconds_count" in text
    assert "987654321" not in text
    assert str(BOT_ID) not in text
    labels = set(re.findall(r"[{,]([a-z_]+)=", text))
    assert not labels & {"user", "user_id", "chat", "chat_id", "prompt", "bot_id"}


async def test_what_is_no_route_is_not_found(receiver) -> None:
    for path in ("/", "/docs", "/openapi.json", PATH + "/", "/telegram"):
        assert (await receiver.get(path))[0] == 404


async def test_an_update_travels_from_a_phone_to_the_table(receiver, table) -> None:
    async with SandboxTelegram(TOKEN) as telegram:
        settings = Settings(telegram_bot_token=TOKEN, telegram_api_url=telegram.base_url)
        async with open_gateway(settings) as gateway:
            await register_webhook(gateway, receiver.url, SECRET)
            telegram.user("Alice").private_chat.send("/f an astronaut")
            await telegram.until(lambda: telegram.pending_updates == 0)

    (stored,) = await rows(table)
    assert stored[0] == BOT_ID
    assert stored[2] == telegram.user("Alice").id
    assert b"an astronaut" in stored[3]


async def test_telegram_holds_an_update_while_the_database_is_away(receiver, table) -> None:
    await table.execute("alter table updates rename to elsewhere")
    async with SandboxTelegram(TOKEN) as telegram:
        settings = Settings(telegram_bot_token=TOKEN, telegram_api_url=telegram.base_url)
        async with open_gateway(settings) as gateway:
            await register_webhook(gateway, receiver.url, SECRET)
            telegram.user("Alice").private_chat.send("/f an astronaut")
            await telegram.until(lambda: "503" in telegram.last_webhook_error)
            await table.execute("alter table elsewhere rename to updates")
            await telegram.until(lambda: telegram.pending_updates == 0, timeout=20)

    assert len(await rows(table)) == 1
