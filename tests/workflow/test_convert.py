"""From the editor's format to the API's, by the rules of ComfyUI's own front end: one small workflow for each."""

import copy
from typing import Any

import pytest

from runtime.workflow import CannotConvert, convert
from runtime.workflow.convert import left_out
from runtime.workflow.shipped import shipped_descriptions


def node(
    number: int, kind: str, values: Any = (), *, inputs: Any = (), outputs: Any = (), **more: Any
) -> dict[str, Any]:
    """inputs: (name, type, link) or (name, type, link, True) for one that is a widget. outputs: types."""
    slots = [
        {"name": name, "type": type_, "link": link, **({"widget": {"name": name}} if rest else {})}
        for name, type_, link, *rest in inputs
    ]
    given = [{"name": kind, "type": kind} for kind in outputs]
    return {"id": number, "type": kind, "mode": 0, "inputs": slots, "outputs": given, "widgets_values": values, **more}


def workflow(*nodes: dict[str, Any], links: Any = (), subgraphs: Any = ()) -> dict[str, Any]:
    """links: (id, from, slot, to, slot, type)."""
    return {
        "nodes": list(nodes),
        "links": [list(link) for link in links],
        "definitions": {"subgraphs": list(subgraphs)},
    }


def converted(document: dict[str, Any]) -> dict[str, Any]:
    graph = convert(document, shipped_descriptions())
    return {name: content["inputs"] for name, content in graph.items()}


LATENT = node(1, "EmptyLatentImage", [512, 768, 2], outputs=["LATENT"])
DECODE = node(2, "VAEDecode", inputs=[("samples", "LATENT", 10), ("vae", "VAE", None)], outputs=["IMAGE"])
SAVE = node(3, "SaveImage", ["out"], inputs=[("images", "IMAGE", 11)])
LINKS = [(10, 1, 0, 2, 0, "LATENT"), (11, 2, 0, 3, 0, "IMAGE")]


def test_widgets_and_links_become_inputs_and_titles_stay() -> None:
    graph = convert(workflow({**LATENT, "title": "How large"}, DECODE, SAVE, links=LINKS), shipped_descriptions())

    assert graph["1"] == {
        "inputs": {"width": 512, "height": 768, "batch_size": 2},
        "class_type": "EmptyLatentImage",
        "_meta": {"title": "How large"},
    }
    assert graph["2"]["inputs"] == {"samples": ["1", 0]}
    assert graph["3"]["inputs"] == {"filename_prefix": "out", "images": ["2", 0]}


def test_what_becomes_of_a_seed_after_a_run_is_not_sent() -> None:
    sampler = node(4, "KSampler", [77, "randomize", 20, 8.0, "euler", "normal", 0.9])

    assert converted(workflow(sampler))["4"] == {
        "seed": 77,
        "steps": 20,
        "cfg": 8.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "denoise": 0.9,
    }


def test_the_button_for_an_upload_is_not_sent() -> None:
    assert converted(workflow(node(4, "LoadImage", ["cat.png", "image"])))["4"] == {"image": "cat.png"}


def test_a_muted_node_is_left_out_with_every_link_to_it() -> None:
    graph = converted(workflow({**LATENT, "mode": 2}, DECODE, SAVE, links=LINKS))

    assert graph == {"2": {}, "3": {"filename_prefix": "out", "images": ["2", 0]}}


def test_a_bypassed_node_is_passed_through_by_type() -> None:
    scale = node(5, "ImageScaleBy", ["lanczos", 2.0], inputs=[("image", "IMAGE", 11)], outputs=["IMAGE"], mode=4)
    save = node(3, "SaveImage", ["out"], inputs=[("images", "IMAGE", 12)])
    links = [*LINKS[:1], (11, 2, 0, 5, 0, "IMAGE"), (12, 5, 0, 3, 0, "IMAGE")]

    assert converted(workflow(LATENT, DECODE, scale, save, links=links))["3"]["images"] == ["2", 0]


