"""docs/operator.md, "GPUs behind the Anyone network", done word for word in two directories of this machine."""

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from runtime.anon.anonrc import private_folder
from runtime.sandbox.comfyui import SandboxComfyUI
from runtime.sandbox.telegram import SandboxTelegram
from tests.conftest import Database
from tests.e2e.deployment import TOKEN, picture_after
from tests.onion.daemon import free_port
from tests.onion.network import PrivateNetwork

pytestmark = [pytest.mark.onion, pytest.mark.slow]

DOCUMENT = (Path(__file__).parents[2] / "docs" / "operator.md").read_text(encoding="utf-8")
REGISTRY = """\
version: 1
access: {default: public}
plugins:
  flux: {enabled: true}
  qwen: {enabled: true}
backends:
"""
SECONDS = 120.0


def blocks(heading: str) -> list[str]:
    """The commands below a heading, as they stand there."""
    section = DOCUMENT.partition(f"### {heading}\n")[2].partition("\n##")[0]
    return re.findall(r"^```\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)


class Shell:
    """Somebody's terminal on one of the two machines."""

    def __init__(self, folder: Path, network: PrivateNetwork, **environment: str) -> None:
        self.folder = private_folder(folder)
        folder.chmod(0o711)
        self._environment = {
            "PATH": f"{Path(sys.executable).parent}:{network.binary.parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "VEILRUN_STATE_DIR": str(folder / "state"),
            "VEILRUN_ANON_EXTRA_RC": str(network.extra_rc(folder)),
            **environment,
        }

    @contextlib.asynccontextmanager
    async def running(self, commands: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """The commands, as a shell runs them that stops at the first failure."""
        process = await asyncio.create_subprocess_exec(
            "bash", "-ec", commands, cwd=self.folder, env=self._environment, stdout=-1, start_new_session=True
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            async with asyncio.timeout(40):
                await process.wait()

    async def done(self, commands: str) -> str:
        """What the commands print; they must succeed."""
        async with self.running(commands) as process:
            told, _ = await process.communicate()
        assert process.returncode == 0
        return told.decode()


async def said(process: asyncio.subprocess.Process, pattern: str) -> str:
    """Wait for a line that fits."""
    assert process.stdout is not None
    async with asyncio.timeout(SECONDS):
        async for line in process.stdout:
            if found := re.search(pattern, line.decode()):
                return found[0]
    raise AssertionError(f"it ended without saying {pattern}")


async def ready(url: str) -> None:
    async with asyncio.timeout(SECONDS), aiohttp.ClientSession() as session:
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(f"{url}/readyz") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.1)


async def test_a_picture_arrives(network: PrivateNetwork, database: Database, tmp_path: Path) -> None:
    expose, authorize = blocks("On the GPU host")
    (bot_up,) = blocks("On the bot's machine")
    port = free_port()
    gpu_host = Shell(tmp_path / "gpu", network)
    network.seed(private_folder(private_folder(private_folder(tmp_path / "gpu" / "state") / "expose") / "data"))
    async with SandboxComfyUI(pace=0, root=tmp_path / "gpu" / "ComfyUI") as comfyui, SandboxTelegram(TOKEN) as telegram:
        async with gpu_host.running(expose.replace("http://127.0.0.1:8188", comfyui.url)) as exposed:
            await said(exposed, r"http://[a-z2-7]{56}\.anon")
            line = await gpu_host.done(authorize)

            bot = Shell(
                tmp_path / "bot",
                network,
                DATABASE_URL=database.dsn,
                TELEGRAM_BOT_TOKEN=TOKEN,
                TELEGRAM_API_URL=telegram.base_url,
                VEILRUN_PORT=str(port),
                VEILRUN_PUBLIC_URL=f"http://127.0.0.1:{port}",
                VEILRUN_LOG_LEVEL="warning",
            )
            (bot.folder / "bot.key").write_bytes((gpu_host.folder / "bot.key").read_bytes())
            (bot.folder / "plugin_registry.yaml").write_text(REGISTRY + line)
            network.seed(private_folder(private_folder(private_folder(bot.folder / "state") / "anon") / "data"))
            async with bot.running(bot_up):
                await ready(f"http://127.0.0.1:{port}")
                chat = telegram.user("Alice").private_chat
                picture = await picture_after(chat, chat.send("/f an astronaut --size 256x256"), timeout=SECONDS)
                edited = await picture_after(chat, chat.send("/qwen put a t-shirt on him"), timeout=SECONDS)

        assert picture.content != edited.content
        assert len(comfyui.graphs) == 2
        left = [path.name for path in (tmp_path / "gpu" / "ComfyUI").rglob("*") if path.is_file()]
        assert left == []  # the gate deleted what the jobs left there
