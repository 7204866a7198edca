"""A deployment with an anon that says it is 0.4.9.11, and with no backend yet."""

from pathlib import Path

import pytest

from runtime.settings import Settings, read_settings
from tests.doctor.deployments import described


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    anon = tmp_path / "anon-binary"
    anon.write_text("#!/bin/sh\necho 'Anon version 0.4.9.11-live.'\n", encoding="ascii")
    anon.chmod(0o755)
    return described(read_settings(state_dir=tmp_path / "state", anon_binary=anon, anon_accept_terms=True), tmp_path)
