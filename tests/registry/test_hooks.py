"""Hooks at work: in the order of the file, each seeing what the one before returned, none able to do harm."""

import sys
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from runtime.api import Graph, Invocation, Outcome, Veto
from runtime.registry import PluginFailed, Registry
from tests.registry.conftest import Shelf

Load = Callable[[str | bytes], Registry]

COMMAND = "@hookimpl\ndef register_commands(): return [command('up')]\n\n"
CALL = Invocation("up", {"prompt": "a cat", "steps": 4}, user_id=7, chat_id=8)
GRAPH: Graph = {"words": {"class_type": "Words", "inputs": {"text": "x"}}, "save": {"class_type": "Save", "inputs": {}}}


def amending(change: str) -> str:
    return f"@hookimpl\ndef before_invoke(invocation):\n    {change}\n"


def test_amendments_chain_in_the_order_of_the_file(shelf: Shelf, load: Load) -> None:
    shelf.install("up", COMMAND)
    shelf.install("one", amending("return invocation.amended(prompt=invocation.arguments['prompt'] + ' one')"))
    shelf.install("two", amending("return invocation.amended(prompt=invocation.arguments['prompt'] + ' two')"))

    onetwo = load("version: 1\nplugins: {up: {}, one: {}, two: {}}\n").before_invoke(CALL)
    twoone = load("version: 1\nplugins: {two: {}, one: {}, up: {}}\n").before_invoke(CALL)

    assert onetwo.arguments == {"prompt": "a cat one two", "steps": 4}
    assert twoone.arguments == {"prompt": "a cat two one", "steps": 4}


def test_none_lets_it_pass_unchanged(shelf: Shelf, load: Load) -> None:
    shelf.install("up", COMMAND + amending("invocation.arguments['steps'] = 99"))

    assert load("version: 1\nplugins: {up: {}}\n").before_invoke(CALL) == CALL
    assert CALL.arguments["steps"] == 4


def test_the_first_veto_ends_it_with_its_reason(shelf: Shelf, load: Load) -> None:
    shelf.install("up", COMMAND + amending("raise Veto('not on Sundays')"))
    shelf.install("late", amending("raise RuntimeError('called all the same')"))

    with pytest.raises(Veto) as veto:
        load("version: 1\nplugins: {up: {}, late: {}}\n").before_invoke(CALL)

    assert veto.value.reason == "not on Sundays"


def test_each_plugin_sees_its_own_config_and_nobody_else_s(shelf: Shelf, load: Load) -> None:
    shelf.install("up", COMMAND)
    shelf.install("one", amending("return invocation.amended(prompt=str(dict(invocation.config)))"))
    shelf.install(
        "two",
        amending("return invocation.amended(prompt=invocation.arguments['prompt'] + str(dict(invocation.config)))"),
    )

    seen = load("version: 1\nplugins: {up: {}, one: {config: {a: 1}}, two: {config: {b: 2}}}\n").before_invoke(CALL)

    assert seen.arguments["prompt"] == "{'a': 1}{'b': 2}"
    assert seen.config == {}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("raise RuntimeError(invocation.arguments['prompt'])", "RuntimeError"),
        ("raise SystemExit(1)", "SystemExit"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("return 'fine'", "it must return None or an Invocation"),
        ("return {'prompt': 'fine'}", "it must return None or an Invocation"),
        ("return invocation.amended(steps=10)", "it gave a wrong steps"),
        ("return invocation.amended(steps=None)", "it gave a wrong steps"),
        ("return invocation.amended(prompt='')", "it gave a wrong prompt"),
        ("return invocation.amended(prompt=7)", "it gave a wrong prompt"),
        ("return invocation.amended(colour='red')", "it gave a wrong colour"),
        ("return replace(invocation, arguments={'steps': 4})", "it took prompt away"),
        ("return replace(invocation, arguments={'prompt': 'x'})", "it took steps away"),
        ("return replace(invocation, arguments=None)", "arguments must be a mapping"),
        ("return replace(invocation, command='flux')", "it may not change the command"),
        ("return replace(invocation, variant='dev')", "/up has no variant 'dev'"),
    ],
)
def test_a_hook_that_fails_refuses_the_invocation(shelf: Shelf, load: Load, change: str, reason: str) -> None:
    shelf.install("up", COMMAND + amending(change))

    with pytest.raises(PluginFailed) as failed:
        load("version: 1\nplugins: {up: {}, flux: {}}\n").before_invoke(CALL)

    assert str(failed.value) == f"plugin up failed in before_invoke: {reason}"
    assert (failed.value.plugin, failed.value.hook) == ("up", "before_invoke")
    assert "a cat" not in str(failed.value)


