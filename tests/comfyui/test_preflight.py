from dataclasses import dataclass
from typing import Any

import pytest

from runtime.comfyui import (
    Catalogue,
    ComfyClient,
    GraphProblem,
    GraphProblems,
    Prompt,
    WorkflowRejected,
    check_graph,
    missing_models,
    raise_if_any,
    run_prompt,
)
from runtime.sandbox.comfyui import SandboxComfyUI
from tests.comfyui import graphs
from tests.comfyui.conftest import QUICK


@dataclass(frozen=True)
class Model:
    name: str
    folder: str
    size_gb: float = 1.0
    link: str = "https://models.example/file"
    licence: str = "Apache-2.0"


@pytest.fixture
async def catalogue(client: ComfyClient) -> Catalogue:
    return Catalogue.parse(await client.object_info())


def _changed(graph: graphs.Graph, node: str, **inputs: Any) -> graphs.Graph:
    graph[node]["inputs"].update(inputs)
    return graph


def _only(problems: tuple[GraphProblem, ...]) -> GraphProblem:
    assert len(problems) == 1, problems
    return problems[0]


@pytest.mark.parametrize("graph", [graphs.still(), graphs.sampled(), graphs.film()])
async def test_a_good_graph_has_no_problem_and_the_server_agrees(
    client: ComfyClient, catalogue: Catalogue, graph: graphs.Graph
) -> None:
    assert check_graph(graph, catalogue) == ()
    assert (await run_prompt(client, Prompt("mine", graph), pace=QUICK)).outcome == "success"


async def test_an_unknown_class_is_named_with_its_like(catalogue: Catalogue) -> None:
    graph = graphs.still() | {"x": graphs.node("KSamplr"), "y": graphs.node("FancyCustomThing")}

    problems = check_graph(graph, catalogue)

    assert [(problem.node, problem.kind) for problem in problems] == [("x", "unknown_class"), ("y", "unknown_class")]
    assert "did you mean KSampler?" in problems[0].message
    assert "install the custom node" in problems[1].message


async def test_a_required_input_left_out_is_named(catalogue: Catalogue) -> None:
    graph = graphs.still()
    del graph["save"]["inputs"]["filename_prefix"]

    problem = _only(check_graph(graph, catalogue))

    assert problem.message == "node 'save' (SaveImage), filename_prefix is required and missing"


@pytest.mark.parametrize(
    ("link", "kind", "said"),
    [
        (["nowhere", 0], "bad_link", "no node of this graph"),
        (["canvas"], "bad_link", "no node of this graph"),
        (["canvas", 1], "bad_link", "has 1 outputs"),
        (["canvas", -1], "bad_link", "output -1"),
        (["canvas", "IMAGE"], "bad_link", "output 'IMAGE'"),
        (["latent", 0], "wrong_type", "wants IMAGE and is linked to LATENT of 'latent'"),
        ("canvas", "wrong_type", "wants a link to IMAGE"),
    ],
)
async def test_a_wrong_link_is_explained(catalogue: Catalogue, link: Any, kind: str, said: str) -> None:
    latent = graphs.node("EmptySD3LatentImage", width=64, height=64, batch_size=1)
    graph = _changed(graphs.still() | {"latent": latent}, "save", images=link)

    problem = _only(check_graph(graph, catalogue))

    assert (problem.node, problem.input, problem.kind) == ("save", "images", kind)
    assert said in problem.message


@pytest.mark.parametrize(
    ("offered", "wanted", "fits"),
    [
        ("IMAGE", "IMAGE", True),
        ("IMAGE", "MASK", False),
        ("IMAGE", "*", True),
        ("*", "LATENT", True),
        ("MASK", "IMAGE,MASK", True),
        ("IMAGE, LATENT", "MASK,LATENT", True),
        ("IMAGE,MASK", "LATENT", False),
        ("IMAGE", "IMAGES", False),
    ],
)
def test_types_may_be_unions_or_anything(offered: str, wanted: str, fits: bool) -> None:
    catalogue = Catalogue.parse(
        {
            "Source": {"input": {"required": {}}, "output": [offered], "output_node": False},
            "Sink": {"input": {"required": {"it": [wanted, {}]}}, "output": [], "output_node": True},
        }
    )
    graph = {"a": graphs.node("Source"), "b": graphs.node("Sink", it=["a", 0])}

    assert (check_graph(graph, catalogue) == ()) is fits


