"""What is proposed for graphs of every kind: the links decide, not the names of the classes alone."""

import json
from pathlib import Path
from typing import Any

import pytest

from runtime.scaffold import NothingToBind, analyse
from runtime.scaffold.naming import with_names

PLUGINS = Path(__file__).parents[2] / "plugins"
CHECKPOINT = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "toy.safetensors"}}
SAVE = {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "x"}}
DECODE = {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}}


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def sampler(**more: Any) -> dict[str, Any]:
    inputs = {
        "model": ["4", 0],
        "seed": 1,
        "steps": 20,
        "cfg": 7.0,
        "positive": ["6", 0],
        "negative": ["7", 0],
        "latent_image": ["5", 0],
    }
    return node("KSampler", **{**inputs, **more})


TEXT_TO_IMAGE = {
    "3": sampler(),
    "4": CHECKPOINT,
    "5": node("EmptyLatentImage", width=832, height=1216, batch_size=1),
    "6": node("CLIPTextEncode", text="a cat", clip=["4", 1]),
    "7": node("CLIPTextEncode", text="blurry", clip=["4", 1]),
    "8": DECODE,
    "9": SAVE,
}


def bound(graph: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    return {one.name: one.places for one in analyse(graph).bindings}


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("flux/schnell.json", {"prompt", "size", "steps", "guidance", "seed"}),
        ("flux/dev.json", {"prompt", "size", "steps", "guidance", "seed"}),
        ("sd3/sd35_large.json", {"prompt", "negative", "size", "steps", "cfg", "seed"}),
        ("qwen/edit_2509.json", {"prompt", "negative", "image", "steps", "cfg", "seed"}),
        ("wan/wan22_t2v_14b.json", {"prompt", "negative", "size", "seconds", "cfg", "seed"}),
    ],
)
def test_the_shipped_graphs_are_read_as_their_plugins_bind_them(file: str, expected: set[str]) -> None:
    assert set(bound(json.loads((PLUGINS / file).read_text(encoding="utf-8")))) == expected


def test_text_to_image_has_all_that_people_set() -> None:
    assert bound(TEXT_TO_IMAGE) == {
        "prompt": ("6.text",),
        "negative": ("7.text",),
        "size": ("5.width,5.height",),
        "steps": ("3.steps",),
        "cfg": ("3.cfg",),
        "seed": ("3.seed",),
    }
    found = analyse(TEXT_TO_IMAGE)
    assert (found.output, found.kind, found.doubts) == ("9", "image", ())
    assert [(model.name, model.folder) for model in found.models] == [("toy.safetensors", "checkpoints")]


def test_a_picture_takes_the_place_of_the_size() -> None:
    graph = {
        **TEXT_TO_IMAGE,
        "5": node("VAEEncode", pixels=["10", 0], vae=["4", 2]),
        "10": node("LoadImage", image="example.png"),
    }

    assert bound(graph)["image"] == ("10.image",)
    assert "size" not in bound(graph)


def test_words_are_found_behind_guiders_control_nets_and_guidance() -> None:
    graph = {
        **TEXT_TO_IMAGE,
        "3": node("SamplerCustomAdvanced", noise=["20", 0], guider=["21", 0], sigmas=["22", 0], latent_image=["5", 0]),
        "20": node("RandomNoise", noise_seed=5),
        "21": node("BasicGuider", model=["4", 0], conditioning=["23", 0]),
        "22": node("BasicScheduler", model=["4", 0], steps=28, scheduler="simple", denoise=1.0),
        "23": node("FluxGuidance", conditioning=["24", 0], guidance=3.5),
        "24": node("ControlNetApplyAdvanced", positive=["6", 0], negative=["7", 0], strength=1.0),
    }

    assert bound(graph) == {
        "prompt": ("6.text",),
        "size": ("5.width,5.height",),
        "steps": ("22.steps",),
        "guidance": ("23.guidance",),
        "seed": ("20.noise_seed",),
    }


def test_values_are_found_in_the_primitives_that_hold_them() -> None:
    graph = {
        **TEXT_TO_IMAGE,
        "3": sampler(seed=["30", 0], steps=["31", 0]),
        "6": node("CLIPTextEncode", text=["32", 0], clip=["4", 1]),
        "30": node("PrimitiveInt", value=77),
        "31": node("PrimitiveInt", value=12),
        "32": node("PrimitiveString", value="a dog"),
    }

    assert bound(graph)["prompt"] == ("32.value",)
    assert bound(graph)["seed"] == ("30.value",)
    assert bound(graph)["steps"] == ("31.value",)


