"""A bot, the people who write to it, and pictures to send."""

import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from PIL import Image

from tests.dispatch.bot import PUBLIC, Bot, bot_with
from tests.registry.conftest import shelf

__all__ = ["shelf"]


@pytest.fixture
async def make_bot(database, tmp_path: Path) -> AsyncIterator[Callable[[str], Awaitable[Bot]]]:
    """Make a bot from the text of a registry file."""
    async with AsyncExitStack() as stack:

        async def make(registry: str) -> Bot:
            path = tmp_path / "plugin_registry.yaml"
            path.write_text(registry, encoding="utf-8")
            return await stack.enter_async_context(bot_with(database.dsn, path))

        yield make


@pytest.fixture
async def bot(make_bot) -> Bot:
    """A public bot with all four plugins."""
    return await make_bot(PUBLIC)


@pytest.fixture
def alice(bot):
    return bot.telegram.user("Alice")


@pytest.fixture
def bob(bot):
    return bot.telegram.user("Bob")


@pytest.fixture
def chat(alice):
    return alice.private_chat


@pytest.fixture
def group(bot, alice, bob):
    return bot.telegram.group("Painters", [alice, bob])


def picture(colour: str = "teal", size: tuple[int, int] = (64, 48)) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", size, colour).save(content, "PNG")
    return content.getvalue()
