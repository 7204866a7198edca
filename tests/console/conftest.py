"""The console on a stage, and somebody who is signed in to it."""

from collections.abc import AsyncIterator

import pytest

from tests.conftest import Database
from tests.console.stage import Operator, Stage, operator, staged


@pytest.fixture
async def stage(database: Database) -> AsyncIterator[Stage]:
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
