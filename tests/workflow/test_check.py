"""Broken graphs of forty kinds: each is answered with its place, its cause and its cure."""

import copy
import json
from typing import Any

import pytest

from runtime.comfyui import Catalogue
from runtime.workflow import Finding, check, shipped_catalogue
from runtime.workflow.shipped import shipped_descriptions

SOUND: dict[str, Any] = {
    "model": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "toy.safetensors"}},
    "positive": {
        "class_type": "CLIPTextEncode",
        "inputs": {"text": "a cat", "clip": ["model", 1]},
        "_meta": {"title": "What to see"},
    },
    "negative": {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": ["model", 1]}},
    "latent": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 512, "batch_size": 1}},
    "sampler": {
        "class_type": "KSampler",
        "inputs": {
            "model": ["model", 0],
            "positive": ["positive", 0],
            "negative": ["negative", 0],
            "latent_image": ["latent", 0],
            "seed": 1,
            "steps": 20,
            "cfg": 8.0,
            "sampler_name": "euler",
            "scheduler": "normal",
            "denoise": 1.0,
        },
    },
    "decoded": {"class_type": "VAEDecode", "inputs": {"samples": ["sampler", 0], "vae": ["model", 2]}},
    "save": {"class_type": "SaveImage", "inputs": {"images": ["decoded", 0], "filename_prefix": "x"}},
}
GONE = object()


def changed(place: str, value: Any) -> Any:
    """The sound graph with the value at `place` (`node.input`, `node.class_type`, `node`) replaced, or taken away."""
    graph = copy.deepcopy(SOUND)
    node, _, key = place.partition(".")
    holder, name = (graph, node) if not key else (graph[node], key)
    if key and key not in ("class_type", "inputs"):
        holder = graph[node]["inputs"]
    if value is GONE:
        del holder[name]
    else:
        holder[name] = value
    return graph


BROKEN: dict[str, tuple[Any, str, str, str, str]] = {
    # graph, node, input, what is wrong, what to do
    "a list": ([], "", "", "it is a list, not an object of nodes", "write nodes by their ids"),
    "text": ("graph", "", "", "it is text", "write nodes by their ids"),
    "null": (None, "", "", "it is null", "write nodes by their ids"),
    "nothing": ({}, "", "", "it has no nodes", "write at least one that saves"),
    "a node that is text": (changed("latent", "x"), "latent", "", "it is text, not an object", "give it class_type"),
    "a node that is a list": (changed("latent", []), "latent", "", "it is a list", "give it class_type and inputs"),
    "no class": (
        changed("latent.class_type", GONE),
        "latent",
        "",
        "it has no class_type",
        "write the name of its node",
    ),
    "a class that is a number": (
        changed("latent.class_type", 5),
        "latent",
        "",
        "it has no class_type",
        "write the name",
    ),
    "no inputs": (changed("latent.inputs", GONE), "latent", "", "it has no inputs", 'write "inputs": {}'),
    "inputs as a list": (changed("latent.inputs", []), "latent", "", "it has no inputs", 'write "inputs": {}'),
    "a slip in a class": (
        changed("sampler.class_type", "KSampelr"),
        "sampler",
        "",
        "is of class",
        "did you mean KSampler",
    ),
    "an unknown class": (
        changed("decoded.class_type", "AcmeXyz9"),
        "decoded",
        "",
        "is of class",
        "install the custom node",
    ),
    "nothing saved": (changed("save", GONE), "", "", "saves nothing", "add a node that saves the result"),
    "a circle": (changed("latent.width", ["decoded", 0]), "latent", "width", "", ""),
    "no prompt": (changed("positive.text", GONE), "positive", "text", "is required and missing", "STRING"),
    "no model": (
        changed("sampler.model", GONE),
        "sampler",
        "model",
        "is required and missing",
        '["model", 0] gives MODEL',
    ),
    "no picture to save": (changed("save.images", GONE), "save", "images", "is required", '["decoded", 0] gives IMAGE'),
    "no seed": (changed("sampler.seed", GONE), "sampler", "seed", "is required and missing", "of type INT"),
    "a link to nowhere": (
        changed("save.images", ["nobody", 0]),
        "save",
        "images",
        "no node of this graph",
        "a link is",
    ),
    "a link to a number": (changed("save.images", [8, 0]), "save", "images", "no node of this graph", "a link is"),
    "a link without a slot": (changed("save.images", ["decoded"]), "save", "images", "links to", "a link is"),
    "a slot too many": (changed("save.images", ["decoded", 1]), "save", "images", "links to output 1", "1 outputs"),
    "a negative slot": (changed("save.images", ["decoded", -1]), "save", "images", "links to output -1", "a link is"),
    "a slot in words": (changed("save.images", ["decoded", "0"]), "save", "images", "links to output", "a link is"),
    "the wrong slot": (
        changed("positive.clip", ["model", 0]),
        "positive",
        "clip",
        "wants CLIP",
        '["model", 1] gives CLIP',
    ),
    "the wrong node": (
        changed("save.images", ["latent", 0]),
        "save",
        "images",
        "wants IMAGE",
        '["decoded", 0] gives IMAGE',
    ),
    "a latent to the decoder's vae": (
        changed("decoded.vae", ["latent", 0]),
        "decoded",
        "vae",
        "wants VAE",
        "gives VAE",
    ),
    "a value for a link": (changed("sampler.model", "toy"), "sampler", "model", "wants a link to MODEL", "gives MODEL"),
    "a number for a link": (
        changed("decoded.samples", 5),
        "decoded",
        "samples",
        "wants a link to LATENT",
        "gives LATENT",
    ),
    "words for a number": (
        changed("sampler.steps", "many"),
        "sampler",
        "steps",
        "must be a whole number",
        "write a number",
    ),
    "a number longer than any": (changed("latent.width", 10**400), "latent", "width", "the most is", "write 16 to"),
    "a fraction longer than any": (changed("sampler.cfg", 10**400), "sampler", "cfg", "must be a number", "write a"),
    "a link from a list": (
        changed("sampler.model", [["model"], 0]),
        "sampler",
        "model",
        "which is no node",
        "a link is",
    ),
    "a link by number": (changed("sampler.model", [4, 0]), "sampler", "model", "links to 4, which is no", "a link is"),
    "null for a number": (changed("sampler.cfg", None), "sampler", "cfg", "must be a number", "write a number"),
    "an object for a number": (
        changed("latent.width", {}),
        "latent",
        "width",
        "must be a whole number",
        "write a number",
    ),
    "no steps": (changed("sampler.steps", 0), "sampler", "steps", "is 0, the least is 1", "write 1 to 10000"),
    "too many steps": (changed("sampler.steps", 99999), "sampler", "steps", "the most is 10000", "write 1 to 10000"),
    "a seed below 0": (changed("sampler.seed", -1), "sampler", "seed", "the least is 0", "write 0 to"),
    "too much noise": (changed("sampler.denoise", 1.5), "sampler", "denoise", "the most is 1", "write 0 to 1"),
    "a picture too small": (changed("latent.width", 8), "latent", "width", "is 8, the least is 16", "write 16 to"),
    "a width off its step": (changed("latent.width", 515), "latent", "width", "goes in steps of 8", "512 or 520"),
    "a height off its step": (changed("latent.height", 1023), "latent", "height", "steps of 8", "1016 or 1024"),
    "a slip in a choice": (
        changed("sampler.sampler_name", "eular"),
        "sampler",
        "sampler_name",
        "is",
        "did you mean euler",
    ),
    "a choice of nobody": (changed("sampler.scheduler", "zzz"), "sampler", "scheduler", "is 'zzz'", "there is: "),
    "a number for a choice": (changed("sampler.scheduler", 5), "sampler", "scheduler", "is 5", "there is: "),
}


