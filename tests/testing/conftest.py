"""A project as an author has it: the one of docs/author.md with the tests of docs/testing.md, not installed."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
_FILE = re.compile(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Project:
    root: Path

    def write(self, name: str, content: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")

    def pytest(self, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run its tests in a process of their own, as the author does."""
        command = [str(Path(sys.executable).with_name("pytest")), "-q", "-p", "no:cacheprovider", *options]
        inherited = {name: value for name, value in os.environ.items() if name not in ("CI", "PYTEST_ADDOPTS")}
        return subprocess.run(
            command, cwd=self.root, env={**inherited, **environment}, capture_output=True, text=True, timeout=100
        )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = Project(tmp_path_factory.mktemp("acme"))
    for page in ("author.md", "testing.md"):
        for name, content in _FILE.findall((DOCS / page).read_text(encoding="utf-8")):
            made.write(name, content)
    return made
