"""Functions over HTTP: in this process with a database of the test's own, or as a whole deployment."""

import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import Database
from tests.functions.service import Service, served
from tests.registry.conftest import shelf

__all__ = ["shelf"]

MakeService = Callable[..., Awaitable[Service]]


@pytest.fixture
async def make_service(database: Database, tmp_path: Path) -> AsyncIterator[MakeService]:
    """Serve with the text of a registry file and settings."""
    async with AsyncExitStack() as stack:

        async def make(*registry: str, **settings: object) -> Service:
            return await stack.enter_async_context(served(database.dsn, tmp_path, *registry, **settings))

        yield make


@pytest.fixture
async def service(make_service: MakeService) -> Service:
    """All four plugins, nobody allowed in the chat, result webhooks to anywhere."""
    return await make_service()


@pytest.fixture
async def token(service: Service) -> str:
    """One that may do everything, as often as it likes."""
    return await service.token()


def picture(colour: str = "teal", size: tuple[int, int] = (64, 48)) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", size, colour).save(content, "PNG")
    return content.getvalue()
