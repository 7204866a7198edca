"""TELEGRAM_VIA=anon: a whole deployment that talks to the Bot API through an exit of the private network alone."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from runtime.anon.anonrc import private_folder
from runtime.sandbox.telegram import SandboxTelegram
from tests.conftest import Database
from tests.e2e.deployment import TOKEN, Deployment, deployed, picture_after
from tests.onion.door import Door
from tests.onion.network import PrivateNetwork

pytestmark = [pytest.mark.onion, pytest.mark.slow]

PICTURE_SECONDS = 120.0
SILENCE_SECONDS = 3.0
END_SECONDS = 30.0


@dataclass
class Telling:
    """A deployment with a direct backend whose Bot API is behind a door."""

    deployment: Deployment
    door: Door

    async def stop_anon(self) -> None:
        """Kill the keeper, and wait for the daemon's end."""
        keeper = psutil.Process(self.deployment.processes["anon"].pid)
        daemons = [child for child in keeper.children() if child.name() == "anon"]
        await self.deployment.kill("anon")
        _, alive = await asyncio.to_thread(psutil.wait_procs, daemons, END_SECONDS)
        assert alive == []


@contextlib.asynccontextmanager
async def telling(network: PrivateNetwork, dsn: str, folder: Path) -> AsyncIterator[Telling]:
    network.seed(private_folder(private_folder(folder / "anon") / "data"))
    async with (
        SandboxTelegram(TOKEN) as telegram,
        Door(urlsplit(telegram.base_url).port or 0) as door,
        deployed(
            dsn,
            folder,
            telegram=telegram,
            anon=True,
            TELEGRAM_VIA="anon",
            TELEGRAM_API_URL=door.url,
            VEILRUN_ANON_BINARY=str(network.binary),
            VEILRUN_ANON_ACCEPT_TERMS="true",
            VEILRUN_ANON_EXTRA_RC=str(network.extra_rc(folder)),
        ) as deployment,
    ):
        await telegram.until(lambda: telegram.webhook_url is not None, timeout=PICTURE_SECONDS)
        yield Telling(deployment, door)


def exits(network: PrivateNetwork) -> set[int | None]:
    return {relay.pid for relay in network.relays if relay.name.startswith("exit")}


async def test_a_picture_comes_from_an_exit_and_nothing_from_us(
    network: PrivateNetwork, database: Database, tmp_path: Path
) -> None:
    async with telling(network, database.dsn, tmp_path) as run:
        chat = run.deployment.chat

        await picture_after(chat, chat.send("/f an astronaut --size 256x256"), timeout=PICTURE_SECONDS)

        assert run.door.pids
        assert set(run.door.pids) <= exits(network)
        assert not set(run.door.pids) & {process.pid for process in run.deployment.processes.values()}


async def test_while_anon_is_stopped_nothing_is_said_and_afterwards_nothing_is_missing(
    network: PrivateNetwork, database: Database, tmp_path: Path
) -> None:
    async with telling(network, database.dsn, tmp_path) as run:
        chat = run.deployment.chat
        await picture_after(chat, chat.send("/f one --size 256x256"), timeout=PICTURE_SECONDS)
        await run.stop_anon()
        came = len(run.door.pids)

        asked = chat.send("/f two --size 256x256")
        await run.deployment.comfyui.wait_for(lambda server: len(server.graphs) == 2, PICTURE_SECONDS)
        with pytest.raises(TimeoutError):
            await chat.wait_for(lambda message: message.from_bot, after=asked, timeout=SILENCE_SECONDS)
        assert len(run.door.pids) == came

        await run.deployment.start("anon")
        await picture_after(chat, asked, timeout=PICTURE_SECONDS)

        assert set(run.door.pids) <= exits(network)