@pytest.mark.parametrize(("graph", "node", "name", "cause", "cure"), BROKEN.values(), ids=BROKEN)
def test_a_broken_graph_is_answered_with_place_cause_and_cure(
    graph: Any, node: str, name: str, cause: str, cure: str
) -> None:
    findings = check(graph, shipped_catalogue(), knows_files=False)

    assert findings
    (finding,) = [one for one in findings if (one.node, one.input) == (node, name)] or findings[:1]
    assert cause in finding.cause
    assert cure in finding.cure
    assert finding.cause
    assert finding.cure
    assert str(finding).startswith(f"node {node}" if finding.node else "the graph")


def test_there_are_as_many_kinds_as_we_say() -> None:
    assert len(BROKEN) >= 40


def test_a_sound_graph_has_nothing_wrong() -> None:
    assert check(SOUND, shipped_catalogue(), knows_files=False) == []


def test_a_server_that_lacks_the_model_file_says_so() -> None:
    entries = json.loads(
        json.dumps({name: shipped_descriptions()[name] for name in {n["class_type"] for n in SOUND.values()}})
    )
    entries["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0] = ["other.safetensors"]

    (finding,) = check(SOUND, Catalogue.parse(entries))

    assert (finding.node, finding.input, finding.kind) == ("model", "ckpt_name", "missing_model")
    assert "toy.safetensors is missing" in finding.cause
    assert "other.safetensors" in finding.cure


def test_a_finding_names_node_title_class_input_and_what_to_do() -> None:
    (finding,) = check(changed("positive.clip", ["model", 0]), shipped_catalogue(), knows_files=False)

    assert str(finding) == (
        "node positive “What to see” (CLIPTextEncode), clip: wants CLIP and is linked to MODEL of 'model';"
        ' link it to a node that gives such a value: ["model", 1] gives CLIP'
    )


def test_everything_is_found_at_once() -> None:
    graph = changed("sampler.steps", 0)
    graph["latent"]["inputs"]["width"] = 515

    assert {(one.node, one.input) for one in check(graph, shipped_catalogue(), knows_files=False)} == {
        ("sampler", "steps"),
        ("latent", "width"),
    }
    assert isinstance(check(graph, shipped_catalogue())[0], Finding)