def test_the_prompt_is_the_text_nearest_to_the_encoder_where_several_are_put_together() -> None:
    graph = {
        **TEXT_TO_IMAGE,
        "6": node("CLIPTextEncode", text=["33", 0], clip=["4", 1]),
        "30": node("PrimitiveStringMultiline", value="You are an expert prompt engineer"),
        "31": node("PrimitiveStringMultiline", value="a dog"),
        "32": node("StringConcatenate", string_a=["30", 0], string_b=["31", 0], delimiter=" "),
        "33": node("ComfySwitchNode", switch=False, on_false=["31", 0], on_true=["34", 0]),
        "34": node("TextGenerate", prompt=["32", 0]),
    }
    found = analyse(graph)

    assert bound(graph)["prompt"] == ("31.value",)
    assert "several texts are put together: 31.value is set, 30.value stay" in found.doubts


def test_the_words_of_a_guider_with_two_conditions_are_found() -> None:
    graph = {
        **TEXT_TO_IMAGE,
        "3": node("SamplerCustomAdvanced", noise=["20", 0], guider=["21", 0], latent_image=["5", 0]),
        "20": node("RandomNoise", noise_seed=5),
        "21": node("DualCFGGuider", model=["4", 0], cond1=["6", 0], cond2=["7", 0], negative=["7", 0]),
    }

    assert bound(graph)["prompt"] == ("6.text",)
    assert bound(graph)["negative"] == ("7.text",)


def test_one_encoder_for_both_sides_is_told_apart() -> None:
    graph = {
        **TEXT_TO_IMAGE,
        "3": sampler(negative=["6", 1]),
        "6": node("TextEncodeBooguEdit", prompt="no hat", negative_prompt="blurry", clip=["4", 1]),
    }

    assert bound(graph)["prompt"] == ("6.prompt",)
    assert bound(graph)["negative"] == ("6.negative_prompt",)


def test_words_that_differ_and_get_the_same_are_pointed_out() -> None:
    graph = {**TEXT_TO_IMAGE, "6": node("CLIPTextEncodeSDXL", text_g="a cat", text_l="a dog", clip=["4", 1])}

    assert "6.text_g, 6.text_l say different things; all of them get the same words" in analyse(graph).doubts


@pytest.mark.parametrize("key", ["prompt", "prompt_text", "model.prompt"])
def test_a_service_s_node_has_words_of_its_own(key: str) -> None:
    graph = {
        "1": node("AcmeService", **{key: "a cat", "find": "x", "seed": 1}),
        "2": node("SaveVideo", video=["1", 0], filename_prefix="x", format="auto", codec="auto"),
    }

    assert bound(graph) == {"prompt": (f"1.{key}",), "seed": ("1.seed",)}


def test_the_first_latent_has_the_size_not_what_is_scaled_up() -> None:
    graph = {
        **TEXT_TO_IMAGE,
        "3": sampler(latent_image=["20", 0]),
        "20": node("LatentUpscale", samples=["5", 0], upscale_method="area", width=1664, height=2432, crop="disabled"),
    }

    assert bound(graph)["size"] == ("5.width,5.height",)
    assert "several nodes have a size; only those of 832x1216 follow --size" in analyse(graph).doubts


def test_a_file_that_nobody_can_send_is_pointed_out() -> None:
    graph = {
        "1": node("LoadVideo", file="dance.mp4"),
        "2": node("AcmeService", video=["1", 0], prompt="a robot"),
        "3": node("SaveVideo", video=["2", 0], filename_prefix="x", format="auto", codec="auto"),
    }

    assert any(
        doubt.startswith("1.file is always dance.mp4: a command takes no such") for doubt in analyse(graph).doubts
    )


def test_what_is_compared_is_not_what_is_sent() -> None:
    graph = {**TEXT_TO_IMAGE, "10": node("ImageCompare", image_a=["8", 0], image_b=["9", 0])}

    assert analyse(graph).output == "9"


def test_what_is_zeroed_out_is_no_negative_prompt() -> None:
    graph = {**TEXT_TO_IMAGE, "7": node("ConditioningZeroOut", conditioning=["6", 0])}

    assert "negative" not in bound(graph)


