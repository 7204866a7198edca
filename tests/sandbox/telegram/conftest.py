"""The sandbox, a person in it, and two strict clients written by others."""

from collections.abc import AsyncIterator

import pytest
from aiogram import Bot as AiogramBot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from telegram import Bot

from runtime.sandbox.telegram import Chat, ManualClock, SandboxTelegram, User

TOKEN = "123456789:AAEabcdefghijklmnopqrstuvwxyz012345"


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxTelegram]:
    async with SandboxTelegram(TOKEN) as sandbox:
        yield sandbox


@pytest.fixture
def alice(sandbox: SandboxTelegram) -> User:
    return sandbox.user("Alice")


@pytest.fixture
def chat(alice: User) -> Chat:
    return alice.private_chat


@pytest.fixture
async def bot(sandbox: SandboxTelegram) -> AsyncIterator[Bot]:
    async with Bot(TOKEN, base_url=f"{sandbox.base_url}/bot", base_file_url=f"{sandbox.base_url}/file/bot") as bot:
        yield bot


@pytest.fixture
async def aiogram_bot(sandbox: SandboxTelegram) -> AsyncIterator[AiogramBot]:
    session = AiohttpSession(api=TelegramAPIServer.from_base(sandbox.base_url))
    async with AiogramBot(TOKEN, session=session) as bot:
        yield bot


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()
