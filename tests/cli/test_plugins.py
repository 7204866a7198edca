"""`veilrun plugins`: what is there, and what is wrong with it."""

import json
from pathlib import Path

from tests.cli.conftest import Shell, registry

WHOLE = "{enabled: true}"


async def test_plugins_are_listed_with_their_state(shell: Shell, tmp_path: Path) -> None:
    registry(tmp_path, {"flux": WHOLE, "qwen": "{enabled: false}", "ghost": WHOLE})

    table = await shell.run("plugins", "list")
    listed = {plugin["name"]: plugin for plugin in json.loads((await shell.run("plugins", "list", "--json")).out)}

    assert table.status == 0
    assert "active" in table.out
    assert f"\nghost: {listed['ghost']['error']}\n" in table.out
    assert listed["flux"]["commands"] == ["flux"]
    assert (listed["flux"]["error"], listed["qwen"]["enabled"]) == (None, False)
    assert listed["ghost"]["error"]


async def test_why_a_plugin_is_not_active_is_never_cut_off(shell: Shell, tmp_path: Path) -> None:
    module = "a_module_whose_name_is_too_long_for_its_column"
    (tmp_path / "plugin_registry.yaml").write_text("version: 1\n", encoding="utf-8")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "broken.py").write_text(f"import {module}\n", encoding="utf-8")

    table = await shell.run("plugins", "list", VEILRUN_PLUGINS_DIR=str(tmp_path / "mine"))

    assert "…" not in table.out
    assert module in "".join(table.out.split())


async def test_a_whole_registry_passes_the_check(shell: Shell, tmp_path: Path) -> None:
    registry(tmp_path, dict.fromkeys(("flux", "qwen", "wan", "sd3"), WHOLE), "http://127.0.0.1:9")

    done = await shell.run("plugins", "check")

    assert done.status == 0
    assert [line.split()[:2] for line in done.out.splitlines()] == [
        ["ok", f"/{name}"] for name in ("flux", "qwen", "sd3", "wan")
    ]


async def test_a_faulty_plugin_fails_the_check_and_spares_the_others(shell: Shell, tmp_path: Path) -> None:
    registry(tmp_path, {"flux": WHOLE, "ghost": WHOLE})

    done = await shell.run("plugins", "check")
    said = json.loads((await shell.run("plugins", "check", "--json")).out)

    assert done.status == 1
    assert "faulty  ghost: " in done.out
    assert said["commands"] == ["flux"]
    assert list(said["faulty"]) == ["ghost"]


async def test_mistakes_in_the_file_are_named_with_their_lines(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "plugin_registry.yaml").write_text("version: 1\nplugins:\n  flux: {enabeld: true}\nbackend: []\n")

    done = await shell.run("plugins", "check")

    assert done.status == 1
    assert "plugin_registry.yaml:3: " in done.err
    assert "plugin_registry.yaml:4: " in done.err


async def test_broken_yaml_is_named_with_its_line(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "plugin_registry.yaml").write_text("version: 1\nplugins: {flux: [\n")

    done = await shell.run("plugins", "list")

    assert done.status == 1
    assert "plugin_registry.yaml:" in done.complaint


async def test_a_registry_that_is_not_there_is_one_line(shell: Shell) -> None:
    done = await shell.run("plugins", "check")

    assert done.status == 1
    assert "VEILRUN_REGISTRY" in done.complaint
