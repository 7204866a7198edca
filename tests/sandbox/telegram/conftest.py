"""The sandbox, a person in it, and two strict clients written by others."""

import io
from collections.abc import AsyncIterator, Callable

import av
import pytest
from aiogram import Bot as AiogramBot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from PIL import Image
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


def picture(width: int = 640, height: int = 480, colour: str = "teal", form: str = "PNG") -> bytes:
    """An image file of one colour."""
    target = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(target, form)
    return target.getvalue()


def film(width: int = 160, height: int = 90, seconds: int = 2) -> bytes:
    """A small MP4 whose picture changes."""
    target = io.BytesIO()
    with av.open(target, mode="w", format="mp4") as container:
        stream = container.add_stream("h264", rate=8)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(8 * seconds):
            still = Image.new("RGB", (width, height), (number * 15 % 255, 90, 160))
            container.mux(stream.encode(av.VideoFrame.from_image(still)))
        container.mux(stream.encode())
    return target.getvalue()


Predicate = Callable[[object], bool]
