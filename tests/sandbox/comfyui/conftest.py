from collections.abc import AsyncIterator

import aiohttp
import pytest

from runtime.sandbox.comfyui import SandboxComfyUI
from tests.sandbox.comfyui.client import DEADLINE_SECONDS, Client


@pytest.fixture
async def comfyui() -> AsyncIterator[SandboxComfyUI]:
    async with SandboxComfyUI(pace=0) as server:
        yield server


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(DEADLINE_SECONDS)) as session:
        yield session


@pytest.fixture
def client(comfyui: SandboxComfyUI, http: aiohttp.ClientSession) -> Client:
    return Client(http, comfyui.url)
