"""`veilrun anon status` and `run`, and what `up` and `worker` say early when anon cannot be started."""

import json
from pathlib import Path

import pytest

from runtime.anon.address import HiddenAddress
from tests.anon.fakes import fake_anon, write
from tests.cli.conftest import TOKEN, Shell, registry

SERVICE = HiddenAddress.of(bytes(range(32)), ".anon")


@pytest.fixture
def machine(shell: Shell, tmp_path: Path) -> Shell:
    """A machine with a bot, an anon that is installed, and a registry without hidden backends."""
    registry(tmp_path, {"flux": "{enabled: true}"})
    shell.environment |= {
        "HOME": str(tmp_path),
        "TELEGRAM_BOT_TOKEN": TOKEN,
        "VEILRUN_STATE_DIR": str(tmp_path / "state"),
        "VEILRUN_ANON_BINARY": str(write(tmp_path / "programs" / "anon", fake_anon("0.4.9.11-live"))),
    }
    return shell


@pytest.fixture
def bot_host(machine: Shell, tmp_path: Path) -> Shell:
    """The same with a hidden backend."""
    path = registry(tmp_path, {"flux": "{enabled: true}"})
    backend = f'[{{name: gpu, url: "http://{SERVICE}", transport: anon, vram_gb: 24}}]'
    path.write_text(path.read_text(encoding="utf-8").replace("backends: []", f"backends: {backend}"), encoding="utf-8")
    return machine


async def test_status_without_a_daemon_says_how_to_start_one(machine: Shell) -> None:
    done = await machine.run("anon", "status")

    assert done.status == 1
    assert done.complaint == "anon does not run on this machine; `veilrun up` or `veilrun anon run` starts it"


async def test_status_without_a_daemon_is_told_to_programs_too(machine: Shell) -> None:
    done = await machine.run("anon", "status", "--json")

    assert (done.status, json.loads(done.out), done.err) == (1, {"running": False}, "")


@pytest.mark.parametrize("command", ["anon run", "up", "worker"])
async def test_nothing_starts_before_the_terms_are_accepted(bot_host: Shell, command: str) -> None:
    done = await bot_host.run(*command.split())

    assert done.status == 1
    assert "https://www.anyone.io/terms" in done.complaint
    assert "set VEILRUN_ANON_ACCEPT_TERMS=true" in done.complaint
    assert not (bot_host.folder / "state" / "anon").exists()


@pytest.mark.parametrize("command", ["anon run", "up", "worker"])
async def test_nothing_starts_without_the_binary(bot_host: Shell, command: str) -> None:
    bot_host.environment["VEILRUN_ANON_ACCEPT_TERMS"] = "true"
    named = await bot_host.run(*command.split(), VEILRUN_ANON_BINARY="/nowhere/anon")
    del bot_host.environment["VEILRUN_ANON_BINARY"]
    looked_for = await bot_host.run(*command.split())

    assert (named.status, looked_for.status) == (1, 1)
    assert named.complaint == "error: VEILRUN_ANON_BINARY: there is no file /nowhere/anon"
    assert looked_for.complaint == "error: anon is not installed: run `veilrun anon install`"


@pytest.mark.parametrize("command", ["up", "serve", "worker"])
async def test_a_bot_api_through_anon_needs_it_too(machine: Shell, command: str) -> None:
    done = await machine.run(command, TELEGRAM_VIA="anon")

    assert done.status == 1
    assert "set VEILRUN_ANON_ACCEPT_TERMS=true" in done.complaint


async def test_a_daemon_of_others_is_asked_for_its_version(bot_host: Shell) -> None:
    done = await bot_host.run("anon", "run", VEILRUN_ANON_SOCKS="127.0.0.1:9050")

    assert done.status == 78
    assert "VEILRUN_ANON_SOCKS needs VEILRUN_ANON_CONTROL" in done.complaint