@pytest.mark.parametrize(("allowed", "fits"), [("*", True), ("IMAGE,MASK", True), ("LATENT", False)])
def test_a_slot_that_takes_the_type_of_its_link_fits_what_is_allowed_there(allowed: str, fits: bool) -> None:
    matching = ["COMFY_MATCHTYPE_V3", {"template": {"template_id": "any", "allowed_types": allowed}}]
    catalogue = Catalogue.parse(
        {
            "Source": {"input": {"required": {}}, "output": ["IMAGE"], "output_node": False},
            "Switch": {"input": {"required": {"on_true": matching}}, "output": ["COMFY_MATCHTYPE_V3"]},
            "Sink": {"input": {"required": {"it": ["IMAGE", {}]}}, "output": [], "output_node": True},
        }
    )
    graph = {
        "a": graphs.node("Source"),
        "switch": graphs.node("Switch", on_true=["a", 0]),
        "b": graphs.node("Sink", it=["switch", 0]),
    }

    assert (check_graph(graph, catalogue) == ()) is fits


def test_the_option_of_a_dynamic_choice_is_checked_and_a_choice_without_options_takes_any() -> None:
    format_ = ["COMFY_DYNAMICCOMBO_V3", {"options": [{"key": "png", "inputs": {}}, {"key": "exr", "inputs": {}}]}]
    inputs = {"format": format_, "own": ["COMBO", {"options": []}]}
    catalogue = Catalogue.parse({"Save": {"input": {"required": inputs}, "output": [], "output_node": True}})

    problem = _only(check_graph({"a": graphs.node("Save", format="pmg", own="mine")}, catalogue))

    assert (problem.input, problem.kind) == ("format", "not_an_option")
    assert "did you mean png?" in problem.message


@pytest.mark.parametrize(
    ("inputs", "kind", "said"),
    [
        ({"steps": 0}, "too_small", "is 0, the least is 1"),
        ({"steps": 10001}, "too_large", "is 10001, the most is 10000"),
        ({"steps": "many"}, "not_a_number", "must be a whole number"),
        ({"steps": None}, "not_a_number", "must be a whole number"),
        ({"cfg": "high"}, "not_a_number", "must be a number"),
        ({"cfg": float("nan")}, "not_a_number", "finite"),
        ({"cfg": 100.5}, "too_large", "the most is 100"),
        ({"denoise": 1.01}, "too_large", "is 1.01, the most is 1"),
        ({"seed": 2**64}, "too_large", "the most is 18446744073709551615"),
        ({"seed": -1}, "too_small", "the least is 0"),
        ({"sampler_name": "eulr"}, "not_an_option", "did you mean euler?"),
        ({"scheduler": "zzz"}, "not_an_option", "there is: simple, sgm_uniform, "),
    ],
)
async def test_a_value_out_of_bounds_is_explained(
    catalogue: Catalogue, inputs: dict[str, Any], kind: str, said: str
) -> None:
    problem = _only(check_graph(_changed(graphs.sampled(), "sampler", **inputs), catalogue))

    assert (problem.node, problem.class_type, problem.kind) == ("sampler", "KSampler", kind)
    assert problem.input == next(iter(inputs))
    assert said in problem.message


@pytest.mark.parametrize("inputs", [{"seed": 2**64 - 1}, {"steps": "20"}, {"cfg": 3}, {"cfg": 4.015}])
async def test_what_the_server_takes_is_no_problem(catalogue: Catalogue, inputs: dict[str, Any]) -> None:
    assert check_graph(_changed(graphs.sampled(), "sampler", **inputs), catalogue) == ()


@pytest.mark.parametrize(
    ("inputs", "nearest"),
    [({"width": 136}, "128 or 144"), ({"length": 80}, "77 or 81"), ({"height": 17}, "16 or 32")],
)
async def test_a_size_off_its_step_is_found_though_the_server_takes_it(
    client: ComfyClient, catalogue: Catalogue, inputs: dict[str, int], nearest: str
) -> None:
    graph = _changed(graphs.film(), "latent", **inputs)

    problem = _only(check_graph(graph, catalogue))

    assert (problem.kind, problem.allowed) == ("off_step", nearest)
    await client.post_prompt("mine", graph, "me")


async def test_an_option_of_a_new_style_choice_is_checked_though_the_server_does_not(
    client: ComfyClient, catalogue: Catalogue
) -> None:
    graph = _changed(graphs.film(), "save", format="avi")

    problem = _only(check_graph(graph, catalogue))

    assert (problem.kind, problem.input, problem.received) == ("not_an_option", "format", "avi")
    assert problem.allowed == "auto, mp4"
    await client.post_prompt("mine", graph, "me")


async def test_a_missing_model_is_told_with_its_place_size_link_and_licence(
    client: ComfyClient, comfyui: SandboxComfyUI
) -> None:
    name = "wan2.2_t2v_high_noise_14B_fp8_scaled.safetensors"
    comfyui.faults.missing_models = {name}
    catalogue = Catalogue.parse(await client.object_info())

    problem = _only(check_graph(graphs.film(), catalogue, [Model(name, "diffusion_models", 13.31)]))

    assert problem.kind == "missing_model"
    assert problem.message == (
        f"node 'high' (UNETLoader), unet_name: model file {name} is missing: put {name} (13.3 GB) into "
        "ComfyUI/models/diffusion_models, from https://models.example/file (licence: Apache-2.0)"
    )


