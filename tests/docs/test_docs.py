"""What exists is documented: a setting, command or metric that the docs do not name fails here."""

from pathlib import Path

import click
import pytest
import typer.main
from prometheus_client import REGISTRY

import runtime.metrics
from runtime.cli import app
from runtime.settings import Settings

ROOT = Path(__file__).parents[2]
OPERATOR = (ROOT / "docs" / "operator.md").read_text(encoding="utf-8")


def variables() -> list[str]:
    return [
        str(field.validation_alias.choices[0]) if field.validation_alias else f"VEILRUN_{name.upper()}"  # type: ignore[union-attr]
        for name, field in Settings.model_fields.items()
    ]


def commands(group: click.Group, prefix: str) -> list[tuple[str, click.Command]]:
    found: list[tuple[str, click.Command]] = []
    for name, command in group.commands.items():
        path = f"{prefix} {name}"
        found += commands(command, path) if hasattr(command, "commands") else [(path, command)]  # type: ignore[arg-type]
    return found


COMMANDS = commands(typer.main.get_command(app), "veilrun")  # type: ignore[arg-type]


@pytest.mark.parametrize("variable", variables())
def test_every_setting_is_documented(variable: str) -> None:
    assert f"`{variable}`" in OPERATOR


@pytest.mark.parametrize("path", [path for path, _ in COMMANDS])
def test_every_command_is_documented(path: str) -> None:
    assert f"`{path}`" in OPERATOR


@pytest.mark.parametrize(("path", "command"), COMMANDS)
def test_every_command_explains_itself_with_an_example(path: str, command: click.Command) -> None:
    assert command.help
    assert command.epilog is not None
    assert command.epilog.startswith("Example: ")


def test_every_metric_is_documented() -> None:
    assert runtime.metrics
    names = {family.name for family in REGISTRY.collect() if family.name.startswith("veilrun_")}
    assert names
    assert not [name for name in names if f"`{name}`" not in OPERATOR and f"`{name}_total`" not in OPERATOR]
