"""The console on a stage, and somebody who is signed in to it."""

from collections.abc import AsyncIterator

import pytest

from tests.conftest import Database
from tests.console.stage import Operator, Stage, operator, staged
from webhooks.console import pages, stream


@pytest.fixture
async def stage(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    """It shows what is, not what was a second ago."""
    monkeypatch.setattr(pages, "SECONDS", 0.0)
    monkeypatch.setattr(stream, "SECONDS", 0.05)
    async with staged(database.dsn) as stage:
        yield stage


@pytest.fixture
async def somebody(stage: Stage) -> AsyncIterator[Operator]:
    """Signed in."""
    async with operator(stage) as somebody:
        yield somebody


@pytest.fixture
async def stranger(stage: Stage) -> AsyncIterator[Operator]:
    """Not signed in."""
    async with operator(stage, is_signed_in=False) as stranger:
        yield stranger
