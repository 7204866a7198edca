"""`plugins enable|disable`: one word of the file changes, and nothing else."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.registry import PluginUnusable, RegistryInvalid, load_registry
from runtime.registry.edit import CannotEdit, set_enabled
from tests.registry.conftest import PREAMBLE, Shelf

Written = Callable[[str | bytes], Path]

FILE = """\
# ours: ask Ada before you change it
version: 1
access: {default: public}   # everybody

backends:
    - {name: "gpu-a", url: 'http://127.0.0.1:8188', vram_gb: 24}

plugins:
  flux: {enabled: true}   # the quick one
  # qwen waits for the new card
  qwen: {enabled: false, limits: {per_user: 1}}
  wan:
    # long films
    limits:
      per_user: 1
  sd3: {}
"""


def is_enabled(path: Path, name: str) -> bool:
    return next(plugin.enabled for plugin in load_registry(path).plugins if plugin.name == name)


@pytest.mark.parametrize(
    ("name", "enabled", "before", "after"),
    [
        ("flux", False, "flux: {enabled: true}   # the quick one", "flux: {enabled: false}   # the quick one"),
        ("qwen", True, "qwen: {enabled: false, limits", "qwen: {enabled: true, limits"),
        ("wan", False, "    # long films\n    limits:", "    # long films\n    enabled: false\n    limits:"),
        ("sd3", False, "sd3: {}", "sd3: {enabled: false}"),
    ],
)
def test_one_word_changes_and_every_comment_stays(
    written: Written, name: str, enabled: bool, before: str, after: str
) -> None:
    path = written(FILE)

    assert set_enabled(path, name, enabled)

    assert path.read_text() == FILE.replace(before, after)
    assert is_enabled(path, name) is enabled


def test_a_plugin_that_the_file_does_not_name_comes_after_the_others(written: Written) -> None:
    path = written(FILE.replace("  sd3: {}\n", ""))

    assert set_enabled(path, "sd3", True)

    assert path.read_text() == FILE.replace("sd3: {}", "sd3: {enabled: true}")


@pytest.mark.parametrize("plugins", ["", "plugins: {}\n", "plugins: {flux: {enabled: true}}\n"])
def test_the_first_plugin_of_a_file_is_added_too(written: Written, plugins: str) -> None:
    path = written(f"version: 1\n{plugins}# the end\n")

    assert set_enabled(path, "sd3", True)

    assert is_enabled(path, "sd3")
    assert "# the end\n" in path.read_text()


def test_what_is_so_already_is_not_written(written: Written) -> None:
    path = written(FILE)
    before = path.stat()

    assert not set_enabled(path, "flux", True)
    assert not set_enabled(path, "qwen", False)

    assert path.stat().st_ino == before.st_ino


def test_what_cannot_be_loaded_is_not_enabled(written: Written) -> None:
    path = written(FILE)

    with pytest.raises(PluginUnusable, match=r"acme is not enabled: no plugin 'acme' is installed here"):
        set_enabled(path, "acme", True)

    assert path.read_text() == FILE


def test_an_invalid_file_is_not_touched(written: Written) -> None:
    path = written(FILE.replace("vram_gb: 24", "vram_gb: much"))

    with pytest.raises(RegistryInvalid, match="vram_gb"):
        set_enabled(path, "flux", False)


def test_what_several_plugins_share_by_an_alias_is_left_to_a_hand(written: Written) -> None:
    path = written("version: 1\nplugins:\n  flux: &same {enabled: true}\n  wan: *same\n")

    with pytest.raises(CannotEdit, match=r"write by hand: plugins: \{flux: \{enabled: false\}\}"):
        set_enabled(path, "flux", False)

    assert is_enabled(path, "wan")


def test_a_link_stays_a_link_and_the_mode_stays(written: Written, tmp_path: Path) -> None:
    path = written(FILE)
    path.chmod(0o640)
    link = tmp_path / "linked.yaml"
    link.symlink_to(path)

    set_enabled(link, "flux", False)

    assert link.is_symlink()
    assert path.stat().st_mode & 0o7777 == 0o640
    assert not is_enabled(path, "flux")
    assert not [name for name in os.listdir(path.parent) if name.startswith(f".{path.name}")]


def test_lines_keep_their_ends(written: Written) -> None:
    path = written(FILE.replace("\n", "\r\n").encode())

    set_enabled(path, "flux", False)

    assert path.read_bytes().decode() == FILE.replace("flux: {enabled: true}", "flux: {enabled: false}").replace(
        "\n", "\r\n"
    )


@pytest.mark.parametrize("enabled", [True, False])
def test_a_plugin_that_there_is_not_is_no_plugin(written: Written, enabled: bool) -> None:
    path = written(FILE)

    with pytest.raises(
        PluginUnusable, match=r"flx is not (en|dis)abled: no plugin 'flx' is installed here \(there are: flux, "
    ):
        set_enabled(path, "flx", enabled)

    assert path.read_text() == FILE


def test_a_plugin_of_one_file_is_disabled_and_enabled_too(written: Written, tmp_path: Path) -> None:
    folder = tmp_path / "my_plugins"
    folder.mkdir()
    (folder / "acme.py").write_text(f"{PREAMBLE}@hookimpl\ndef register_commands():\n    return [command('acme')]\n")
    path = written(FILE)

    assert not set_enabled(path, "acme", True, folder=folder)
    assert set_enabled(path, "acme", False, folder=folder)
    assert "acme" not in load_registry(path, folder=folder).commands
    assert set_enabled(path, "acme", True, folder=folder)
    assert "acme" in load_registry(path, folder=folder).commands


def test_nobody_is_robbed_of_a_command_by_one_that_is_enabled(written: Written, shelf: Shelf) -> None:
    shelf.install("acme", "@hookimpl\ndef register_commands():\n    return [command('flux')]\n")
    path = written("version: 1\nplugins: {flux: {enabled: true}}\n")

    with pytest.raises(PluginUnusable, match=r"acme is not enabled, since flux would not work any more: /flux belongs"):
        set_enabled(path, "acme", True)

    assert path.read_text() == "version: 1\nplugins: {flux: {enabled: true}}\n"


def test_where_the_file_cannot_be_replaced_one_reads_what_to_write_by_hand(tmp_path: Path) -> None:
    path = tmp_path / f"{'r' * 245}.yaml"  # no room is left for the name of what takes its place
    path.write_text(FILE)

    with pytest.raises(CannotEdit, match=r"cannot be replaced here: File name too long; write by hand: plugins: "):
        set_enabled(path, "flux", False)

    assert path.read_text() == FILE
