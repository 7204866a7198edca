"""`veilrun anon run` and `anon status` as processes, on the private network."""

import asyncio
import contextlib
import json
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from runtime.anon.anonrc import private_folder
from runtime.sandbox.comfyui import SandboxComfyUI
from tests.cli.conftest import Shell
from tests.onion.network import PrivateNetwork

pytestmark = [pytest.mark.onion, pytest.mark.slow]

SECONDS = 60.0
END_SECONDS = 30.0
"""Its own look at whether its owner lives comes every 15 s; the control connection it is owned by ends at once."""

REGISTRY = """\
version: 1
backends: [{{name: gpu-a, url: "http://{address}", transport: anon, vram_gb: 32}}]
plugins:
  flux: {{enabled: true}}
"""


@pytest.fixture
async def shell(network: PrivateNetwork, tmp_path: Path) -> AsyncIterator[Shell]:
    """A machine of its own whose anon belongs to the private network."""
    state = private_folder(tmp_path / "state")
    network.seed(private_folder(private_folder(state / "anon") / "data"))
    shell = Shell(
        tmp_path,
        {
            "VEILRUN_STATE_DIR": str(state),
            "VEILRUN_ANON_BINARY": str(network.binary),
            "VEILRUN_ANON_ACCEPT_TERMS": "true",
            "VEILRUN_ANON_EXTRA_RC": str(network.extra_rc(tmp_path)),
        },
    )
    (tmp_path / "plugin_registry.yaml").write_text("version: 1\n", encoding="utf-8")
    yield shell
    shell.end()
    for process in shell.started:
        await process.communicate()


async def status(shell: Shell) -> dict[str, Any]:
    """What `anon status --json` tells."""
    told: dict[str, Any] = json.loads((await shell.run("anon", "status", "--json")).out)
    return told


async def usable(shell: Shell) -> dict[str, Any]:
    """The same once anon is usable."""
    async with asyncio.timeout(SECONDS):
        while True:
            told = await status(shell)
            if told["running"] and told["bootstrap_percent"] == 100 and told["problem"] is None:
                return told


def daemon_of(keeper: Process) -> psutil.Process:
    """The anon that this process keeps."""
    (daemon,) = [child for child in psutil.Process(keeper.pid).children(recursive=True) if child.name() == "anon"]
    return daemon


async def gone(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        await asyncio.to_thread(process.wait, END_SECONDS)


async def test_status_shows_the_daemon_its_circuits_and_the_way_to_a_hidden_backend(
    network: PrivateNetwork, shell: Shell
) -> None:
    async with SandboxComfyUI(pace=0) as comfyui:
        service = await asyncio.to_thread(network.service, urlsplit(comfyui.url).port or 0)
        registry = shell.folder / "plugin_registry.yaml"
        registry.write_text(REGISTRY.format(address=service.address), encoding="utf-8")
        await shell.start("anon", "run")

        told = await usable(shell)
        readable = await shell.run("anon", "status")
        await asyncio.to_thread(service.stop)

    assert told["version"].startswith("0.4.9")
    assert told["bytes_read"] > 0
    paths = [circuit["path"] for circuit in told["circuits"] if circuit["state"] == "BUILT"]
    assert any(len(path) >= 3 for path in paths)
    assert {hop["nickname"] for path in paths for hop in path} <= {relay.name for relay in network.relays} | {
        "authority"
    }
    (backend,) = told["backends"]
    assert (backend["backend"], backend["error"]) == ("gpu-a", None)
    assert backend["first_seconds"] > 0
    assert backend["round_trip_seconds"] > 0
    assert readable.status == 0
    assert "gpu-a" in readable.out
    assert f"anon {told['version']}: 100 %" in readable.out


async def test_sigterm_ends_keeper_and_daemon(shell: Shell) -> None:
    keeper = await shell.start("anon", "run")
    await usable(shell)
    daemon = daemon_of(keeper)

    keeper.send_signal(signal.SIGTERM)
    done = await shell.ended(keeper)

    assert done.status == 0
    await gone(daemon)
    assert await status(shell) == {"running": False}


async def test_the_daemon_does_not_outlive_a_keeper_that_is_killed(shell: Shell) -> None:
    keeper = await shell.start("anon", "run")
    await usable(shell)
    daemon = daemon_of(keeper)

    keeper.kill()
    await keeper.wait()

    await gone(daemon)
    told = await status(shell)
    assert not told["running"] or told["problem"], "nobody is left to write that it is down"
