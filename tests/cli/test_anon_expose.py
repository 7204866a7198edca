"""`veilrun anon expose` and `authorize`: what they say, refuse and leave, before any network is there."""

import fcntl
import json
import re
import signal
from pathlib import Path

import pytest

from runtime.anon.address import HiddenAddress
from runtime.anon.client_keys import read_client_key
from tests.anon.fakes import fake_anon, write
from tests.cli.conftest import Shell

ADDRESS = str(HiddenAddress.of(bytes(range(32)), ".anon"))
COMFYUI = ("--comfyui", "http://127.0.0.1:8188")


@pytest.fixture
def gpu_host(shell: Shell, tmp_path: Path) -> Shell:
    """A machine with ComfyUI's folders, and an anon that is installed."""
    for name in ("input", "output"):
        (tmp_path / "ComfyUI" / name).mkdir(parents=True)
    shell.environment |= {
        "HOME": str(tmp_path),
        "VEILRUN_STATE_DIR": str(tmp_path / "state"),
        "VEILRUN_ANON_BINARY": str(write(tmp_path / "programs" / "anon", fake_anon("0.4.9.11-live"))),
        "VEILRUN_ANON_ACCEPT_TERMS": "true",
    }
    return shell


@pytest.fixture
def exposed(gpu_host: Shell) -> Shell:
    """The same after the services were started once: they have addresses."""
    for name in ("comfyui", "web"):
        service = gpu_host.folder / "state" / "expose" / "services" / name
        service.mkdir(parents=True)
        (service / "hostname").write_text(ADDRESS + "\n")
    return gpu_host


def clients(shell: Shell, service: str = "comfyui") -> list[str]:
    folder = shell.folder / "state" / "expose" / "services" / service / "authorized_clients"
    return sorted(file.name for file in folder.glob("*"))


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "say what to expose"),
        (("--comfyui", "http://gpu-box:8188"), "write it with an IP address"),
        (("--web", "https://127.0.0.1:8080"), "write it with an IP address"),
        ((*COMFYUI, "--comfyui-dir", "programs"), "input is no folder"),
        ((*COMFYUI, "--comfyui-dir", "ComfyUI", "--no-gate"), "it is the gate that deletes files"),
    ],
)
async def test_what_cannot_be_exposed_is_refused_with_a_cure(
    gpu_host: Shell, words: tuple[str, ...], complaint: str
) -> None:
    done = await gpu_host.run("anon", "expose", *words)

    assert done.status == 1
    assert complaint in done.complaint


async def test_nothing_is_exposed_before_the_terms_are_accepted(gpu_host: Shell) -> None:
    done = await gpu_host.run("anon", "expose", *COMFYUI, VEILRUN_ANON_ACCEPT_TERMS="false")

    assert done.status == 1
    assert "https://www.anyone.io/terms" in done.complaint
    assert not (gpu_host.folder / "state").exists()


async def test_one_folder_is_exposed_by_one_process(gpu_host: Shell) -> None:
    place = gpu_host.folder / "state" / "expose"
    place.mkdir(parents=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = await gpu_host.run("anon", "expose", *COMFYUI)

    assert done.status == 1
    assert "--data-dir" in done.complaint


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--comfyui-dir", "ComfyUI"), ""),
        ((), "Without --comfyui-dir, files of finished jobs stay"),
        (("--temp-directory", "ComfyUI"), "Without --comfyui-dir, input and output files of finished jobs stay"),
        (("--single-hop",), "--single-hop: this machine is not hidden"),
        (("--open",), "--open: everybody who learns the address can use it"),
        (("--no-gate",), "--no-gate: every route of ComfyUI passes"),
    ],
)
async def test_what_it_costs_is_said_in_plain_words_at_start(
    gpu_host: Shell, words: tuple[str, ...], said: str
) -> None:
    process = await gpu_host.start("anon", "expose", *COMFYUI, *words, COLUMNS="400")
    assert process.stderr is not None
    heard = (await process.stderr.readuntil(b"trying again")).decode()  # a daemon that only tells its version
    process.send_signal(signal.SIGTERM)
    done = await gpu_host.ended(process)

    assert done.status == 0
    assert said in heard
    assert said or "stay" not in heard
    assert clients(gpu_host) == ([] if words == ("--open",) else ["nobody.auth"])


async def test_nobody_is_authorized_for_what_has_no_address_yet(gpu_host: Shell) -> None:
    done = await gpu_host.run("anon", "authorize", "bot")

    assert done.status == 1
    assert "start `veilrun anon expose` first" in done.complaint


async def test_a_key_is_shown_once_with_the_registry_line(exposed: Shell) -> None:
    done = await exposed.run("anon", "authorize", "bot")
    key, line = done.out.strip().split("\n\n")

    assert re.fullmatch(r"[A-Z2-7]{52}", key)
    assert f'url: "http://{ADDRESS}", transport: anon, client_key_file: bot.key' in line
    assert clients(exposed) == ["bot.auth", "nobody.auth"]
    assert not [file for file in (exposed.folder / "state").rglob("*") if file.is_file() and key in file.read_text()]


async def test_a_key_goes_into_a_new_private_file(exposed: Shell) -> None:
    done = await exposed.run("anon", "authorize", "bot", "--out", "carry.key")
    file = exposed.folder / "carry.key"

    assert "client_key_file: carry.key" in done.out
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(read_client_key(file)) == 32
    assert file.read_text().strip() not in done.out + done.err


@pytest.mark.parametrize("place", ["carry.key", "nowhere/carry.key"])
async def test_nobody_is_authorized_if_the_key_cannot_be_written(exposed: Shell, place: str) -> None:
    (exposed.folder / "carry.key").write_text("of another")

    done = await exposed.run("anon", "authorize", "bot", "--out", place)

    assert done.status == 1
    assert place in done.complaint
    assert clients(exposed) == []
    assert (exposed.folder / "carry.key").read_text() == "of another"


async def test_no_file_is_left_if_nobody_was_authorized(exposed: Shell) -> None:
    await exposed.run("anon", "authorize", "bot")

    done = await exposed.run("anon", "authorize", "bot", "--out", "carry.key")

    assert "authorized already" in done.complaint
    assert not (exposed.folder / "carry.key").exists()


async def test_a_key_for_the_web_has_no_line_for_the_registry(exposed: Shell) -> None:
    done = await exposed.run("anon", "authorize", "me", "--service", "web", "--json")

    assert set(json.loads(done.out)) == {"name", "address", "client_key"}
    assert (clients(exposed, "web"), clients(exposed)) == (["me.auth", "nobody.auth"], [])


async def test_a_revoked_client_is_out_and_the_door_stays_shut(exposed: Shell) -> None:
    await exposed.run("anon", "authorize", "bot")

    done = await exposed.run("anon", "authorize", "bot", "--revoke")

    assert done.status == 0
    assert clients(exposed) == ["nobody.auth"]
