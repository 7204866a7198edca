"""Each shipped graph is the official template: the same nodes, links and values, under names that can be read."""

import copy
import json
from pathlib import Path

import pytest

from plugins.flux import dev, schnell
from plugins.qwen import workflow as qwen
from plugins.sd3 import workflow as sd3
from plugins.wan import workflow as wan
from runtime.api import Graph, Workflow
from runtime.workflow import check, shipped_catalogue
from tests.plugins.isomorphism import same_but_for_ids

FIXTURES = Path(__file__).parent / "fixtures"
TEMPLATES = {
    "sd3.5_simple_example": sd3,
    "flux_schnell_full_text_to_image": schnell,
    "flux_dev_full_text_to_image": dev,
    "video_wan2_2_14B_t2v": wan,
    "image_qwen_image_edit_2509": qwen,
}
NEWER_INPUTS = {"ImageScaleToTotalPixels": {"resolution_steps": 1}}
"""What servers newer than the template require, with the value that changes nothing; older ones ignore it."""

LOADERS = {
    "CheckpointLoaderSimple": {"ckpt_name": "checkpoints"},
    "UNETLoader": {"unet_name": "diffusion_models"},
    "LoraLoaderModelOnly": {"lora_name": "loras"},
    "CLIPLoader": {"clip_name": "text_encoders"},
    "DualCLIPLoader": {"clip_name1": "text_encoders", "clip_name2": "text_encoders"},
    "VAELoader": {"vae_name": "vae"},
}

each = pytest.mark.parametrize(("template", "workflow"), TEMPLATES.items(), ids=TEMPLATES)


def accepted(template: str) -> Graph:
    """The template as the official front end exports it and the real server accepts it."""
    graph: Graph = json.loads((FIXTURES / f"{template}.json").read_text(encoding="utf-8"))
    return graph


@each
def test_the_graph_is_the_official_template(template: str, workflow: Workflow) -> None:
    theirs = accepted(template)
    for node in theirs.values():
        if node["class_type"] == "LoadImage":
            node["inputs"]["image"] = "input.png"  # the template names a picture of its author's
        node["inputs"].update(NEWER_INPUTS.get(node["class_type"], {}))

    naming = same_but_for_ids(workflow.graph, theirs)

    assert naming is not None
    assert theirs[naming[workflow.output]]["class_type"] in ("SaveImage", "SaveVideo")


@each
def test_any_other_value_link_or_node_would_be_noticed(template: str, workflow: Workflow) -> None:
    for node in workflow.graph:
        for name in workflow.graph[node]["inputs"]:
            changed = copy.deepcopy(workflow.graph)
            value = changed[node]["inputs"][name]
            changed[node]["inputs"][name] = [value[0], value[1] + 1] if isinstance(value, list) else "other"
            assert same_but_for_ids(changed, workflow.graph) is None
        assert same_but_for_ids({k: v for k, v in workflow.graph.items() if k != node}, workflow.graph) is None
    assert same_but_for_ids(workflow.graph, workflow.graph) == {node: node for node in workflow.graph}


@each
def test_the_newest_nodes_take_it_as_well(template: str, workflow: Workflow) -> None:
    assert check(workflow.graph, shipped_catalogue(), knows_files=False) == []


@each
def test_node_ids_can_be_read(template: str, workflow: Workflow) -> None:
    assert all(node.replace("_", "").isalpha() and node.islower() for node in workflow.graph)


@each
def test_every_model_file_of_the_graph_is_declared_with_its_folder_and_licence(
    template: str, workflow: Workflow
) -> None:
    named = {
        (folder, node["inputs"][name])
        for node in workflow.graph.values()
        for name, folder in LOADERS.get(node["class_type"], {}).items()
    }

    assert {(model.folder, model.name) for model in workflow.models} == named
    assert len(workflow.models) == len(named)
    for model in workflow.models:
        assert model.size_gb > 0
        assert model.link.startswith("https://huggingface.co/")
        assert model.licence
        assert model.licence_link.startswith("https://")
