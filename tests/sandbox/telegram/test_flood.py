"""With flood limits on, the sandbox refuses what Telegram would call too fast."""

from collections.abc import AsyncIterator

import pytest
from telegram import Bot
from telegram.error import RetryAfter

from runtime.sandbox.telegram import ManualClock, SandboxTelegram
from tests.sandbox.telegram.conftest import TOKEN


@pytest.fixture
async def strict(clock: ManualClock) -> AsyncIterator[SandboxTelegram]:
    async with SandboxTelegram(TOKEN, clock=clock, flood_limits=True) as sandbox:
        yield sandbox


async def test_one_chat_gets_a_short_burst_then_one_message_a_second(
    strict: SandboxTelegram, clock: ManualClock
) -> None:
    alice, bob = strict.user("Alice"), strict.user("Bob")
    async with Bot(TOKEN, base_url=f"{strict.base_url}/bot") as bot:
        for _ in range(3):
            await bot.send_message(alice.id, "x")
        with pytest.raises(RetryAfter) as refused:
            await bot.send_message(alice.id, "x")
        await bot.send_chat_action(alice.id, "typing")
        await bot.send_message(bob.id, "others are not held up")
        clock.advance(int(refused.value.retry_after))
        await bot.send_message(alice.id, "x")


async def test_a_group_takes_20_a_minute(strict: SandboxTelegram, clock: ManualClock) -> None:
    group = strict.group("Club", [strict.user("Alice")])
    async with Bot(TOKEN, base_url=f"{strict.base_url}/bot") as bot:
        for _ in range(20):
            await bot.send_message(group.id, "x")
            clock.advance(1)
        with pytest.raises(RetryAfter):
            await bot.send_message(group.id, "x")
        clock.advance(60)
        await bot.send_message(group.id, "x")


async def test_all_chats_together_take_30_a_second(strict: SandboxTelegram) -> None:
    people = [strict.user(f"Person{number}") for number in range(31)]
    async with Bot(TOKEN, base_url=f"{strict.base_url}/bot") as bot:
        for person in people[:30]:
            await bot.send_message(person.id, "x")
        with pytest.raises(RetryAfter):
            await bot.send_message(people[30].id, "x")
