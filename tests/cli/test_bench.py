"""`veilrun bench`."""

import json
import os
import signal
from pathlib import Path

from PIL import Image

from runtime.sandbox.comfyui import SandboxComfyUI
from tests.cli.conftest import Shell, registry

SMALL = "flux --size 256x256"


async def test_a_benchmark_is_shown_and_saved_and_drawn_then_compared(
    shell: Shell, comfyui: SandboxComfyUI, tmp_path: Path
) -> None:
    registry(tmp_path, {"flux": "{enabled: true}"}, comfyui.url)
    done = await shell.run("bench", "flux a kite --size 256x256", "--runs", "2", "--save", "mine")
    saved = json.loads((tmp_path / "mine.json").read_text())
    compared = await shell.run("bench", "--compare", "mine.json", "mine.json", "--json")

    assert done.status == 0
    assert "flux --size 256x256" in done.out
    assert "█" in done.out
    assert "chart: mine.png" in done.err
    assert [len(one["runs"]) for one in saved["measurements"]] == [3]
    assert len((tmp_path / "mine.csv").read_text().splitlines()) == 4
    assert Image.open(tmp_path / "mine.png").format == "PNG"
    assert [row["columns"][1]["improvement_percent"] for row in json.loads(compared.out)] == [0.0]


async def test_no_figure_is_cut_off_on_a_narrow_terminal_and_no_address_is_saved(
    shell: Shell, comfyui: SandboxComfyUI, tmp_path: Path
) -> None:
    measured = await shell.run("bench", SMALL, "--backend", comfyui.url, "--backend", comfyui.url, "--save", "mine")
    shown = await shell.run("bench", "--show", "mine.json", "--published", "flux", COLUMNS="20")
    saved = json.loads((tmp_path / "mine.json").read_text())

    assert (measured.status, shown.status) == (0, 0)
    assert [machine["backend"] for machine in saved["machines"]] == ["backend-1"]
    assert comfyui.url not in (tmp_path / "mine.json").read_text() + (tmp_path / "mine.csv").read_text()
    assert all(word in shown.out for word in ("published,", "improvement"))


async def test_stopping_it_keeps_what_was_measured(shell: Shell, comfyui: SandboxComfyUI, tmp_path: Path) -> None:
    registry(tmp_path, {"flux": "{enabled: true}"}, comfyui.url)
    process = await shell.start("bench", SMALL, "--runs", "900", "--keep-weights", "--save", "stopped")
    await comfyui.wait_for(lambda server: server.posts.total() > 4, timeout_seconds=30)
    process.send_signal(signal.SIGINT)
    done = await shell.ended(process)
    saved = json.loads((tmp_path / "stopped.json").read_text())

    assert done.status == 130
    assert "what was measured so far" in done.err
    assert len(saved["measurements"][0]["runs"]) >= 3
    assert not saved["is_complete"]


async def test_what_cannot_be_measured_is_said_and_ends_with_status_1(shell: Shell, tmp_path: Path) -> None:
    registry(tmp_path, {"flux": "{enabled: true}"}, "http://127.0.0.1:1")
    done = await shell.run("bench", "flux", "--runs", "1", "--no-save")

    assert done.status == 1
    assert "note: flux on sandbox" in done.err
    assert not [name for name in os.listdir(tmp_path) if name.startswith("bench-")]


async def test_the_way_to_a_backend_is_measured_alone(shell: Shell, comfyui: SandboxComfyUI, tmp_path: Path) -> None:
    done = await shell.run("bench", "--path", "--backend", comfyui.url, "--runs", "1", "--json", "--no-save")
    (cost,) = json.loads(done.out)["paths"]

    assert done.status == 0
    assert [part["unit"] for part in cost["parts"]] == ["ms", "ms", "MB/s", "MB/s"]