def test_two_samplers_that_share_the_work_share_no_steps() -> None:
    split = {"start_at_step": 0, "end_at_step": 10, "noise_seed": 3}
    graph = {
        **TEXT_TO_IMAGE,
        "3": node("KSamplerAdvanced", **sampler(latent_image=["11", 0])["inputs"], **split, add_noise="disable"),
        "11": node("KSamplerAdvanced", **sampler()["inputs"], **split, add_noise="enable"),
    }
    for name in ("3", "11"):
        del graph[name]["inputs"]["seed"]

    found = analyse(graph)

    assert "steps" not in bound(graph)
    assert bound(graph)["seed"] == ("11.noise_seed",)
    assert "the steps are shared by several samplers: they stay as they are" in found.doubts


def test_an_upscaler_has_no_words_and_says_so() -> None:
    graph = {
        "1": node("LoadImage", image="x.png"),
        "2": node("UpscaleModelLoader", model_name="RealESRGAN_x4plus.pth"),
        "3": node("ImageUpscaleWithModel", upscale_model=["2", 0], image=["1", 0]),
        "4": node("SaveImage", images=["3", 0], filename_prefix="x"),
    }
    found = analyse(graph)

    assert bound(graph) == {"image": ("1.image",)}
    assert found.models[0].folder == "upscale_models"
    assert "no prompt was found: the command takes no words" in found.doubts


def test_several_pictures_are_counted_and_put_in_order_by_a_hook() -> None:
    graph = {
        "1": node("LoadImage", image="x.png"),
        "2": node("LoadImage", image="y.png"),
        "3": node("ImageBatch", image1=["1", 0], image2=["2", 0]),
        "4": node("SaveImage", images=["3", 0], filename_prefix="x"),
    }
    found = analyse(graph)

    assert found.more_images == ("2",)
    assert any("see that build_workflow gives them in the right order" in doubt for doubt in found.doubts)


def test_a_lora_is_named_with_its_folder() -> None:
    graph = {**TEXT_TO_IMAGE, "40": node("LoraLoader", lora_name="style.safetensors", model=["4", 0], clip=["4", 1])}
    graph["3"] = sampler(model=["40", 0])

    assert ("style.safetensors", "loras") in [(model.name, model.folder) for model in analyse(graph).models]


def test_of_several_results_one_is_sent_and_the_others_are_named() -> None:
    graph = {**TEXT_TO_IMAGE, "12": node("PreviewImage", images=["8", 0])}
    graph["13"] = node("SaveImage", images=["8", 0], filename_prefix="y")

    found = analyse(graph)

    assert found.output == "9"
    assert any(doubt == "9 is the result; 13 are not sent" for doubt in found.doubts)


@pytest.mark.parametrize(
    ("graph", "said"),
    [
        (
            {"1": node("EmptyImage", width=4), "2": node("SaveImage", images=["1", 0])},
            "nothing in this graph could be set",
        ),
        ({"1": node("SaveAudio", audio="x")}, "add a SaveImage or a SaveVideo. It ends in 1"),
        ({"1": node("SaveGLB", mesh="x")}, r"It ends in 1 \(SaveGLB\)"),
        ({"1": node("PreviewAny", source="x")}, r"It ends in 1 \(PreviewAny\)"),
    ],
)
def test_a_graph_of_no_use_says_what_it_lacks(graph: dict[str, Any], said: str) -> None:
    with pytest.raises(NothingToBind, match=said):
        analyse(graph)


def test_numbers_become_names_and_links_follow() -> None:
    named = with_names(TEXT_TO_IMAGE)

    assert set(named) == {"sampler", "checkpoint", "latent", "positive", "negative", "decoded", "save"}
    assert named["sampler"]["inputs"]["positive"] == ["positive", 0]
    assert with_names(named) == named


def test_the_sides_are_named_for_what_they_say_not_for_the_nodes_between() -> None:
    graph = {
        **TEXT_TO_IMAGE,
        "3": sampler(positive=["20", 0], negative=["20", 1]),
        "20": node("LTXVConditioning", positive=["6", 0], negative=["7", 0], frame_rate=25),
        "6": node("CLIPTextEncode", text=["30", 0], clip=["4", 1]),
        "30": node("PrimitiveStringMultiline", value="a cat"),
    }
    named = with_names(graph)

    assert named["positive"]["inputs"] == {"value": "a cat"}
    assert named["negative"]["inputs"]["text"] == "blurry"
