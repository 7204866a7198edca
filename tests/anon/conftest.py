"""A home and a PATH of the test's own."""

from pathlib import Path

import pytest


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    return home


@pytest.fixture
def place(home: Path) -> Path:
    """Where the SDK looks."""
    return home / ".anyone_protocol_sdk" / "bin"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH besides those of the shell itself."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("sh", "cp", "echo"):
        (folder / name).symlink_to(Path("/bin", name))
    monkeypatch.setenv("PATH", str(folder))
    return folder
