"""One server of each kind for all tests of this folder, wiped for each of them; a yard with one backend."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from runtime.sandbox.comfyui import SandboxComfyUI
from tests.conftest import Database
from tests.scale.servers import SERVERS, BrokerServer, RabbitmqServer
from tests.worker.yard import Yard, open_yard, write_registry


def started(name: str) -> Iterator[BrokerServer]:
    kind = SERVERS[name]
    if reason := kind.missing():
        pytest.skip(reason)
    server = kind()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session", params=list(SERVERS))
def running_server(request: pytest.FixtureRequest) -> Iterator[BrokerServer]:
    yield from started(request.param)


@pytest.fixture
def server(running_server: BrokerServer) -> BrokerServer:
    """Each kind in turn, with nothing in it."""
    running_server.wipe()
    return running_server


@pytest.fixture(scope="module")
def rabbitmq() -> Iterator[RabbitmqServer]:
    yield from started("rabbitmq")  # type: ignore[misc]


@pytest.fixture
async def comfyui() -> AsyncIterator[SandboxComfyUI]:
    async with SandboxComfyUI(pace=0) as backend:
        yield backend


@pytest.fixture
async def yard(database: Database, comfyui: SandboxComfyUI, tmp_path: Path) -> AsyncIterator[Yard]:
    async with open_yard(database.dsn, write_registry(tmp_path, [comfyui])) as opened:
        yield opened
