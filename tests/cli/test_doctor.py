"""`veilrun doctor`."""

import json
from pathlib import Path

import pytest

from runtime.leaks.scenarios import SCENARIOS
from runtime.sandbox.comfyui import SandboxComfyUI
from runtime.sandbox.telegram import SandboxTelegram
from tests.cli.conftest import TOKEN, Shell, registry


async def test_a_sound_deployment_ends_with_status_0(shell: Shell, comfyui: SandboxComfyUI, tmp_path: Path) -> None:
    registry(tmp_path, {"flux": "{enabled: true}"}, comfyui.url)
    async with SandboxTelegram(TOKEN) as telegram:
        sandbox = {"TELEGRAM_BOT_TOKEN": TOKEN, "TELEGRAM_API_URL": telegram.base_url}
        await shell.run("webhook", "set", "http://127.0.0.1:1", **sandbox)
        done = await shell.run("doctor", VEILRUN_STATE_DIR=str(tmp_path / "state"), **sandbox)

    assert (done.status, done.err) == (0, "")
    assert {line.split()[0] for line in done.out.splitlines()} == {"ok"}
    assert "backend gpu: ComfyUI" in done.out


async def test_a_fault_ends_with_status_1_and_a_cure(shell: Shell, tmp_path: Path) -> None:
    registry(tmp_path, {"flux": "{enabled: true}"}, "http://127.0.0.1:1")
    done = await shell.run("doctor", VEILRUN_STATE_DIR=str(tmp_path / "state"))

    assert done.status == 1
    assert "fault   backend gpu: not reached" in done.out
    assert "→ start ComfyUI" in done.out


async def test_scripts_get_the_same_as_json(shell: Shell, tmp_path: Path) -> None:
    done = await shell.run("doctor", "--json", VEILRUN_STATE_DIR=str(tmp_path / "state"))
    document = json.loads(done.out)

    assert (done.status, document["ok"]) == (1, False)
    (line,) = [line for line in document["lines"] if line["subject"] == "registry"]
    assert line["level"] == "fault"
    assert "plugin_registry.yaml" in line["text"]


async def test_the_leak_check_gives_a_line_for_each_scenario(shell: Shell, tmp_path: Path) -> None:
    registry(tmp_path, {"flux": "{enabled: true}"})
    done = await shell.run("doctor", "--leaks", "--json", VEILRUN_STATE_DIR=str(tmp_path / "state"))
    lines = [line for line in json.loads(done.out)["lines"] if line["subject"] == "leaks"]

    if "not checked" in lines[-1]["text"]:
        pytest.skip(lines[-1]["text"])
    assert {line["level"] for line in lines} == {"ok"}
    assert len(lines) == len(SCENARIOS) + 1
    assert "0 packets and 0 DNS questions outside the proxy" in lines[-1]["text"]
