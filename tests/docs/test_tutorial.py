"""The tutorial and the ten-minute guide, word for word: files written, commands typed, answers seen."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
_FILE = re.compile(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", re.DOTALL)
_CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("page", ["tutorial.md", "ten-minutes.md"])
@pytest.mark.timeout(180)
def test_it_works_as_it_is_written(page: str, tmp_path: Path) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    for name, content in _FILE.findall(text):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    lines = [line for block in _CONSOLE.findall(text) for line in block.splitlines()]
    typed = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    answers = [line for line in lines if line and not line.startswith("$ ")]
    script = "\n".join(["set -e", *typed])
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("VEILRUN", "CI", "PYTEST"))}
    alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "-p runtime.testing.plugin"}

    run = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={**inherited, **alone, "PATH": tools, "COLUMNS": "160"},
        capture_output=True,
        text=True,
        timeout=150,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    assert typed
    shown = re.sub(r"\s+", " ", run.stdout)
    for answer in answers:
        for part in re.split(r"\s+…\s+", answer):
            assert re.sub(r"\s+", " ", part).strip() in shown, f"{part!r} is not in:\n{run.stdout}\n{run.stderr}"