def test_an_input_behind_a_bypassed_node_with_nothing_of_its_type_is_gone() -> None:
    load = node(5, "LoadImage", ["cat.png", "image"], outputs=["IMAGE", "MASK"], mode=4)

    assert converted(
        workflow(
            load, {**SAVE, "inputs": [{"name": "images", "type": "IMAGE", "link": 1}]}, links=[(1, 5, 0, 3, 0, "IMAGE")]
        )
    ) == {"3": {"filename_prefix": "out"}}


def test_notes_say_nothing_and_reroutes_are_what_they_lead_to() -> None:
    reroute = node(6, "Reroute", inputs=[("", "*", 11)], outputs=["IMAGE"])
    again = node(7, "Reroute", inputs=[("", "*", 12)], outputs=["IMAGE"])
    links = [*LINKS[:1], (11, 2, 0, 6, 0, "*"), (12, 6, 0, 7, 0, "*"), (13, 7, 0, 3, 0, "*")]
    save = node(3, "SaveImage", ["out"], inputs=[("images", "IMAGE", 13)])

    graph = converted(workflow(LATENT, DECODE, reroute, again, save, node(8, "MarkdownNote", ["# hi"]), links=links))

    assert set(graph) == {"1", "2", "3"}
    assert graph["3"]["images"] == ["2", 0]


def test_a_primitive_is_its_value() -> None:
    primitive = node(9, "PrimitiveNode", [1024, "fixed"], outputs=["INT"])
    latent = node(1, "EmptyLatentImage", [512, 768, 2], inputs=[("width", "INT", 20, True)], outputs=["LATENT"])

    assert converted(workflow(primitive, latent, links=[(20, 9, 0, 1, 0, "INT")]))["1"]["width"] == 1024


def test_a_widget_that_was_turned_into_an_input_takes_the_link_and_keeps_its_place_in_the_values() -> None:
    number = node(9, "PrimitiveInt", [640, "fixed"], outputs=["INT"])
    latent = node(1, "EmptyLatentImage", [512, 768, 2], inputs=[("width", "INT", 20, True)], outputs=["LATENT"])

    graph = converted(workflow(number, latent, links=[(20, 9, 0, 1, 0, "INT")]))

    assert graph["1"] == {"width": ["9", 0], "height": 768, "batch_size": 2}
    assert graph["9"] == {"value": 640}


def test_values_that_were_not_saved_are_the_defaults() -> None:
    assert converted(workflow(node(1, "EmptyLatentImage", [640])))["1"] == {
        "width": 640,
        "height": 512,
        "batch_size": 1,
    }


def test_values_by_name_are_taken_by_name() -> None:
    latent = node(1, "EmptyLatentImage", {"height": 64, "width": 32, "batch_size": 1, "preview": "x"})

    assert converted(workflow(latent))["1"] == {"width": 32, "height": 64, "batch_size": 1}


def subgraph(name: str, *nodes: dict[str, Any], inputs: Any = (), links: Any = ()) -> dict[str, Any]:
    """inputs: names. links: (id, from, slot, to, slot); -10 and -20 are its own inputs and outputs."""
    keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot")
    return {
        "id": name,
        "nodes": list(nodes),
        "inputs": [{"name": one} for one in inputs],
        "outputs": [{"name": "out"}],
        "links": [dict(zip(keys, link, strict=True)) for link in links],
    }


INNER = subgraph(
    "inner",
    node(
        1,
        "EmptyLatentImage",
        [8, 8, 1],
        inputs=[("width", "INT", 5, True), ("height", "INT", 6, True)],
        outputs=["LATENT"],
    ),
    inputs=("width", "height"),
    links=[(5, -10, 0, 1, 0), (6, -10, 1, 1, 1), (7, 1, 0, -20, 0)],
)


