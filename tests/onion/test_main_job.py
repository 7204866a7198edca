"""The whole main job with ComfyUI as a hidden service, over the private network and the real anon."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from runtime.anon.anonrc import private_folder
from runtime.sandbox.comfyui import SandboxComfyUI
from tests.conftest import Database
from tests.e2e.deployment import REGISTRY, Deployment, deployed, picture_after
from tests.onion.members import Service
from tests.onion.network import PrivateNetwork

pytestmark = [pytest.mark.onion, pytest.mark.slow]

READY_SECONDS, PICTURE_SECONDS = 60.0, 120.0


@dataclass
class Hidden:
    """A deployment whose only backend is a hidden service."""

    deployment: Deployment
    service: Service
    folder: Path

    def anon_pid(self) -> int:
        """The daemon itself: the child of the process that keeps it."""
        keeper = psutil.Process(self.deployment.processes["anon"].pid)
        return next(child.pid for child in keeper.children() if child.name() == "anon")


@contextlib.asynccontextmanager
async def hidden(network: PrivateNetwork, dsn: str, folder: Path, **environment: str) -> AsyncIterator[Hidden]:
    async with SandboxComfyUI(pace=0) as comfyui:
        service = await asyncio.to_thread(network.service, urlsplit(comfyui.url).port)
        backend = f'  - {{name: gpu-a, url: "http://{service.address}", transport: anon, device: x, vram_gb: 32}}'
        network.seed(private_folder(private_folder(folder / "anon") / "data"))
        async with deployed(
            dsn,
            folder,
            registry=REGISTRY.format(backends=backend),
            comfyui=comfyui,
            anon=True,
            VEILRUN_ANON_BINARY=str(network.binary),
            VEILRUN_ANON_ACCEPT_TERMS="true",
            VEILRUN_ANON_EXTRA_RC=str(network.extra_rc(folder)),
            **environment,
        ) as deployment:
            yield Hidden(deployment, service, folder)
        await asyncio.to_thread(service.stop)


async def test_a_command_becomes_a_picture_and_the_next_command_edits_it(
    network: PrivateNetwork, database: Database, tmp_path: Path
) -> None:
    async with hidden(network, database.dsn, tmp_path) as run:
        chat = run.deployment.chat

        picture = await picture_after(chat, chat.send("/f an astronaut --size 512x256"), timeout=PICTURE_SECONDS)
        edited = await picture_after(chat, chat.send("/qwen put a t-shirt on him"), timeout=PICTURE_SECONDS)

        assert picture.content is not None
        assert edited.content != picture.content
        assert len(run.deployment.comfyui.graphs) == 2


async def test_anon_killed_and_started_again_in_mid_job_loses_nothing_and_renders_once(
    network: PrivateNetwork, database: Database, tmp_path: Path
) -> None:
    async with hidden(network, database.dsn, tmp_path) as run:
        chat, comfyui = run.deployment.chat, run.deployment.comfyui
        comfyui.faults.hold.add("sampler")
        asked = chat.send("/f an astronaut --size 256x256")
        await comfyui.wait_for(lambda server: "sampler" in server.held, PICTURE_SECONDS)

        os.kill(run.anon_pid(), signal.SIGKILL)
        comfyui.faults.hold.clear()
        await picture_after(chat, asked, timeout=PICTURE_SECONDS)

        assert len(comfyui.graphs) == 1


async def test_a_job_waits_while_anon_is_down_and_uses_up_no_try(
    network: PrivateNetwork, database: Database, tmp_path: Path
) -> None:
    async with hidden(network, database.dsn, tmp_path) as run:
        chat = run.deployment.chat
        await picture_after(chat, chat.send("/f one --size 256x256"), timeout=PICTURE_SECONDS)

        await run.deployment.kill("anon")
        asked = chat.send("/f two --size 256x256")
        await chat.wait_for(lambda m: "private network" in (m.text or ""), after=asked, timeout=READY_SECONDS)
        await run.deployment.start("anon")
        await picture_after(chat, asked, timeout=PICTURE_SECONDS)

        async with await database.connect() as connection:
            rows = await connection.execute("select max_attempts - attempt from jobs order by id")
            first, second = [row[0] async for row in rows]
            assert second >= first