def test_only_arguments_and_variant_can_be_amended(shelf: Shelf, load: Load) -> None:
    shelf.install("host", amending("return replace(invocation, variant='dev', user_id=1, chat_id=2, job_id=3)"))
    call = Invocation("flux", {"prompt": "x", "steps": 4, "seed": 5, "size": [512, 512], "n": 1}, user_id=7, chat_id=8)

    seen = load("version: 1\nplugins: {flux: {}, host: {}}\n").before_invoke(call)

    assert (seen.variant, seen.user_id, seen.chat_id, seen.job_id) == ("dev", 7, 8, None)


def building(change: str) -> str:
    return f"@hookimpl\ndef build_workflow(invocation, graph):\n    {change}\n"


def test_graphs_chain_and_the_given_one_stays_as_it_is(shelf: Shelf, load: Load) -> None:
    shelf.install("up", COMMAND + building("graph['words']['inputs']['text'] += ' one'; return graph"))
    shelf.install("two", building("graph['words']['inputs']['text'] += ' two'; return graph"))
    shelf.install("three", building("graph.clear()"))

    built = load("version: 1\nplugins: {up: {}, two: {}, three: {}}\n").build_workflow(CALL, GRAPH)

    assert built["words"]["inputs"]["text"] == "x one two"
    assert GRAPH["words"]["inputs"]["text"] == "x"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("raise KeyError('a cat')", "KeyError"),
        ("raise SystemExit(1)", "SystemExit"),
        ("raise Veto('too late')", "Veto"),
        ("return []", "its graph: a graph is a JSON object of nodes, and has at least one"),
        ("return {}", "its graph: a graph is a JSON object of nodes, and has at least one"),
        ("return {'save': {'inputs': {}}}", "its graph: node 'save' has no class_type"),
        (
            "graph['save']['inputs']['images'] = ['gone', 0]; return graph",
            "its graph: save.images links to ['gone', 0]",
        ),
        ("del graph['save']; return graph", "its graph has lost the output node 'save'"),
    ],
)
def test_a_graph_that_cannot_run_is_refused(shelf: Shelf, load: Load, change: str, reason: str) -> None:
    shelf.install("up", COMMAND + building(change))

    with pytest.raises(PluginFailed) as failed:
        load("version: 1\nplugins: {up: {}}\n").build_workflow(CALL, GRAPH)

    assert str(failed.value).startswith(f"plugin up failed in build_workflow: {reason}")


def test_after_invoke_tells_everybody_and_a_failure_is_only_logged(shelf: Shelf, load: Load) -> None:
    ending = "@hookimpl\ndef after_invoke(invocation, outcome):\n    {}\n"
    shelf.install("up", COMMAND + ending.format("raise RuntimeError(invocation.arguments['prompt'])"))
    shelf.install("exit", ending.format("raise SystemExit(1)"))
    shelf.install("veto", ending.format("raise Veto('too late')"))
    module = shelf.install("last", "told = []\n" + ending.format("told.append((invocation.job_id, outcome.state))"))
    registry = load("version: 1\nplugins: {up: {}, exit: {}, veto: {}, last: {}}\n")

    with capture_logs() as logs:
        registry.after_invoke(CALL, Outcome("failed", error="RunTimedOut"))

    assert sys.modules[module].told == [(None, "failed")]
    assert [(entry["plugin"], entry["error"]) for entry in logs] == [
        ("up", "RuntimeError"),
        ("exit", "SystemExit"),
        ("veto", "Veto"),
    ]
    assert "a cat" not in str(logs)
