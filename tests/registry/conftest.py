"""A registry file to write, and a shelf of installed plugins: real modules with real package metadata."""

import itertools
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from runtime.registry import Registry, load_registry

PREAMBLE = """\
from dataclasses import replace

from runtime.api import *

def command(name, **changes):
    graph = {"words": {"class_type": "Words", "inputs": {"text": ""}}, "save": {"class_type": "Save", "inputs": {}}}
    workflow = Workflow(graph=graph, bind={"prompt": "words.text"}, output="save")
    plain = Command(name, "A test", (Prompt(), Integer("steps", default=4, low=1, high=9)), workflow, GpuAffinity(1))
    return replace(plain, **changes)
"""
_numbers = itertools.count()


@dataclass(frozen=True)
class Shelf:
    """Where plugins are installed for one test."""

    folder: Path

    def install(self, name: str, source: str, *, distribution: str | None = None, version: str = "1.2") -> str:
        """Install a plugin made of one module. Gives the name of its module."""
        module = f"shelf_{next(_numbers)}_{name.replace('-', '_')}"
        content = textwrap.dedent(source)
        self.folder.joinpath(f"{module}.py").write_text(PREAMBLE + content, encoding="utf-8")
        metadata = self.folder / f"{module}-{version}.dist-info"
        metadata.mkdir()
        metadata.joinpath("METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution or module}\nVersion: {version}\n", encoding="utf-8"
        )
        metadata.joinpath("entry_points.txt").write_text(f"[veilrun.plugins]\n{name} = {module}\n", encoding="utf-8")
        return module


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    yield Shelf(folder)
    for name in [name for name in sys.modules if name.startswith("shelf_")]:
        del sys.modules[name]


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str | bytes], Path]:
    """Write a registry file."""

    def write(content: str | bytes) -> Path:
        path = tmp_path / "plugin_registry.yaml"
        path.write_bytes(content if isinstance(content, bytes) else textwrap.dedent(content).encode())
        return path

    return write


@pytest.fixture
def load(written: Callable[[str | bytes], Path]) -> Callable[[str | bytes], Registry]:
    """Load a registry with this content."""
    return lambda content: load_registry(written(content))
