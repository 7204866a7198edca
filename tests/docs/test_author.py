"""docs/author.md names every part of the plugin API, and what it shows works."""

import asyncio
import inspect
import re
from pathlib import Path
from types import ModuleType

import pluggy
import pytest

import runtime.api
from runtime.api import Parameter, hooks

ROOT = Path(__file__).parents[2]
AUTHOR = (ROOT / "docs" / "author.md").read_text(encoding="utf-8")
PLUGIN = ROOT / "tests" / "plugins" / "third_party"
SHOWN_FILES = re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", AUTHOR, re.DOTALL)
EXAMPLES = re.findall(r"(?<!-->\n)```python\n(.*?)```", AUTHOR, re.DOTALL)
HOOKS = [name for name, function in vars(hooks).items() if hasattr(function, "veilrun_spec")]


@pytest.mark.parametrize("name", runtime.api.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    assert re.search(rf"`@?{name}\b", AUTHOR)


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_a_section_with_a_complete_example(hook: str) -> None:
    section = AUTHOR.partition(f"\n### {hook}\n")[2].partition("\n##")[0]

    assert re.search(rf"```python\n.*@hookimpl\ndef {hook}\(", section, re.DOTALL)


def test_there_are_four_hooks() -> None:
    assert HOOKS == ["register_commands", "before_invoke", "build_workflow", "after_invoke"]


@pytest.mark.parametrize("parameter", Parameter.__subclasses__() + runtime.api.Text.__subclasses__())
def test_every_kind_of_parameter_is_in_the_table_and_in_the_example(parameter: type[Parameter]) -> None:
    assert f"\n| `{parameter.__name__}` |" in AUTHOR
    assert f"    {parameter.__name__}(" in AUTHOR


@pytest.mark.parametrize(
    "value", ["Command", "Limits", "GpuAffinity", "Variant", "ModelFile", "Workflow", "Invocation"]
)
def test_every_field_of_a_declared_thing_is_named(value: str) -> None:
    fields = [name for name in inspect.signature(getattr(runtime.api, value)).parameters if name != "source"]

    assert not [name for name in fields if not re.search(rf"\b{name}\b", AUTHOR)]


def test_the_files_shown_are_those_of_the_plugin_that_is_built_and_run() -> None:
    shown = dict(SHOWN_FILES)

    assert set(shown) == {"pyproject.toml", "acme_enlarge/enlarge.json", "acme_enlarge/__init__.py"}
    assert {name: (PLUGIN / name).read_text(encoding="utf-8") for name in shown} == shown


def test_the_first_example_is_a_plugin_of_ten_lines() -> None:
    assert len(EXAMPLES[0].splitlines()) <= 10
    assert "@hookimpl\ndef register_commands" in EXAMPLES[0]


def test_one_example_runs_against_the_sandbox() -> None:
    assert [example for example in EXAMPLES if "async with SandboxComfyUI" in example]


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_every_example_works(example: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(PLUGIN)
    module = ModuleType("example")
    module.__file__ = str(PLUGIN / "acme_enlarge" / "__init__.py")

    exec(compile(example, "author.md", "exec"), vars(module))

    manager = pluggy.PluginManager(runtime.api.NAMESPACE)
    manager.add_hookspecs(hooks)
    manager.register(module)
    manager.check_pending()
    if "register_commands" in vars(module):
        ((command,),) = manager.hook.register_commands(config={"name": "twin"})
        assert command.name == "twin"
    for name, test in list(vars(module).items()):
        if name.startswith("test_"):
            running = test()
            if inspect.iscoroutine(running):
                asyncio.run(running)
