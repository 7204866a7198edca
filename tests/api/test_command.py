"""Commands, workflows, affinities: what may be declared, and how a mistake is told."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runtime.api import (
    Command,
    DeclarationError,
    GpuAffinity,
    Graph,
    ImageInput,
    Integer,
    Invocation,
    Limits,
    Prompt,
    Size,
    Text,
    Variant,
    Workflow,
)

GRAPH: Graph = {
    "latent": {"class_type": "Latent", "inputs": {"width": 1, "height": 1}},
    "words": {"class_type": "Words", "inputs": {"text": "", "again": "", "mode.width": 3, "from": ["latent", 0]}},
    "save": {"class_type": "Save", "inputs": {"images": ["words", 0]}},
}
WORKFLOW = Workflow(graph=GRAPH, bind={"prompt": "words.text", "size": "latent.width, latent.height"}, output="save")
PLAIN = Command(
    "paint", "Paints", (Prompt(), Size(), Integer("steps", default=4, low=1, high=9)), WORKFLOW, GpuAffinity(8)
)


def bound(**bind: Any) -> Workflow:
    return Workflow(graph=GRAPH, bind=bind, output="save")


def test_a_graph_is_filled_in_a_copy() -> None:
    filled = WORKFLOW.fill({"prompt": ["a cat"], "size": [512, 768], "steps": [4]})

    assert filled["words"]["inputs"]["text"] == "a cat"
    assert filled["latent"]["inputs"] == {"width": 512, "height": 768}
    assert GRAPH["latent"]["inputs"] == {"width": 1, "height": 1}


def test_one_value_may_go_to_several_places() -> None:
    inputs = bound(prompt=["words.text", "words.again"]).fill({"prompt": ["a cat"]})["words"]["inputs"]

    assert inputs["text"] == inputs["again"] == "a cat"


def test_names_of_inputs_may_have_dots() -> None:
    assert bound(steps="words.mode.width").fill({"steps": [7]})["words"]["inputs"]["mode.width"] == 7


def test_a_workflow_is_read_from_beside_the_module(tmp_path: Path) -> None:
    (tmp_path / "graph.json").write_text(json.dumps(GRAPH), encoding="utf-8")
    module = {"__file__": str(tmp_path / "plugin.py"), "Workflow": Workflow}
    exec("workflow = Workflow.load('graph.json', bind={}, output='save')", module)

    workflow = module["workflow"]
    assert isinstance(workflow, Workflow)
    assert (workflow.graph, workflow.source, workflow.kind) == (GRAPH, "graph.json", "image")
    assert workflow.node_classes == {"Latent", "Words", "Save"}


def test_a_digest_changes_with_graph_and_bindings_only() -> None:
    again = Workflow(graph=json.loads(json.dumps(GRAPH)), bind=WORKFLOW.bind, output="save", source="elsewhere")

    assert again.digest == WORKFLOW.digest
    assert bound(prompt="words.text").digest != WORKFLOW.digest
    assert replace(PLAIN, summary="Paints well").digest == PLAIN.digest
    assert replace(PLAIN, variants=(Variant("fast", "", WORKFLOW, GpuAffinity(8)),)).digest != PLAIN.digest


@pytest.mark.parametrize(
    ("declare", "reason"),
    [
        (lambda: Workflow(graph={}, bind={}, output="save"), "a graph is a JSON object of nodes"),
        (lambda: Workflow(graph=[], bind={}, output="save"), "a graph is a JSON object of nodes"),  # type: ignore[arg-type]
        (lambda: Workflow(graph={"nodes": [], "links": []}, bind={}, output="x"), "choose Workflow > Export (API)"),
        (lambda: Workflow(graph={"a": {"inputs": {}}}, bind={}, output="a"), "node 'a' has no class_type"),
        (lambda: Workflow(graph={"a": {"class_type": "A"}}, bind={}, output="a"), "node 'a' has no inputs object"),
        (lambda: Workflow(graph=GRAPH, bind={}, output="sink"), "output 'sink' is no node; it has latent, save, words"),
        (lambda: linked(["gone", 0]), "a.x links to ['gone', 0]"),
        (lambda: linked(["a"]), "a.x links to ['a']"),
        (lambda: linked(["a", "0"]), "a.x links to ['a', '0']"),
        (lambda: linked([["a"], 0]), "a.x links to [['a'], 0]"),
        (lambda: bound(prompt="word.text"), "bind 'prompt' names node 'word'; the graph has latent, save, words"),
        (lambda: bound(prompt="words.txt"), "node 'words' has no input 'txt'; it has again, from, mode.width, text"),
        (lambda: bound(prompt="text"), "bind 'prompt' names node ''"),
        (lambda: Workflow.load("gone.json", bind={}, output="x"), "gone.json: cannot be read as a JSON graph"),
        (lambda: replace(PLAIN, name="Paint"), "command 'Paint': Telegram takes 1 to 32 of a-z, 0-9 and _"),
        (lambda: replace(PLAIN, aliases=("p-1",)), "command 'p-1'"),
        (lambda: replace(PLAIN, summary=""), "/paint: summary must be one line of 1 to 256 characters"),
        (lambda: replace(PLAIN, summary="a\nb"), "/paint: summary must be one line"),
        (lambda: replace(PLAIN, parameters=(Size(),)), "/paint: workflow binds prompt: no parameter"),
        (
            lambda: replace(PLAIN, workflow=bound(size="latent.width")),
            "/paint: size has 2 values, but workflow binds it to",
        ),
        (lambda: replace(PLAIN, workflow=bound(prompt="words.text,words.again")), "/paint: prompt has 1 value, but"),
        (lambda: with_parameters(Integer("steps"), Integer("steps")), "/paint: steps is declared twice"),
        (lambda: with_parameters(Size(), Integer("ar")), "/paint: ar is declared twice"),
        (lambda: with_parameters(Prompt(), Text("more", positional=True)), "only one parameter can take the words"),
        (lambda: with_parameters(ImageInput(), ImageInput("mask")), "declare one ImageInput; its `high` says"),
        (lambda: varied(name="steps"), "/paint: steps is declared twice"),
        (lambda: varied(defaults={"colour": 1}), "/paint --fast: default for 'colour', which is no parameter"),
        (
            lambda: varied(defaults={"steps": 99}),
            "/paint --fast: default for steps: --steps must be from 1 to 9, not 99",
        ),
        (lambda: varied(workflow=replace(WORKFLOW, kind="video")), "every variant must give the same kind of result"),
        (lambda: linked(["a", True]), "a.x links to ['a', True]"),
        (lambda: linked(["a", -1]), "a.x links to ['a', -1]"),
        (lambda: Workflow(graph={1: {}}, bind={}, output="a"), "node id 1 must be text, like '1'"),  # type: ignore[dict-item]
        (lambda: bound(prompt=5), "bind 'prompt' takes 'node.input' or a list of such places, not 5"),
        (lambda: bound(prompt=[("words", "text")]), "bind 'prompt' takes 'node.input' or a list of such places"),
        (lambda: replace(WORKFLOW, kind="audio"), "workflow: kind is image or video, not 'audio'"),
        (lambda: replace(PLAIN, aliases="pt"), "/paint: aliases takes several names, like ('pt',)"),
        (lambda: varied(name="Very Fast"), "/paint: variant 'Very Fast': lower case letters, digits and -"),
        (lambda: GpuAffinity(vram_gb=0), "vram_gb must be above 0, got 0"),
        (lambda: GpuAffinity(vram_gb=float("nan")), "vram_gb must be above 0, got nan"),
        (lambda: GpuAffinity(vram_gb="24"), "vram_gb must be above 0, got '24'"),  # type: ignore[arg-type]
        (lambda: GpuAffinity(8, prefer="RTX 4090"), "prefer takes several words"),  # type: ignore[arg-type]
        (lambda: GpuAffinity(8, labels="fast"), "labels takes several words"),  # type: ignore[arg-type]
        (lambda: Limits(load_seconds=float("inf")), "load_seconds must be above 0, got inf"),
        (lambda: Limits(concurrency=1.5), "concurrency must be at least 1"),  # type: ignore[arg-type]
        (lambda: Limits(run_seconds=0), "run_seconds must be above 0, got 0"),
        (lambda: Limits(per_user=0), "per_user must be at least 1, or left out for no bound, got 0"),
    ],
)
def test_a_mistake_in_a_declaration_is_told_with_its_place(declare: Callable[[], object], reason: str) -> None:
    with pytest.raises(DeclarationError) as refused:
        declare()

    assert reason in str(refused.value)


def linked(link: list[Any]) -> Workflow:
    return Workflow(graph={"a": {"class_type": "A", "inputs": {"x": link}}}, bind={}, output="a")


def with_parameters(*parameters: Any) -> Command:
    return replace(PLAIN, parameters=parameters, workflow=bound())


def varied(**changes: Any) -> Command:
    return replace(PLAIN, variants=(replace(Variant("fast", "faster", WORKFLOW, GpuAffinity(8)), **changes),))


def test_words_of_an_affinity_may_come_in_any_collection() -> None:
    affinity = GpuAffinity(8, prefer=["gpu-a"], labels=("fast", "fast"))  # type: ignore[arg-type]

    assert (affinity.prefer, affinity.labels) == (("gpu-a",), frozenset({"fast"}))


def test_a_filled_graph_shares_nothing_with_the_template_or_the_next_one() -> None:
    first, second = WORKFLOW.fill({}), WORKFLOW.fill({})
    first["save"]["inputs"]["images"][1] = 9
    first["words"]["class_type"] = "Other"

    assert second == WORKFLOW.graph == GRAPH
    assert GRAPH["save"]["inputs"]["images"] == ["words", 0]


def test_too_few_values_for_a_binding_are_told_with_the_place() -> None:
    with pytest.raises(DeclarationError, match="workflow: size has 1 values for 2 places"):
        WORKFLOW.fill({"size": [512]})


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[]", b"null", b'{"1": 5}'])
def test_a_file_that_is_no_graph_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "graph.json").write_bytes(content)

    with pytest.raises(DeclarationError, match=r"^graph\.json: "):
        Workflow.load(tmp_path / "graph.json", bind={}, output="save")


def test_a_variant_has_its_own_workflow_affinity_and_defaults() -> None:
    command = varied(affinity=GpuAffinity(40), defaults={"steps": 2, "size": (512, 512)})

    assert command.affinity_of("fast").vram_gb == 40
    assert command.affinity_of(None).vram_gb == 8
    assert command.workflow_of("fast") is command.workflow_of(None) is WORKFLOW
    with pytest.raises(KeyError):
        command.workflow_of("slow")


def test_the_example_is_shown_with_the_shortest_name() -> None:
    assert replace(PLAIN, aliases=("p",), example="a cat").written_example == "/p a cat"
    assert PLAIN.written_example == "/paint"


def test_an_amended_invocation_is_another_one() -> None:
    call = Invocation("paint", {"prompt": "a cat", "steps": 4})

    assert call.amended(steps=5).arguments == {"prompt": "a cat", "steps": 5}
    assert call.arguments == {"prompt": "a cat", "steps": 4}
