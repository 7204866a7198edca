"""`veilrun up`, `serve`, `worker`, `health`, `demo`: whole processes, started and ended as an operator would."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import psutil
import pytest

from runtime.sandbox.comfyui import SandboxComfyUI
from runtime.sandbox.telegram import SandboxTelegram
from tests.cli.conftest import TOKEN, Shell, registry
from tests.conftest import Database
from tests.e2e.deployment import picture_after

pytestmark = pytest.mark.slow

PROMPT = "an astronaut with a secret"


@pytest.fixture
async def telegram(
    shell: Shell, database: Database, comfyui: SandboxComfyUI, tmp_path: Path
) -> AsyncIterator[SandboxTelegram]:
    """A sandbox for the bot; `shell` has the settings of a whole deployment on a free port."""
    registry(tmp_path, {"flux": "{enabled: true}"}, comfyui.url)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with SandboxTelegram(TOKEN) as telegram:
        shell.environment |= {
            "DATABASE_URL": database.dsn,
            "TELEGRAM_BOT_TOKEN": TOKEN,
            "TELEGRAM_API_URL": telegram.base_url,
            "VEILRUN_PORT": str(port),
            "VEILRUN_PUBLIC_URL": f"http://127.0.0.1:{port}",
            "VEILRUN_LOG_LEVEL": "debug",
        }
        yield telegram


async def ready(shell: Shell) -> None:
    """The web process is ready and a worker is alive."""
    async with asyncio.timeout(60), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"{shell.environment['VEILRUN_PUBLIC_URL']}/readyz") as answer:
                    if answer.status == 200 and (await shell.run("health")).out.count("alive") == 2:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)


async def gone(processes: list[psutil.Process]) -> None:
    _, alive = await asyncio.to_thread(psutil.wait_procs, processes, 30)
    assert alive == []


async def test_up_runs_a_bot_and_ends_it_without_a_trace_of_prompt_or_token(
    shell: Shell, telegram: SandboxTelegram
) -> None:
    running = await shell.start("up")
    await ready(shell)
    children = psutil.Process(running.pid).children(recursive=True)
    chat = telegram.user("Alice").private_chat
    await picture_after(chat, chat.send(f"/flux {PROMPT} --size 256x256"))

    second = await shell.run("up")
    running.send_signal(signal.SIGTERM)
    first = await shell.ended(running)

    assert second.status == 1
    assert "Address already in use; choose with VEILRUN_HOST and VEILRUN_PORT" in second.complaint
    assert first.status == 0
    assert len(children) == 2
    await gone(children)
    assert PROMPT not in first.out + first.err
    assert (await shell.run("health")).status == 1


async def test_killing_the_supervisor_ends_its_children(shell: Shell, telegram: SandboxTelegram) -> None:
    running = await shell.start("up")
    await ready(shell)
    children = psutil.Process(running.pid).children(recursive=True)

    os.kill(running.pid, signal.SIGKILL)
    await running.wait()

    assert len(children) == 2
    await gone(children)


@pytest.mark.parametrize("command", ["up", "serve", "worker"])
async def test_wrong_settings_end_every_command_with_78(shell: Shell, command: str) -> None:
    missing = await shell.run(command)
    wrong = await shell.run(command, TELEGRAM_BOT_TOKEN="123:short")

    assert (missing.status, wrong.status) == (78, 78)
    assert "TELEGRAM_BOT_TOKEN is not set" in missing.complaint
    assert "TELEGRAM_BOT_TOKEN is not a bot token" in wrong.complaint


@pytest.mark.parametrize("command", ["up", "serve", "worker"])
async def test_a_database_that_is_away_is_one_line(shell: Shell, telegram: SandboxTelegram, command: str) -> None:
    done = await shell.run(command, DATABASE_URL="postgresql://bot:hush@127.0.0.1:9/veilrun")

    assert done.status == 1
    assert "the database does not answer" in done.err.splitlines()[-1]
    assert "hush" not in done.err


async def test_the_demo_plays_the_main_job(shell: Shell) -> None:
    done = await shell.run("demo", "--once", "--port", "0")

    assert done.status == 0, done.err
    assert done.out.count("a picture of") == 2
