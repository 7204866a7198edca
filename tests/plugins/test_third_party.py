"""A plugin of somebody else: built as a wheel, installed beside veilrun's own wheel in a clean environment, run."""

import asyncio
import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from runtime.sandbox.comfyui import SandboxComfyUI

ROOT = Path(__file__).parents[2]
PLUGIN = Path(__file__).parent / "third_party"

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Machine:
    """A clean environment with veilrun and the plugin installed from their wheels, and a folder to work in."""

    python: Path
    folder: Path

    def run(self, *words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        return _run([self.python, *words], self.folder, {"VEILRUN_REGISTRY": "registry.yaml"}, check=check)

    def veilrun(self, *words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run(self.python.with_name("veilrun"), *words, check=check)

    def write_registry(self, plugins: str) -> None:
        self.folder.joinpath("registry.yaml").write_text(f"version: 1\nplugins:\n  {plugins}\n", encoding="utf-8")


def _run(
    command: Sequence[str | Path], folder: Path, environment: Mapping[str, str], *, check: bool = True
) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("VEILRUN_", "PYTHON"))}
    done = subprocess.run(
        command, cwd=folder, env=clean | dict(environment), capture_output=True, text=True, timeout=90
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    folder = tmp_path_factory.mktemp("machine")
    wheels = folder / "wheels"
    for project in (ROOT, PLUGIN):
        _run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", wheels, project], folder, {})
    _run([sys.executable, "-m", "venv", "--without-pip", "env"], folder, {})
    python = folder / "env" / "bin" / "python"
    _run(
        [sys.executable, "-m", "pip", "--python", python, "install", "--no-index", "--no-deps", *wheels.glob("*.whl")],
        folder,
        {"PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )
    # the packages that veilrun depends on are borrowed from the environment of this test run
    site = Path(
        _run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], folder, {}).stdout.strip()
    )
    site.joinpath("borrowed.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return Machine(python, folder)


@pytest.fixture
def picture(machine: Machine) -> Path:
    path = machine.folder / "in.png"
    Image.new("RGB", (64, 48), "teal").save(path)
    return path


def test_the_wheel_holds_all_that_is_not_python(machine: Machine) -> None:
    """Graphs, texts, migrations, the chat page: whatever file is in the packages is installed."""
    packages = ("runtime", "plugins", "db", "webhooks")
    files = (path for package in packages for path in ROOT.joinpath(package).rglob("*") if path.is_file())
    kinds = {".json", ".toml", ".sql", ".html", ".js", ".css", ".svg"}
    (wheel,) = machine.folder.glob("wheels/veilrun-*.whl")

    held = set(zipfile.ZipFile(wheel).namelist())

    expected = {path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts}
    assert kinds <= {Path(name).suffix for name in expected}
    assert expected <= held
    assert {name.partition("/")[0] for name in held} == {
        *packages,
        f"{wheel.name.removesuffix('-py3-none-any.whl')}.dist-info",
    }


LOAD = """
import json, pathlib, runtime, acme_enlarge
from runtime.api import Invocation
from runtime.registry import load_registry
from runtime.worker.graph import fill_graph
registry = load_registry(pathlib.Path("registry.yaml"), strict=True)
loaded = registry.resolve("BIG")
call = Invocation("enlarge", {"megapixels": 8.0, "method": "area"}, uploads=("cat.png",))
graph = registry.build_workflow(call, fill_graph(loaded.command, call))
print(json.dumps([runtime.__file__, loaded.plugin, loaded.plugin_version, registry.plugins[0].source, graph]))
"""


def test_its_command_is_found_and_its_graph_fills(machine: Machine) -> None:
    machine.write_registry("enlarge: {}")

    where, plugin, version, source, graph = json.loads(machine.run("-c", LOAD).stdout)

    assert Path(where).is_relative_to(machine.folder)
    assert (plugin, version, source) == ("enlarge", "1.0.0", "acme-enlarge")
    assert graph["image"]["inputs"]["image"] == "cat.png"
    assert graph["scaled"]["inputs"] == {"image": ["image", 0], "upscale_method": "area", "megapixels": 8.0}


def test_it_is_listed_but_not_active_until_the_operator_enables_it(machine: Machine) -> None:
    machine.write_registry("flux: {}")

    listed = {plugin["name"]: plugin for plugin in json.loads(machine.veilrun("plugins", "list", "--json").stdout)}

    assert {name: plugin["enabled"] for name, plugin in listed.items()} == {
        "flux": True,
        "enlarge": False,
        "qwen": False,
        "sd3": False,
        "wan": False,
    }
    assert (listed["enlarge"]["version"], listed["enlarge"]["source"]) == ("1.0.0", "acme-enlarge")
    assert listed["enlarge"]["commands"] == []


def test_check_says_that_it_works(machine: Machine) -> None:
    machine.write_registry("enlarge: {}")

    checked = json.loads(machine.veilrun("plugins", "check", "--json").stdout)

    assert (checked["commands"], checked["faulty"]) == (["enlarge"], {})


async def test_its_command_runs(machine: Machine, picture: Path, tmp_path: Path) -> None:
    machine.write_registry("enlarge: {config: {most_megapixels: 8}}")
    out = tmp_path / "out.png"

    async with SandboxComfyUI(pace=0) as comfyui:
        words = ("invoke", "big", "--megapixels", "0.5", "-i", picture, "-o", out, "--backend", comfyui.url)
        done = await asyncio.to_thread(machine.veilrun, *words)

    (graph,) = comfyui.graphs
    assert {node: graph[node]["class_type"] for node in graph} == {
        "image": "LoadImage",
        "scaled": "ImageScaleToTotalPixels",
        "save": "PreviewImage",
    }
    assert graph["scaled"]["inputs"]["megapixels"] == 0.5
    assert str(out) in done.stdout.replace("\n", "")
    with Image.open(out) as enlarged:
        assert enlarged.format == "PNG"
        assert 500_000 < enlarged.width * enlarged.height < 550_000


async def test_its_veto_reaches_the_user(machine: Machine, picture: Path, tmp_path: Path) -> None:
    machine.write_registry("enlarge: {config: {most_megapixels: 8}}")

    async with SandboxComfyUI(pace=0) as comfyui:
        words = ("invoke", "big", "--megapixels", "9", "-i", picture, "--backend", comfyui.url)
        done = await asyncio.to_thread(machine.veilrun, *words, check=False)

    assert done.returncode != 0
    assert "at most 8 megapixels, please" in done.stderr
    assert "Traceback" not in done.stderr
    assert not comfyui.graphs
