"""Plugins of one file each in a folder: nothing to package, nothing to install."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from runtime.api import Invocation
from runtime.registry import PluginUnusable, Registry, load_registry
from tests.registry.conftest import PREAMBLE

Written = Callable[[str | bytes], Path]
COMMAND = "@hookimpl\ndef register_commands():\n    return [command({name!r})]\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "my_plugins"
    made.mkdir()
    return made


@pytest.fixture
def load(written: Written, folder: Path) -> Callable[..., Registry]:
    def loaded(text: str = "version: 1\n", **more: bool) -> Registry:
        return load_registry(written(text), folder=folder, **more)

    return loaded


def put(folder: Path, file: str, source: str) -> None:
    (folder / file).write_text(PREAMBLE + textwrap.dedent(source), encoding="utf-8")


def test_each_file_is_a_plugin_by_its_name_and_enabled_by_itself(load: Callable[..., Registry], folder: Path) -> None:
    put(folder, "acme.py", COMMAND.format(name="acme"))
    put(folder, "_shared.py", "raise SystemError('not a plugin')")

    registry = load()

    (state,) = [plugin for plugin in registry.plugins if plugin.enabled]
    assert (state.name, state.source, state.commands) == ("acme", str(folder / "acme.py"), ("acme",))
    assert len(state.version) == 12


def test_the_registry_file_has_the_last_word(load: Callable[..., Registry], folder: Path) -> None:
    put(folder, "acme.py", COMMAND.format(name="acme"))

    assert "acme" not in load("version: 1\nplugins: {acme: {enabled: false}}\n").commands
    limited = load("version: 1\nplugins: {acme: {defaults: {steps: 7}}}\n")
    assert limited.commands["acme"].command.parameter("steps").initial() == 7


def test_a_graph_may_lie_beside_it(load: Callable[..., Registry], folder: Path) -> None:
    (folder / "graph.json").write_text('{"save": {"class_type": "SaveImage", "inputs": {"x": ""}}}', encoding="utf-8")
    put(
        folder,
        "acme.py",
        """\
        made = Workflow.load("graph.json", bind={"prompt": "save.x"}, output="save")

        @hookimpl
        def register_commands():
            return [command("acme", workflow=made, parameters=(Prompt(),))]
        """,
    )

    assert load().commands["acme"].command.workflow.source == "graph.json"


def test_a_file_that_fails_stops_no_other_and_says_why(load: Callable[..., Registry], folder: Path) -> None:
    put(folder, "acme.py", COMMAND.format(name="acme"))
    put(folder, "broken.py", "raise LookupError('where is it?')")
    put(folder, "empty.py", "")

    registry = load()

    errors = {plugin.name: plugin.error for plugin in registry.plugins if plugin.error}
    assert "acme" in registry.commands
    assert errors["broken"] == "importing broken.py failed: LookupError: where is it?"
    assert "has no hook" in (errors["empty"] or "")
    with pytest.raises(PluginUnusable):
        load(strict=True)


def test_a_changed_file_is_another_version_and_what_was_read_before_stays(
    load: Callable[..., Registry], folder: Path
) -> None:
    put(folder, "acme.py", COMMAND.format(name="acme"))
    before = load()

    put(folder, "acme.py", COMMAND.format(name="other"))
    after = load()

    assert list(after.commands) == ["other"]
    assert list(before.commands) == ["acme"]
    assert before.commands["acme"].plugin_version != after.commands["other"].plugin_version


def test_the_name_of_an_installed_plugin_is_not_taken_silently(load: Callable[..., Registry], folder: Path) -> None:
    put(folder, "flux.py", COMMAND.format(name="f"))

    (state,) = [plugin for plugin in load().plugins if plugin.name == "flux"]

    assert "each offer a plugin 'flux'" in (state.error or "")


def test_hooks_are_traced_without_what_they_are_given(load: Callable[..., Registry], folder: Path) -> None:
    put(
        folder,
        "acme.py",
        COMMAND.format(name="acme")
        + """\

@hookimpl
def before_invoke(invocation):
    if invocation.arguments["prompt"] == "no":
        raise Veto("not today")
    return invocation
""",
    )
    registry = load(trace=True)
    asked = Invocation("acme", {"prompt": "a secret swan", "steps": 4})

    with capture_logs() as logs:
        registry.before_invoke(asked)
        with pytest.raises(Exception, match="not today"):
            registry.before_invoke(asked.amended(prompt="no"))

    called, raised = logs
    assert (called["plugin"], called["hook"], called["gave"]) == ("acme", "before_invoke", ["Invocation"])
    assert called["milliseconds"] >= 0
    assert (raised["event"], raised["error"]) == ("hook raised", "Veto")
    assert "swan" not in str(logs)


def test_without_tracing_nothing_is_told(load: Callable[..., Registry], folder: Path) -> None:
    put(folder, "acme.py", COMMAND.format(name="acme"))

    with capture_logs() as logs:
        load().before_invoke(Invocation("acme", {"prompt": "a swan", "steps": 4}))

    assert logs == []
