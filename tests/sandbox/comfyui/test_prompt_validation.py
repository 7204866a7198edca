"""POST /prompt: every fault that the real server answers, with its status, type and place."""

import copy
from typing import Any

import pytest

from runtime.sandbox.comfyui import SandboxComfyUI
from tests.sandbox.comfyui import graphs
from tests.sandbox.comfyui.client import Client, Json, png_bytes
from tests.sandbox.comfyui.graphs import node


def changed(graph: Json, place: str, value: Any) -> Json:
    graph = copy.deepcopy(graph)
    node_id, name = place.split(".")
    graph[node_id]["inputs"][name] = value
    return graph


async def refused(client: Client, graph: Any, kind: str = "prompt_outputs_failed_validation") -> Json:
    status, answer = await client.post(graph)
    assert status == 400
    assert set(answer) == {"error", "node_errors"}
    assert set(answer["error"]) == {"type", "message", "details", "extra_info"}
    assert answer["error"]["type"] == kind
    return answer


async def fault_of(client: Client, graph: Json, node_id: str) -> Json:
    """The one error of the one faulty node."""
    answer = await refused(client, graph)
    assert list(answer["node_errors"]) == [node_id]
    told = answer["node_errors"][node_id]
    assert set(told) == {"errors", "dependent_outputs", "class_type"}
    assert told["dependent_outputs"] == ["save"]
    assert told["class_type"] == graph[node_id]["class_type"]
    assert len(told["errors"]) == 1
    return told["errors"][0]


async def test_a_good_graph_is_queued(client: Client) -> None:
    status, answer = await client.post(graphs.sd3(), prompt_id="p")

    assert (status, answer) == (200, {"prompt_id": "p", "number": 0, "node_errors": {}})


async def test_a_prompt_id_is_made_when_none_is_given(client: Client) -> None:
    _, answer = await client.post(graphs.plain())

    assert len(answer["prompt_id"]) == 36


async def test_all_five_templates_are_accepted(client: Client) -> None:
    await client.upload(png_bytes(), "cat.png")
    for graph in (graphs.sd3(), graphs.flux(), graphs.wan(), graphs.qwen("cat.png")):
        assert (await client.post(graph))[0] == 200


async def test_without_a_prompt_key(client: Client) -> None:
    async with client.http.post(f"{client.url}/prompt", json={"graph": {}}) as answer:
        told = await answer.json()

    assert answer.status == 400
    message = "No prompt provided"
    assert told["error"] == {"type": "no_prompt", "message": message, "details": message, "extra_info": {}}


@pytest.mark.parametrize("graph", [{}, {"blank": node("EmptyImage", width=8, height=8, batch_size=1, color=0)}])
async def test_without_an_output(client: Client, graph: Json) -> None:
    answer = await refused(client, graph, "prompt_no_outputs")

    assert answer["error"]["message"] == "Prompt has no outputs"
    assert answer["node_errors"] == {}


async def test_an_unknown_class(client: Client) -> None:
    answer = await refused(client, {"1": node("Nope")}, "invalid_prompt")

    assert answer["error"]["message"] == "Cannot execute because node Nope does not exist."
    assert answer["error"]["details"] == "Node ID '#1'"
    assert answer["node_errors"] == {}


async def test_a_missing_class_type(client: Client) -> None:
    answer = await refused(client, {"1": {"inputs": {}}}, "invalid_prompt")

    assert answer["error"]["details"] == "Node ID '#1'"


async def test_a_link_from_the_output_to_an_absent_node(client: Client) -> None:
    fault = await fault_of(client, changed(graphs.plain(), "save.images", ["ghost", 0]), "save")

    assert fault["type"] == "exception_during_validation"
    assert fault["details"] == "'ghost'"
    assert fault["extra_info"]["exception_type"] == "KeyError"
    assert fault["extra_info"]["traceback"]


async def test_a_link_from_an_inner_node_to_an_absent_node_is_found_at_that_node(client: Client) -> None:
    answer = await refused(client, changed(graphs.sd3(), "decode.samples", ["ghost", 0]))

    assert answer["node_errors"]["decode"]["errors"][0]["type"] == "exception_during_inner_validation"
    assert answer["error"]["details"] == ""


async def test_a_slot_out_of_range(client: Client) -> None:
    fault = await fault_of(client, changed(graphs.plain(), "save.images", ["blank", 3]), "save")

    assert fault["type"] == "exception_during_validation"
    assert fault["extra_info"]["exception_type"] == "IndexError"