def test_a_subgraph_is_laid_out_flat_with_the_values_of_its_node() -> None:
    outer = node(20, "inner", [640, 480], outputs=["LATENT"])
    decode = node(2, "VAEDecode", inputs=[("samples", "LATENT", 10)], outputs=["IMAGE"])

    graph = converted(workflow(outer, decode, links=[(10, 20, 0, 2, 0, "LATENT")], subgraphs=[INNER]))

    assert graph == {"20:1": {"width": 640, "height": 480, "batch_size": 1}, "2": {"samples": ["20:1", 0]}}


def test_what_a_subgraph_s_node_is_linked_to_reaches_the_inside() -> None:
    number = node(9, "PrimitiveInt", [640, "fixed"], outputs=["INT"])
    outer = node(20, "inner", [1, 480], inputs=[("width", "INT", 30, True)], outputs=["LATENT"])

    graph = converted(workflow(number, outer, links=[(30, 9, 0, 20, 0, "INT")], subgraphs=[INNER]))

    assert graph["20:1"] == {"width": ["9", 0], "height": 480, "batch_size": 1}


def test_subgraphs_may_hold_subgraphs() -> None:
    middle = subgraph(
        "middle",
        node(4, "inner", [64, 32], inputs=[("width", "INT", 5, True)], outputs=["LATENT"]),
        inputs=("width",),
        links=[(5, -10, 0, 4, 0), (7, 4, 0, -20, 0)],
    )
    outer = node(20, "middle", [128], outputs=["LATENT"])
    decode = node(2, "VAEDecode", inputs=[("samples", "LATENT", 10)], outputs=["IMAGE"])

    graph = converted(workflow(outer, decode, links=[(10, 20, 0, 2, 0, "LATENT")], subgraphs=[INNER, middle]))

    assert graph["20:4:1"]["height"] == 32
    assert graph["2"] == {"samples": ["20:4:1", 0]}


def test_a_muted_subgraph_takes_all_of_its_inside_with_it() -> None:
    assert set(converted(workflow(node(20, "inner", [1, 1], mode=2), SAVE, subgraphs=[INNER]))) == {"3"}


def test_the_option_of_a_dynamic_choice_brings_its_own_widgets() -> None:
    save = node(1, "SaveImageAdvanced", ["out", "exr", "32-bit float", "linear"])

    assert converted(workflow(save))["1"] == {
        "filename_prefix": "out",
        "format": "exr",
        "format.bit_depth": "32-bit float",
        "format.input_color_space": "linear",
    }


def test_a_group_that_grows_has_the_inputs_that_the_file_names() -> None:
    picture = node(1, "EmptyImage", [8, 8, 1, 0], outputs=["IMAGE"])
    batch = node(
        2, "BatchImagesNode", inputs=[("images.image0", "IMAGE", 1), ("images.image1", "IMAGE", 2)], outputs=["IMAGE"]
    )

    graph = converted(workflow(picture, batch, links=[(1, 1, 0, 2, 0, "IMAGE"), (2, 1, 0, 2, 1, "IMAGE")]))

    assert graph["2"] == {"images.image0": ["1", 0], "images.image1": ["1", 0]}


def test_a_group_of_widgets_that_grows_takes_as_many_values_as_the_file_names() -> None:
    talk = {
        "input": {
            "required": {
                "lines": ["COMFY_AUTOGROW_V3", {"template": {"input": {"required": {"line": ["STRING", {}]}}}}],
                "loud": ["BOOLEAN", {}],
            }
        },
        "input_order": {"required": ["lines", "loud"]},
    }
    inputs = [("lines.line0", "STRING", None, True), ("lines.line1", "STRING", None, True)]

    graph = convert(workflow(node(1, "Talk", ["hello", "you", True], inputs=inputs)), {"Talk": talk})

    assert graph["1"]["inputs"] == {"lines.line0": "hello", "lines.line1": "you", "loud": True}


