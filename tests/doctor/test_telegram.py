"""What the doctor says about Telegram, asked of a sandbox of it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from runtime.chat.gateway import Webhook, open_gateway
from runtime.chat.webhook import ALLOWED_UPDATES, register_webhook
from runtime.doctor import Line
from runtime.doctor.telegram import webhook_lines
from runtime.sandbox.telegram import SandboxTelegram
from runtime.settings import Settings, read_settings
from tests.doctor.deployments import lines

TOKEN = "7000000001:token-of-the-bot-that-the-doctor-looks-at"
PUBLIC = "https://bot.example.org"
NOW = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
SOUND = Webhook(f"{PUBLIC}/telegram/webhook", 0, None, 40, ALLOWED_UPDATES, None, "203.0.113.7")


@pytest.fixture
async def telegram() -> AsyncIterator[SandboxTelegram]:
    async with SandboxTelegram(TOKEN) as telegram:
        yield telegram


@pytest.fixture
def bot(settings: Settings, telegram: SandboxTelegram) -> Settings:
    given = read_settings(telegram_bot_token=TOKEN, telegram_api_url=telegram.base_url)
    return settings.model_copy(
        update={
            "telegram_bot_token": given.telegram_bot_token,
            "telegram_api_url": given.telegram_api_url,
            "public_url": "http://127.0.0.1:1",
        }
    )


def levels(found: list[Line]) -> list[str]:
    return [line.level for line in found]


async def test_a_bot_whose_webhook_is_right_is_ok(bot: Settings) -> None:
    async with open_gateway(bot) as gateway:
        await register_webhook(gateway, "http://127.0.0.1:1", bot.webhook_secret)
    found = await lines(bot, "telegram")
    (clock,) = await lines(bot, "clock")

    assert set(levels(found)) == {"ok"}
    assert found[0].text == "the bot is @veilrun_sandbox_bot"
    assert "127.0.0.1:1/telegram/webhook at 127.0.0.1" in found[1].text
    assert "Telegram" in clock.text


async def test_a_refused_token_is_a_fault(bot: Settings) -> None:
    other = read_settings(telegram_bot_token="7000000002:another-token-that-nobody-gave-to-anyone").telegram_bot_token
    (line,) = await lines(bot.model_copy(update={"telegram_bot_token": other}), "telegram")

    assert line.level == "fault"
    assert "BotFather" in line.cure
    assert line.cure.endswith("; see whether TELEGRAM_API_URL leads to a Bot API server")


async def test_a_bot_api_that_is_away_is_a_fault(bot: Settings) -> None:
    (line,) = await lines(bot.model_copy(update={"telegram_api_url": "http://127.0.0.1:1"}), "telegram")

    assert line.level == "fault"
    assert "TELEGRAM_API_URL" in line.cure


async def test_no_webhook_is_a_fault_if_nobody_will_set_it(bot: Settings) -> None:
    serving, alone = await lines(bot, "telegram"), await lines(bot.model_copy(update={"public_url": None}), "telegram")

    assert levels(serving) == ["ok", "warning", "ok"]
    assert levels(alone) == ["ok", "fault", "ok"]
    assert "veilrun webhook set" in alone[1].cure


async def test_deliveries_that_fail_are_told_with_telegrams_own_words(bot: Settings, telegram: SandboxTelegram) -> None:
    async with open_gateway(bot) as gateway:
        await register_webhook(gateway, "http://127.0.0.1:1", bot.webhook_secret)
    telegram.user("Alice").private_chat.send("/f an astronaut")
    await telegram.until(lambda: telegram.last_webhook_error != "")
    found = await lines(bot, "telegram")

    assert levels(found) == ["ok", "ok", "ok", "fault"]
    assert "1 updates wait there" in found[2].text
    assert telegram.last_webhook_error in found[3].text
    assert "last failed delivery 0 s ago" in found[3].text or "s ago" in found[3].text


async def test_a_deployment_without_a_token_asks_nobody(settings: Settings) -> None:
    (line,) = await lines(settings, "telegram")

    assert (line.level, line.text) == ("ok", "not asked: there is no token")


@pytest.mark.parametrize(
    ("webhook", "level", "said"),
    [
        (replace(SOUND, url="https://other.example.org/hook?key=hush"), "fault", "go to https://other.example.org/…,"),
        (replace(SOUND, allowed_updates=("message",)), "fault", "does not send callback_query, my_chat_member"),
        (replace(SOUND, pending_updates=80), "warning", "80 updates wait"),
        (replace(SOUND, last_error="Connection refused", last_error_at=NOW - timedelta(seconds=30)), "warning", "30 s"),
    ],
)
def test_what_is_wrong_with_a_webhook_is_named(webhook: Webhook, level: str, said: str) -> None:
    settings = read_settings(telegram_bot_token=TOKEN, public_url=PUBLIC)
    (line,) = [line for line in webhook_lines(webhook, settings, NOW) if line.level != "ok"]

    assert line.level == level
    assert said in line.text
    assert "hush" not in line.text
    assert line.cure


def test_an_error_of_last_week_is_over_and_still_told() -> None:
    settings = read_settings(telegram_bot_token=TOKEN, public_url=PUBLIC)
    webhook = replace(SOUND, last_error="Wrong response: 502", last_error_at=NOW - timedelta(days=7))
    found = list(webhook_lines(webhook, settings, NOW))

    assert {line.level for line in found} == {"ok"}
    assert "7 d ago: Wrong response: 502" in found[-1].text