async def test_a_missing_model_nobody_declared_is_told_with_what_there_is(catalogue: Catalogue) -> None:
    problem = _only(check_graph(_changed(graphs.sampled(), "model", ckpt_name="mine.safetensors"), catalogue))

    assert problem.kind == "missing_model"
    assert "there is: flux1-dev-fp8.safetensors, sd3.5_large_fp8_scaled.safetensors" in problem.message


@pytest.mark.parametrize("place", ["SD3\\sd3.5_large_fp8_scaled.safetensors", "big/sd3.5_large_fp8_scaled.safetensors"])
async def test_a_model_in_another_folder_is_pointed_out(transport: Any, place: str) -> None:
    async with SandboxComfyUI(pace=0, models={"checkpoints": [place]}) as comfyui:
        catalogue = Catalogue.parse(await ComfyClient("gpu-a", comfyui.url, transport).object_info())
    model = Model("sd3.5_large_fp8_scaled.safetensors", "checkpoints")

    problem = _only(check_graph(graphs.sampled(), catalogue, [model]))

    assert f"the server has it as {place!r}" in problem.message
    assert missing_models(catalogue, [model]) == ()


async def test_models_can_be_checked_without_a_graph(catalogue: Catalogue) -> None:
    here, absent = Model("ae.safetensors", "vae"), Model("nope.safetensors", "vae")

    assert missing_models(catalogue, [here, absent]) == (absent,)


@pytest.mark.parametrize("image", ["just-uploaded.png", "job/1/u.png", "u.png [temp]"])
async def test_an_uploaded_picture_is_no_missing_option(catalogue: Catalogue, image: str) -> None:
    assert check_graph(graphs.edited(image), catalogue) == ()


async def test_all_problems_are_found_at_once(catalogue: Catalogue) -> None:
    graph = _changed(graphs.sampled(), "sampler", steps=0, cfg=-1, sampler_name="zzz")
    graph["latent"]["inputs"]["width"] = 100_000

    found = {(problem.node, problem.input) for problem in check_graph(graph, catalogue)}

    assert found == {("sampler", "steps"), ("sampler", "cfg"), ("sampler", "sampler_name"), ("latent", "width")}


async def test_nodes_no_output_depends_on_may_be_wrong(client: ComfyClient, catalogue: Catalogue) -> None:
    graph = graphs.still() | {"spare": graphs.node("EmptyImage", width=-5)}

    assert check_graph(graph, catalogue) == ()
    assert (await run_prompt(client, Prompt("mine", graph), pace=QUICK)).outcome == "success"


async def test_a_graph_that_saves_nothing_or_runs_in_a_circle_is_found(catalogue: Catalogue) -> None:
    canvas = {"canvas": graphs.still()["canvas"]}
    assert _only(check_graph(canvas, catalogue)).kind == "no_outputs"
    assert _only(check_graph({}, catalogue)).kind == "no_outputs"

    circle = graphs.still() | {
        "one": graphs.node("ImageInvert", image=["two", 0]),
        "two": graphs.node("ImageInvert", image=["one", 0]),
    }
    circle["save"]["inputs"]["images"] = ["one", 0]
    problem = _only(check_graph(circle, catalogue))
    assert (problem.kind, problem.node) == ("cycle", "one")


async def test_a_long_chain_is_checked_to_its_end(catalogue: Catalogue) -> None:
    graph = graphs.still() | {
        f"n{number}": graphs.node("ImageInvert", image=[f"n{number - 1}" if number else "canvas", 0])
        for number in range(3000)
    }
    graph["save"]["inputs"]["images"] = ["n2999", 0]

    assert check_graph(graph, catalogue) == ()


async def test_a_prompt_never_gets_into_a_message(catalogue: Catalogue) -> None:
    secret = "an astronaut in my garden"
    graph = _changed(graphs.sampled(prompt=secret), "sampler", steps=secret, sampler_name=secret, scheduler=0)

    problems = check_graph(graph, catalogue)

    assert len(problems) == 3
    assert secret not in str(problems)


def test_problems_are_raised_as_one_rejection() -> None:
    raise_if_any("gpu-a", ())
    problems = tuple(GraphProblem(f"n{number}", "X", "y", "kind", f"problem {number}") for number in range(8))

    with pytest.raises(GraphProblems) as caught:
        raise_if_any("gpu-a", problems)

    assert isinstance(caught.value, WorkflowRejected)
    assert caught.value.problems == problems
    assert str(caught.value).endswith("problem 4; and 3 more")
