"""A running receiver, and a connection that looks into its table."""

import pytest
import structlog

from tests.webhooks.receiver import running


@pytest.fixture
async def receiver(database):
    async with running(database.dsn) as receiver:
        yield receiver


@pytest.fixture
async def table(database):
    connection = await database.connect()
    yield connection
    await connection.close()


@pytest.fixture
def logged():
    with structlog.testing.capture_logs() as entries:
        yield entries
