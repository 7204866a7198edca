"""Every fault of comfyui's own validation, posted and read back."""

from typing import Any

import pytest

from runtime.comfyui import ComfyClient, UploadGone, WorkflowRejected
from runtime.comfyui.rejection import parse_rejection, showable
from tests.comfyui import graphs


def _with(node: str, **inputs: Any) -> graphs.Graph:
    graph = graphs.sampled()
    graph[node]["inputs"].update(inputs)
    return graph


@pytest.mark.parametrize(
    ("graph", "kind", "said"),
    [
        ({}, "prompt_no_outputs", "no outputs"),
        (graphs.still() | {"x": graphs.node("Nope")}, "invalid_prompt|unknown_class", "'x' is of class 'Nope'"),
        (_with("sampler", steps=0), "value_smaller_than_min", "too small, got 0; allowed: 1 to 10000"),
        (_with("sampler", steps=20_000), "value_bigger_than_max", "too large, got 20000"),
        (_with("sampler", steps="many"), "invalid_input_type", "steps: value is of the wrong type"),
        (_with("sampler", sampler_name="eulr"), "value_not_in_list", "got 'eulr'"),
        (_with("decode", vae=["latent", 0]), "return_type_mismatch", "output of type LATENT, wants VAE"),
        (_with("decode", vae=["nowhere", 0]), "exception_during", "not there"),
        (_with("decode", vae=["model", 9]), "exception_during", "not there"),
        (_with("model", ckpt_name="mine.safetensors"), "value_not_in_list", "got 'mine.safetensors'; allowed: flux1"),
        (graphs.edited("nope.png"), "custom_validation_failed", "does not accept the value, got 'nope.png'"),
    ],
)
async def test_a_fault_is_put_into_words_that_name_the_place(
    client: ComfyClient, graph: graphs.Graph, kind: str, said: str
) -> None:
    with pytest.raises(WorkflowRejected) as caught:
        await client.post_prompt("mine", graph, "me")

    assert said in str(caught.value)
    assert any(part in caught.value.problems[0].kind for part in kind.split("|"))


async def test_a_required_input_is_named_even_when_the_top_level_says_nothing(client: ComfyClient) -> None:
    graph = graphs.sampled()
    del graph["latent"]["inputs"]["width"]

    with pytest.raises(WorkflowRejected, match=r"node 'latent' \(EmptySD3LatentImage\), width: required input is"):
        await client.post_prompt("mine", graph, "me")


async def test_a_prompt_is_never_quoted(client: ComfyClient) -> None:
    secret = "an astronaut in my garden"
    graph = _with("sampler", steps=secret, sampler_name=secret) | {
        "photo": graphs.node("LoadImage", image=secret),
        "second": graphs.node("SaveImage", images=["photo", 0], filename_prefix="second"),
    }

    with pytest.raises(WorkflowRejected) as caught:
        await client.post_prompt("mine", graph, "me")

    assert len(caught.value.problems) == 3
    assert secret not in str(caught.value)
    assert secret not in str(caught.value.problems)


@pytest.mark.parametrize(
    "answer",
    [{}, {"error": "Bad Request"}, {"error": {}}, {"error": None, "node_errors": None}, {"error": {"type": "odd"}}],
)
def test_a_refusal_in_another_shape_is_still_a_refusal(answer: dict[str, Any]) -> None:
    assert len(parse_rejection(answer, {})) == 1


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (5, True),
        (True, True),
        ("euler", True),
        ("sd3/a-b_c.safetensors", True),
        ("an astronaut", False),
        ("line\nbreak.png", False),
        (["canvas", 0], False),
        (None, False),
    ],
)
def test_only_what_can_be_no_prompt_is_shown(value: Any, shown: bool) -> None:
    assert (showable(value) is not None) is shown
    assert showable("astronaut", words=False) is None


async def test_a_picture_that_is_gone_since_its_upload_is_worth_another_try(client: ComfyClient):
    with pytest.raises(UploadGone) as gone:
        await client.post_prompt("mine", graphs.edited("0123abcd.png [temp]"), "me")

    assert gone.value.retry
    assert "LoadImage" in str(gone.value)
