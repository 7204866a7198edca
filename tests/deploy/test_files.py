"""What lies in deploy/ means something: every metric, command and setting that it names exists, every file parses."""

import configparser
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer.main
from prometheus_client import REGISTRY
from ruamel.yaml import YAML

import runtime.metrics
from runtime.anon.package import PINNED
from runtime.cli import app
from runtime.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
FILES = sorted(file for file in DEPLOY.rglob("*") if file.is_file())
UNITS = sorted(DEPLOY.glob("systemd/*")) + sorted(DEPLOY.glob("quadlet*/*"))
SUFFIXES = ("_total", "_bucket", "_count", "_sum")


def unit(file: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(file.read_text(encoding="utf-8"))
    return parser


def yaml(file: Path) -> dict:
    return YAML(typ="safe").load(file.read_text(encoding="utf-8"))


def compose(name: str) -> dict:
    return yaml(DEPLOY / name)["services"]


def containers(folder: str) -> dict[str, dict[str, list[str]]]:
    """The [Container] sections of a quadlet folder: file -> key -> values, since keys may come more than once."""
    found: dict[str, dict[str, list[str]]] = {}
    for file in sorted((DEPLOY / folder).glob("*.container")):
        section = file.read_text(encoding="utf-8").partition("[Container]\n")[2].partition("\n[")[0]
        entries = [line.partition("=") for line in section.splitlines() if "=" in line]
        found[file.stem] = {key: [value for one, _, value in entries if one == key] for key, _, _ in entries}
    return found


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


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze (Debian: systemd)")
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    for file in (DEPLOY / "systemd").iterdir():
        text = file.read_text(encoding="utf-8").replace("/opt/veilrun/bin/veilrun", sys.executable)
        (tmp_path / file.name).write_text(text, encoding="utf-8")
    units = [str(file) for file in sorted(tmp_path.iterdir())]

    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert not [line for line in done.stderr.splitlines() if "veilrun" in line]


@pytest.mark.parametrize("file", sorted(DEPLOY.glob("systemd/*.service")), ids=lambda file: file.name)
def test_a_unit_may_write_where_it_must_before_anybody_has_made_the_folder(file: Path) -> None:
    service = unit(file)["Service"]

    assert service["StateDirectory"] == "veilrun"  # where the embedded database lies, with its locks
    for path in service.get("ReadWritePaths", "").split():
        assert path.startswith("-"), f"{path}: systemd refuses to start if it is not there"
        assert path.removeprefix("-") in service["ExecStartPre"]


def test_the_nightly_backup_is_kept_no_longer_than_users_are_told() -> None:
    deleted = unit(DEPLOY / "systemd" / "veilrun-backup.service")["Service"]["ExecStartPost"]
    minutes = re.search(r"-mmin \+(\d+) -delete", deleted)

    assert minutes
    assert int(minutes[1]) < Settings.model_fields["retention_hours"].default * 60


def test_the_shells_veilrun_runs_as_the_units_do() -> None:
    script = (DEPLOY / "bin" / "veilrun").read_text(encoding="utf-8")
    service = unit(DEPLOY / "systemd" / "veilrun-web.service")["Service"]

    assert f"-p User={service['User']} " in script
    assert f"-p EnvironmentFile={service['EnvironmentFile']} " in script
    assert {f"-E {variable}" for variable in service["Environment"].split()} <= set(re.findall(r"-E \S+", script))
    assert service["ExecStart"].split()[0] in script


def test_processes_of_two_containers_share_no_state_folder() -> None:
    """It tells where this machine's anon listens, and each container has a loopback of its own."""
    used = [mount for service in compose("compose.yaml").values() for mount in service.get("volumes", [])]
    states = [mount for mount in used if mount.endswith(":/var/lib/veilrun")]
    assert len(states) == len(set(states)) == 2

    mounts = [mount for container in containers("quadlet").values() for mount in container["Volume"]]
    states = [mount for mount in mounts if mount.endswith(":/var/lib/veilrun")]
    assert len(states) == len(set(states)) == 2
    for mount in states:
        assert (DEPLOY / "quadlet" / mount.partition(":")[0]).exists()


def test_the_registry_is_mounted_with_its_folder_for_all_who_read_it() -> None:
    """A file that is replaced, as editors and `veilrun plugins enable` do, would stay the old one in the container."""
    for role in ("web", "worker"):
        assert "./config:/etc/veilrun:ro" in compose("compose.yaml")[role]["volumes"]
        assert "%h/veilrun/config:/etc/veilrun:ro,z" in containers("quadlet")[f"veilrun-{role}"]["Volume"]  # Z: for one


def test_the_gate_reaches_comfyui_by_its_address() -> None:
    services = compose("compose.gpu.yaml")
    assert services["gate"]["command"][-1] == f"http://{services['comfyui']['networks']['gpu']['ipv4_address']}:8188"
    assert services["gate"]["networks"] == ["gpu"]

    units = containers("quadlet-gpu")
    assert units["veilrun-gate"]["Exec"][0].endswith(f" http://{units['comfyui']['IP'][0]}:8188")
    assert units["veilrun-gate"]["Network"] == units["comfyui"]["Network"] == ["veilrun-gpu.network"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_package_of_anon_that_is_named_is_the_one_that_is_pinned(file: Path) -> None:
    assert set(re.findall(r"@anyone-protocol/anyone-client@[0-9.]+[0-9]", file.read_text(encoding="utf-8"))) <= {
        str(PINNED)
    }


def test_containers_that_are_composed_have_the_health_check_of_the_image() -> None:
    """Podman builds images without one unless it is told to (--format docker)."""
    built = (ROOT / "Containerfile").read_text(encoding="utf-8")
    for role in ("web", "worker"):
        check = compose("compose.yaml")[role]["healthcheck"]
        assert f"HEALTHCHECK --interval={check['interval']} --timeout={check['timeout']}" in built
        assert f'CMD ["{check["test"][1]}", "{check["test"][2]}"]' in built


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
    assert "'.[rabbitmq,redis,otel]'" in text  # every BROKER_URL, and traces


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


@pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool (Debian: prometheus)")
@pytest.mark.parametrize(
    "words",
    [
        ("check", "config", str(DEPLOY / "prometheus" / "prometheus.yml")),
        ("test", "rules", str(Path(__file__).with_name("alerts.yml"))),
    ],
    ids=lambda words: words[0],
)
def test_prometheus_takes_the_rules_and_each_alert_fires_when_it_should(words: tuple[str, ...]) -> None:
    done = subprocess.run(["promtool", *words], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tried_both_ways() -> None:
    rules = [rule for group in yaml(DEPLOY / "prometheus" / "rules.yml")["groups"] for rule in group["rules"]]
    tried = [one for test in yaml(Path(__file__).with_name("alerts.yml"))["tests"] for one in test["alert_rule_test"]]

    assert {one["alertname"] for one in tried if "exp_alerts" in one} == {rule["alert"] for rule in rules}
    assert {one["alertname"] for one in tried if "exp_alerts" not in one} == {rule["alert"] for rule in rules}


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
