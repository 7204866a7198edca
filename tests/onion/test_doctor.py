"""`veilrun doctor` beside a daemon that runs."""

import asyncio
import json
import re
import sys
from pathlib import Path

import pytest

from runtime.sandbox.comfyui import SandboxComfyUI
from runtime.supervisor import child_environment
from tests.onion.network import PrivateNetwork
from tests.onion.test_keeper import Kept

pytestmark = [pytest.mark.onion, pytest.mark.slow]


async def doctor(kept: Kept, registry: Path) -> list[dict[str, str]]:
    """Its lines; as a process of its own, as an operator runs it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "runtime.cli", "doctor", "--json"),
        env=child_environment(
            VEILRUN_STATE_DIR=str(kept.settings.state_dir),
            VEILRUN_ANON_BINARY=str(kept.settings.anon_binary),
            VEILRUN_ANON_ACCEPT_TERMS="true",
            VEILRUN_REGISTRY=str(registry),
        ),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    lines: list[dict[str, str]] = json.loads(out)["lines"]
    return lines


async def test_daemon_circuits_and_the_way_to_a_hidden_backend_are_told(
    network: PrivateNetwork, tmp_path: Path
) -> None:
    kept = Kept(network, tmp_path / "state")
    async with SandboxComfyUI(pace=0) as comfyui, kept.running():
        await kept.ready()
        service = await asyncio.to_thread(network.service, int(comfyui.url.rpartition(":")[2]))
        registry = tmp_path / "plugin_registry.yaml"
        registry.write_text(
            f'version: 1\naccess: {{default: public}}\nbackends:\n  - {{name: gpu, url: "http://{service.address}", '
            "transport: anon, vram_gb: 24}\n",
            encoding="utf-8",
        )
        first, again = await doctor(kept, registry), await doctor(kept, registry)
        assert kept.is_ready
        await asyncio.to_thread(service.stop)

    anon = [line["text"] for line in first if line["subject"] == "anon"]
    backend = [line for line in first if line["subject"] == "backend gpu"]
    assert anon[0].startswith("binary 0.4.9")
    assert "100 %" in anon[2]
    assert [line["level"] for line in backend] == ["warning", "ok", "warning"]
    assert "round trip" in backend[1]["text"]
    assert any(re.search(r"[1-9]\d* of them to backends$", line["text"]) for line in again)