def test_a_value_that_is_a_list_is_told_apart_from_a_link() -> None:
    compare = node(1, "ImageCompare", [{"before": "/view?of=the last run"}])

    assert converted(workflow(compare))["1"]["compare_view"] == {"__value__": ["", ""]}


def test_what_is_bypassed_is_passed_through_an_input_of_any_type() -> None:
    text = node(1, "PrimitiveString", ["hi"], outputs=["STRING"])
    preview = node(2, "PreviewAny", inputs=[("source", "*", 1)], outputs=["STRING"], mode=4)
    encode = node(3, "CLIPTextEncode", [""], inputs=[("text", "STRING", 2, True)])

    graph = converted(workflow(text, preview, encode, links=[(1, 1, 0, 2, 0, "*"), (2, 2, 0, 3, 0, "STRING")]))

    assert graph["3"] == {"text": ["1", 0]}


def test_a_node_in_a_subgraph_whose_id_is_taken_outside_has_the_id_that_the_editor_gives_it() -> None:
    outer = node(20, "inner", [640, 480], outputs=["LATENT"])

    graph = converted({**workflow(LATENT, outer, subgraphs=[INNER]), "last_node_id": 30})

    assert graph["20:31"] == {"width": 640, "height": 480, "batch_size": 1}


def test_an_input_of_a_subgraph_without_a_value_has_that_of_its_widget_inside_everywhere() -> None:
    shared = subgraph(
        "shared",
        node(1, "EmptyLatentImage", [8, 9, 1], inputs=[("width", "INT", 5, True)], outputs=["LATENT"]),
        node(2, "PreviewAny", inputs=[("source", "*", 6)], outputs=["STRING"]),
        inputs=("width",),
        links=[(5, -10, 0, 1, 0), (6, -10, 0, 2, 0)],
    )

    graph = converted(workflow(node(20, "shared"), subgraphs=[shared]))

    assert graph == {"20:1": {"width": 8, "height": 9, "batch_size": 1}, "20:2": {"source": 8}}


def test_the_buttons_of_the_3d_viewer_are_not_sent() -> None:
    load = node(1, "Load3D", ["cat.glb", "upload3dmodel", "uploadExtraResources", "clear", "", 640, 480])

    assert converted(workflow(load))["1"] == {"model_file": "cat.glb", "image": "", "width": 640, "height": 480}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (
            workflow(node(5, "AcmeThing", [1, 2])),
            "node 5 (AcmeThing) is a AcmeThing, which is not described here: name a",
        ),
        (
            workflow(node(5, "SaveImageAdvanced", ["out", "heic", 90])),
            "node 5 (SaveImageAdvanced) is newer than the description of SaveImageAdvanced here: format is 'heic',"
            " not one of png, exr; name the ComfyUI that it is from with --backend",
        ),
        (workflow({**SAVE, "mode": 2}), "no node of this workflow is active: unmute what is to run"),
        (
            workflow(node(1, "loop"), subgraphs=[subgraph("loop", node(2, "loop"))]),
            "its subgraphs are nested too deeply, or in each other",
        ),
    ],
)
def test_what_cannot_be_converted_is_said_with_what_to_do(document: dict[str, Any], said: str) -> None:
    with pytest.raises(CannotConvert) as raised:
        convert(document, shipped_descriptions())

    assert said in str(raised.value)


def test_what_is_left_out_is_listed() -> None:
    document = workflow({**LATENT, "mode": 2}, {**DECODE, "mode": 4}, SAVE, node(8, "Note", ["hi"]))

    assert left_out(document) == [
        "1 EmptyLatentImage: muted: left out",
        "2 VAEDecode: bypassed: passed through",
        "8 Note: a note",
    ]


def test_the_workflow_itself_stays_as_it_is() -> None:
    document = workflow(LATENT, DECODE, SAVE, links=LINKS)
    before = copy.deepcopy(document)

    convert(document, shipped_descriptions())

    assert document == before
