"""`veilrun webhook` against the sandbox Bot API."""

import json
from collections.abc import AsyncIterator

import pytest

from runtime.sandbox.telegram import SandboxTelegram
from tests.cli.conftest import TOKEN, Shell


@pytest.fixture
async def telegram(shell: Shell) -> AsyncIterator[SandboxTelegram]:
    async with SandboxTelegram(TOKEN) as telegram:
        shell.environment |= {"TELEGRAM_BOT_TOKEN": TOKEN, "TELEGRAM_API_URL": telegram.base_url}
        yield telegram


async def test_the_webhook_is_set_shown_and_deleted(shell: Shell, telegram: SandboxTelegram) -> None:
    missing = await shell.run("webhook", "info")
    placed = await shell.run("webhook", "set", "https://bot.example.org/")
    found = await shell.run("webhook", "info", "--json")
    deleted = await shell.run("webhook", "delete", "--drop-pending")

    assert missing.status == 1
    assert (placed.status, placed.out) == (0, "Telegram sends updates to https://bot.example.org/telegram/webhook\n")
    assert (found.status, json.loads(found.out)["url"]) == (0, "https://bot.example.org/telegram/webhook")
    assert deleted.status == 0
    assert (await shell.run("webhook", "info")).status == 1


async def test_without_an_address_it_says_what_to_give(shell: Shell, telegram: SandboxTelegram) -> None:
    done = await shell.run("webhook", "set")

    assert done.status == 1
    assert "VEILRUN_PUBLIC_URL" in done.complaint


async def test_telegram_that_is_away_or_refuses_the_token_is_one_line(shell: Shell, telegram: SandboxTelegram) -> None:
    away = await shell.run("webhook", "info", TELEGRAM_API_URL="http://127.0.0.1:9")
    refused = await shell.run("webhook", "info", TELEGRAM_BOT_TOKEN="7000000002:" + "x" * 35)

    assert (away.status, refused.status) == (1, 1)
    assert "no connection" in away.complaint
    assert "`veilrun doctor` says what to look at" in away.complaint
    assert "TELEGRAM_BOT_TOKEN" in refused.complaint


async def test_even_at_debug_nothing_shows_the_token(shell: Shell, telegram: SandboxTelegram) -> None:
    done = await shell.run("webhook", "info", "--json", VEILRUN_LOG_LEVEL="debug")

    assert "token-of-the-bot" not in done.out + done.err
