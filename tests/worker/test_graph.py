"""From an invocation to the graph that is posted."""

from pathlib import Path
from uuid import uuid4

import pytest

from runtime.api import Command, Invocation
from runtime.registry import load_registry
from runtime.worker.graph import fill_graph, prompt_id_of, save_under
from tests.worker.yard import write_registry


@pytest.fixture
def commands(tmp_path: Path) -> dict[str, Command]:
    registry = load_registry(write_registry(tmp_path, []))
    return {name: loaded.command for name, loaded in registry.commands.items()}


def test_arguments_reach_every_place_they_are_bound_to(commands):
    arguments = {"prompt": "a fox", "steps": 3, "seed": 9, "size": [320, 256], "n": 2}

    graph = fill_graph(commands["flux"], Invocation("flux", arguments))

    assert graph["positive"]["inputs"]["clip_l"] == graph["positive"]["inputs"]["t5xxl"] == "a fox"
    assert graph["latent"]["inputs"] == {"width": 320, "height": 256, "batch_size": 2}
    assert (graph["sampler"]["inputs"]["steps"], graph["sampler"]["inputs"]["seed"]) == (3, 9)


def test_a_variant_fills_its_own_graph(commands):
    plain = fill_graph(commands["flux"], Invocation("flux", {"prompt": "x"}))
    dev = fill_graph(commands["flux"], Invocation("flux", {"prompt": "x"}, variant="dev"))

    assert plain != dev
    assert "flux1-dev.safetensors" in str(dev)


def test_seconds_become_frames(commands):
    graph = fill_graph(commands["wan"], Invocation("wan", {"prompt": "x", "seconds": 2}))

    assert graph["latent"]["inputs"]["length"] == 33


def test_the_first_upload_is_the_picture_of_the_graph(commands):
    graph = fill_graph(commands["qwen"], Invocation("qwen", {"prompt": "x"}, uploads=("a.png", "b.png")))

    assert graph["image"]["inputs"]["image"] == "a.png"


def test_an_argument_that_the_command_has_no_more_is_left_out(commands):
    graph = fill_graph(commands["flux"], Invocation("flux", {"prompt": "x", "glitter": 11}))

    assert "11" not in str(graph["sampler"]["inputs"])


def test_the_declared_graph_is_never_changed(commands):
    before = str(commands["flux"].workflow.graph)

    save_under(fill_graph(commands["flux"], Invocation("flux", {"prompt": "x"})), "p")

    assert str(commands["flux"].workflow.graph) == before


def test_every_file_is_saved_under_the_prompts_own_prefix(commands):
    for name, command in commands.items():
        graph = save_under(fill_graph(command, Invocation(name, {"prompt": "x"})), "id-1")
        prefixes = {node["inputs"]["filename_prefix"] for node in graph.values() if "filename_prefix" in node["inputs"]}
        assert prefixes == {"veilrun/id-1/out"}, name


def test_a_prefix_that_is_linked_to_another_node_is_left_to_the_workflow():
    graph = {"save": {"class_type": "SaveImage", "inputs": {"filename_prefix": ["text", 0]}}}

    assert save_under(graph, "id-1")["save"]["inputs"]["filename_prefix"] == ["text", 0]


def test_a_prompt_has_one_id_in_every_process_and_another_for_every_try_and_every_deployment():
    ours, theirs = uuid4(), uuid4()
    tries = [(ours, 1, 2), (ours, 1, 3), (ours, 2, 2), (ours, 12, 3), (theirs, 1, 2)]

    assert prompt_id_of(*tries[0]) == prompt_id_of(*tries[0])
    assert len({prompt_id_of(*one) for one in tries}) == len(tries)
