"""`veilrun plugins`: what an operator learns about the registry file."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from runtime.cli import app


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "plugin_registry.yaml"
    monkeypatch.setenv("VEILRUN_REGISTRY", str(path))
    return path


def veilrun(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def test_check_names_what_works_what_is_faulty_and_what_is_hardly_meant(registry: Path) -> None:
    registry.write_text("version: 1\naccess: {default: public}\nplugins: {flux: {}, qwn: {}}\n", encoding="utf-8")

    said = veilrun("plugins", "check")

    assert said.exit_code == 1
    assert "ok      /flux from flux" in said.output
    assert "faulty  qwn: no plugin 'qwn' is installed here" in said.output
    assert "warning plugin_registry.yaml:3: plugins.qwn: no plugin 'qwn' is installed here; did you mean" in said.output


def test_warnings_alone_are_no_failure(registry: Path) -> None:
    registry.write_text("version: 1\nplugins: {flux: {}}\n", encoding="utf-8")

    said = veilrun("plugins", "check", "--json")

    assert said.exit_code == 0
    told = json.loads(said.output)
    assert (told["commands"], told["faulty"], len(told["warnings"])) == (["flux"], {}, 2)
