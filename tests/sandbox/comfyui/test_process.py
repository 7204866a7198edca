"""`python -m runtime.sandbox.comfyui`: a process that can be killed and started again."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.sandbox.comfyui import graphs
from tests.sandbox.comfyui.client import DEADLINE_SECONDS, Client

Started = Callable[..., Coroutine[Any, Any, str]]


@asynccontextmanager
async def process(*options: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """The process and its address, once it listens."""
    command = (sys.executable, "-m", "runtime.sandbox.comfyui", "--pace", "0", *options)
    running = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        assert running.stdout is not None
        async with asyncio.timeout(DEADLINE_SECONDS):
            line = (await running.stdout.readline()).decode()
        yield running, line.split()[-1]
    finally:
        if running.returncode is None:
            running.kill()
        await running.wait()


async def test_it_tells_its_address_and_stops_when_asked(http: aiohttp.ClientSession) -> None:
    async with process() as (running, url):
        assert (await Client(http, url).run(graphs.plain()))["status"]["completed"]
        running.send_signal(signal.SIGTERM)
        async with asyncio.timeout(DEADLINE_SECONDS):
            assert await running.wait() == 0


async def test_after_a_kill_it_comes_back_on_the_same_port_with_its_files_only(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with process("--root", str(tmp_path)) as (running, url):
        client = Client(http, url)
        entry = (await client.saved(graphs.plain(), "p"))[0]
        running.send_signal(signal.SIGKILL)
        await running.wait()

    port = url.rsplit(":", 1)[1]
    async with process("--root", str(tmp_path), "--port", port, "--vram", "8", "--vram", "48") as (_, same_url):
        assert same_url == url
        assert await client.get("/history") == {}
        assert (await client.view(entry))[0] == 200
        assert len((await client.get("/system_stats"))["devices"]) == 2


async def test_its_journal_of_runs_outlasts_kill_9(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    journal = tmp_path / "runs.jsonl"
    for _ in range(2):  # the second process goes on with the same file, and finds nothing in its cache
        async with process("--journal", str(journal)) as (running, url):
            for _ in range(2):
                assert (await Client(http, url).run(graphs.plain()))["status"]["completed"]
            running.kill()
            await running.wait()

    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    assert [line["moment"] for line in lines] == ["queued", "began", "ended"] * 4
    assert [line["graph"] for line in lines[::3]] == [graphs.plain()] * 4
    assert ["blank" in line["executed"] for line in lines[2::3]] == [True, False, True, False]
    assert [line["at"] for line in lines] == sorted(line["at"] for line in lines)