@pytest.mark.parametrize("link", [["blank"], ["blank", 0, 0], []])
async def test_a_link_of_another_length_than_two(client: Client, link: list[Any]) -> None:
    fault = await fault_of(client, changed(graphs.plain(), "save.images", link), "save")

    assert fault["type"] == "bad_linked_input"
    assert fault["extra_info"]["received_value"] == link


async def test_a_link_of_the_wrong_type(client: Client) -> None:
    fault = await fault_of(client, changed(graphs.sd3(), "save.images", ["sampler", 0]), "save")

    assert fault["type"] == "return_type_mismatch"
    assert fault["details"] == "images, received_type(LATENT) mismatch input_type(IMAGE)"
    assert fault["extra_info"]["linked_node"] == ["sampler", 0]


async def test_a_required_input_is_absent(client: Client) -> None:
    graph = graphs.sd3()
    del graph["sampler"]["inputs"]["seed"]

    fault = await fault_of(client, graph, "sampler")

    assert (fault["type"], fault["details"]) == ("required_input_missing", "seed")
    assert fault["extra_info"] == {"input_name": "seed"}


async def test_an_optional_input_may_be_absent(client: Client) -> None:
    await client.upload(png_bytes(), "cat.png")
    graph = graphs.qwen("cat.png")
    del graph["positive"]["inputs"]["vae"], graph["clip"]["inputs"]["device"]

    assert (await client.post(graph))[0] == 200


async def test_not_a_number(client: Client) -> None:
    fault = await fault_of(client, changed(graphs.sd3(), "sampler.steps", "many"), "sampler")

    assert fault["type"] == "invalid_input_type"
    assert fault["message"] == "Failed to convert an input value to a INT value"
    assert fault["details"].startswith("steps, many, invalid literal for int()")
    assert fault["extra_info"]["received_value"] == "many"


@pytest.mark.parametrize(
    ("place", "value", "kind"),
    [
        ("sampler.steps", 0, "value_smaller_than_min"),
        ("sampler.steps", 10_001, "value_bigger_than_max"),
        ("sampler.seed", -1, "value_smaller_than_min"),
        ("sampler.seed", 2**64, "value_bigger_than_max"),
        ("sampler.denoise", 1.5, "value_bigger_than_max"),
        ("latent.width", 8, "value_smaller_than_min"),
    ],
)
async def test_out_of_range(client: Client, place: str, value: float, kind: str) -> None:
    node_id, name = place.split(".")

    fault = await fault_of(client, changed(graphs.sd3(), place, value), node_id)

    assert (fault["type"], fault["details"]) == (kind, name)
    assert fault["extra_info"]["received_value"] == value
    assert {"min", "max"} <= set(fault["extra_info"]["input_config"][1])


@pytest.mark.parametrize("seed", [0, 2**64 - 1])
async def test_the_whole_seed_range_is_accepted(client: Client, seed: int) -> None:
    assert (await client.post(graphs.sd3(seed=seed)))[0] == 200


async def test_step_is_not_enforced(client: Client) -> None:
    assert (await client.post(graphs.sd3(width=136, height=120)))[0] == 200


async def test_a_model_file_that_is_not_there(client: Client) -> None:
    fault = await fault_of(client, changed(graphs.flux(), "vae.vae_name", "nope.safetensors"), "vae")

    listed = "['ae.safetensors', 'qwen_image_vae.safetensors', 'wan_2.1_vae.safetensors', 'pixel_space']"
    assert (fault["type"], fault["message"]) == ("value_not_in_list", "Value not in list")
    assert fault["details"] == f"vae_name: 'nope.safetensors' not in {listed}"
    assert fault["extra_info"]["received_value"] == "nope.safetensors"


async def test_a_long_list_of_options_is_replaced_by_its_length(client: Client) -> None:
    fault = await fault_of(client, changed(graphs.sd3(), "sampler.sampler_name", "nope"), "sampler")

    assert fault["details"] == "sampler_name: 'nope' not in (list of length 42)"
    assert fault["extra_info"]["input_config"] is None


async def test_a_picture_that_was_never_uploaded(client: Client) -> None:
    fault = await fault_of(client, graphs.qwen("nope.png"), "load")

    assert (fault["type"], fault["details"]) == ("custom_validation_failed", "image - Invalid image file: nope.png")
    assert fault["extra_info"] == {"input_name": "image"}


