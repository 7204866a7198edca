"""The real binary, installed."""

import subprocess
import sys
from pathlib import Path

import pytest

from runtime.anon.install import FromPath, install

pytestmark = pytest.mark.onion


def test_the_sdk_can_be_imported_once_the_real_binary_is_installed(
    anon_binary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    sdk = [sys.executable, "-c", "import anyone_protocol_sdk"]
    before = subprocess.run(sdk, capture_output=True, text=True)

    installed = install(FromPath(anon_binary))

    assert "FileNotFoundError" in before.stderr
    assert subprocess.run(sdk, capture_output=True).returncode == 0
    assert installed.version.startswith("0.4.")
    assert installed.suffix in (".anon", ".anyone")
    assert installed.binary.with_name("anon-gencert").is_file()
