"""A yard with one backend, and one with two."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runtime.sandbox.comfyui import SandboxComfyUI
from tests.conftest import Database
from tests.worker.yard import Yard, open_yard, write_registry


@pytest.fixture
async def comfyui() -> AsyncIterator[SandboxComfyUI]:
    async with SandboxComfyUI(pace=0) as backend:
        yield backend


@pytest.fixture
async def other() -> AsyncIterator[SandboxComfyUI]:
    async with SandboxComfyUI(pace=0) as backend:
        yield backend


@pytest.fixture
async def yard(database: Database, comfyui: SandboxComfyUI, tmp_path: Path) -> AsyncIterator[Yard]:
    async with open_yard(database.dsn, write_registry(tmp_path, [comfyui])) as opened:
        yield opened


@pytest.fixture
async def wide_yard(
    database: Database, comfyui: SandboxComfyUI, other: SandboxComfyUI, tmp_path: Path
) -> AsyncIterator[Yard]:
    """gpu-1 is `comfyui`, gpu-2 is `other`."""
    async with open_yard(database.dsn, write_registry(tmp_path, [comfyui, other])) as opened:
        yield opened