async def test_good_outputs_run_though_others_are_bad(client: Client) -> None:
    graph = graphs.plain() | {"bad": node("SaveImage", images=["ghost", 0], filename_prefix="x")}

    entry = await client.run(graph, "p")
    _, answer = await client.post(graph)

    assert list(answer["node_errors"]) == ["bad"]
    assert answer["node_errors"]["bad"]["dependent_outputs"] == ["bad"]
    assert list(entry["outputs"]) == ["save"]
    assert entry["prompt"][4] == ["save"]
    assert entry["status"]["status_str"] == "success"


async def test_one_fault_names_every_output_that_depends_on_it(client: Client) -> None:
    graph = graphs.sd3(steps=0) | {"preview": node("PreviewImage", images=["decode", 0])}

    answer = await refused(client, graph)

    assert sorted(answer["node_errors"]["sampler"]["dependent_outputs"]) == ["preview", "save"]


async def test_several_faults_of_one_node_are_all_told(client: Client) -> None:
    graph = changed(changed(graphs.sd3(), "sampler.steps", 0), "sampler.cfg", -1)

    errors = (await refused(client, graph))["node_errors"]["sampler"]["errors"]

    assert [fault["extra_info"]["input_name"] for fault in errors] == ["steps", "cfg"]


async def test_a_fault_of_the_output_itself_is_told_in_the_details(client: Client) -> None:
    answer = await refused(client, {"save": node("SaveImage", filename_prefix="x")})

    assert answer["error"]["details"] == "Required input is missing: images"


async def test_a_fault_upstream_leaves_the_details_empty(client: Client) -> None:
    assert (await refused(client, graphs.sd3(steps=0)))["error"]["details"] == ""


async def test_options_of_new_style_combos_are_seen_only_when_run(client: Client) -> None:
    entry = await client.run(changed(graphs.wan(), "save.format", "avi"), "p")

    event, failure = entry["status"]["messages"][-1]
    assert (event, failure["exception_type"]) == ("execution_error", "ValueError")
    assert failure["exception_message"] == "'avi' is not a valid VideoContainer\n"


async def test_literals_are_converted_as_the_history_shows(client: Client) -> None:
    entry = await client.run(changed(changed(graphs.sd3(), "sampler.steps", "4"), "sampler.denoise", 1), "p")

    inputs = entry["prompt"][2]["sampler"]["inputs"]
    assert inputs["steps"] == 4
    assert isinstance(inputs["denoise"], float)


async def test_a_wrapped_list_is_a_literal(client: Client) -> None:
    entry = await client.run(changed(graphs.sd3(), "positive.text", {"__value__": ["a", "b"]}), "p")

    assert entry["prompt"][2]["positive"]["inputs"]["text"] == "['a', 'b']"


async def test_unknown_inputs_and_meta_are_ignored(client: Client) -> None:
    graph = changed(graphs.plain(), "save.nonsense", {"deep": [1]})
    graph["save"]["_meta"] = {"title": "Save"}

    assert (await client.run(graph))["status"]["completed"]


async def test_a_cycle_is_refused_without_naming_a_node(client: Client) -> None:
    graph = {
        "one": node("ImageInvert", image=["two", 0]),
        "two": node("ImageInvert", image=["one", 0]),
        "save": node("SaveImage", images=["one", 0], filename_prefix="x"),
    }

    assert (await refused(client, graph))["node_errors"] == {}


async def test_only_the_targets_of_a_partial_execution_run(client: Client) -> None:
    graph = graphs.plain() | {"other": node("PreviewImage", images=["blank", 0])}

    entry = await client.run(graph, "p", partial_execution_targets=["other"])

    assert list(entry["outputs"]) == ["other"]


@pytest.mark.parametrize("body", [b"not json", b"", b"5", b'{"prompt": 5}', b'{"prompt": {"1": 5}}'])
async def test_a_body_that_makes_no_sense_is_a_plain_500(comfyui: SandboxComfyUI, client: Client, body: bytes) -> None:
    async with client.http.post(f"{client.url}/prompt", data=body) as answer:
        text = await answer.text()

    assert (answer.status, answer.content_type) == (500, "text/plain")
    assert text.startswith("500 Internal Server Error")
    assert comfyui.graphs == []


async def test_extra_data_that_is_no_object_is_a_500_and_the_server_lives_on(client: Client) -> None:
    async with client.http.post(f"{client.url}/prompt", json={"prompt": graphs.plain(), "extra_data": [1]}) as answer:
        assert answer.status == 500

    assert (await client.run(graphs.plain()))["status"]["completed"]


async def test_a_refused_graph_is_not_queued(comfyui: SandboxComfyUI, client: Client) -> None:
    await client.post(graphs.sd3(steps=0), prompt_id="p")

    assert comfyui.graphs == []
    assert await client.get("/history/p") == {}
