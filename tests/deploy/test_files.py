"""What lies in deploy/ means something: every metric, command and setting that it names exists, every file parses."""

import configparser
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer.main
from prometheus_client import REGISTRY
from ruamel.yaml import YAML

import runtime.metrics
from runtime.cli import app
from runtime.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
FILES = sorted(file for file in DEPLOY.rglob("*") if file.is_file())
UNITS = sorted(DEPLOY.glob("systemd/*")) + sorted(DEPLOY.glob("quadlet/*"))
SUFFIXES = ("_total", "_bucket", "_count", "_sum")


def unit(file: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(file.read_text(encoding="utf-8"))
    return parser


def yaml(file: Path) -> dict:
    return YAML(typ="safe").load(file.read_text(encoding="utf-8"))


def metric_names() -> set[str]:
    assert runtime.metrics.ack_seconds
    found = {family.name for family in REGISTRY.collect()}
    return found | {f"{name}{suffix}" for name in found for suffix in SUFFIXES}


def command_lines() -> Iterator[tuple[str, list[str]]]:
    """(file, words after `veilrun`) of everything that the files run."""
    for file in UNITS:
        for key, value in (entry for section in unit(file).values() for entry in section.items()):
            if key == "ExecStart" and "bin/veilrun" in value:
                yield file.name, shlex.split(value.replace("'", " ").partition("bin/veilrun ")[2])
            elif key == "Exec":
                yield file.name, shlex.split(value)
    for file in DEPLOY.glob("compose*.yaml"):
        for name, service in yaml(file)["services"].items():
            if str(service.get("image", "")).startswith("veilrun"):
                yield f"{file.name} {name}", list(service["command"])


@pytest.mark.parametrize(
    ("file", "words"), list(command_lines()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_command_line_is_one_that_veilrun_understands(file: str, words: list[str]) -> None:
    command: click.Command = typer.main.get_command(app)
    while hasattr(command, "commands") and words:
        name = words.pop(0)
        assert name in command.commands, f"{file}: veilrun has no command {name}"
        command = command.commands[name]
    options = {option for parameter in command.params for option in parameter.opts}
    for word in words:
        assert not word.startswith("--") or word in options, f"{file}: {word}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_setting_that_is_named_exists(file: Path) -> None:
    known = {f"VEILRUN_{name.upper()}" for name in Settings.model_fields}
    named = set(re.findall(r"VEILRUN_[A-Z_]+", file.read_text(encoding="utf-8")))

    assert named <= known


@pytest.mark.parametrize("file", UNITS, ids=lambda file: file.name)
def test_units_are_units(file: Path) -> None:
    sections = set(unit(file).sections())

    assert sections
    assert sections <= {"Unit", "Service", "Install", "Timer", "Container", "Network", "Volume"}


@pytest.mark.parametrize("role", ["web", "worker", "gate"])
def test_a_service_ends_as_a_whole_in_time_and_may_do_little(role: str) -> None:
    service = unit(DEPLOY / "systemd" / f"veilrun-{role}.service")["Service"]

    assert service["KillMode"] == "control-group"
    assert int(service["TimeoutStopSec"]) >= 20
    assert service["RestartPreventExitStatus"] == "78"
    assert service["ProtectSystem"] == "strict"
    assert service["NoNewPrivileges"] == "true"
    assert service["StateDirectory"] == "veilrun"


@pytest.mark.parametrize("file", sorted(DEPLOY.glob("compose*.yaml")), ids=lambda file: file.name)
def test_compose_files_name_only_volumes_that_they_have(file: Path) -> None:
    content = yaml(file)

    for service in content["services"].values():
        for volume in service.get("volumes", []):
            source = str(volume).partition(":")[0]
            assert source.startswith((".", "$", "/")) or source in content["volumes"]
    assert content["services"]


def test_the_image_is_built_of_files_that_exist_and_runs_as_nobody_special() -> None:
    text = (ROOT / "Containerfile").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.startswith("COPY") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists(), source

    last = text.rpartition("\nFROM ")[2]
    assert re.search(r"^USER \d+", last, re.MULTILINE)
    assert "HEALTHCHECK" in last
    assert "gcc" not in last


def test_every_query_of_the_dashboard_names_metrics_that_exist() -> None:
    dashboard = json.loads((DEPLOY / "grafana" / "veilrun.json").read_text(encoding="utf-8"))
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    named = {name for query in queries for name in re.findall(r"veilrun_[a-z_]+", query)}

    assert len(queries) > 25
    assert named <= metric_names()
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_the_dashboard_shows_every_metric() -> None:
    text = (DEPLOY / "grafana" / "veilrun.json").read_text(encoding="utf-8")
    families = {family.name for family in REGISTRY.collect() if family.name.startswith("veilrun_")}

    assert {name for name in families if name not in text} == set()


def test_alerts_name_metrics_that_exist_and_say_what_to_do() -> None:
    rules = [rule for group in yaml(DEPLOY / "prometheus" / "rules.yml")["groups"] for rule in group["rules"]]
    for rule in rules:
        assert set(re.findall(r"veilrun_[a-z_]+", rule["expr"])) <= metric_names()
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["action"]
    assert len({rule["alert"] for rule in rules}) == len(rules) >= 8


@pytest.mark.parametrize(
    "file", [*DEPLOY.glob("compose*.yaml"), *DEPLOY.glob("quadlet/*.container")], ids=lambda file: file.name
)
def test_no_container_sees_the_registry_file_without_its_folder(file: Path) -> None:
    """It would go on seeing the old file when a new one takes its place."""
    assert ".yaml:" not in file.read_text(encoding="utf-8")
