"""Real parts for the chat side: a Bot API server and a gateway that talks to it."""

import io

import pytest
from PIL import Image

from runtime.chat.gateway import TelegramGateway, open_gateway
from runtime.sandbox.telegram import SandboxTelegram
from runtime.settings import Settings

TOKEN = "123456789:AAExampleTokenOfNobodyAtAll0123456789"


def settings_for(api_url: str) -> Settings:
    return Settings(telegram_bot_token=TOKEN, telegram_api_url=api_url)


def picture(width: int = 64, height: int = 48, colour: str = "teal") -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(content, "PNG")
    return content.getvalue()


@pytest.fixture
async def sandbox():
    async with SandboxTelegram(TOKEN) as telegram:
        yield telegram


@pytest.fixture
async def gateway(sandbox) -> TelegramGateway:
    async with open_gateway(settings_for(sandbox.base_url)) as gateway:
        yield gateway


@pytest.fixture
def alice(sandbox):
    return sandbox.user("Alice")
