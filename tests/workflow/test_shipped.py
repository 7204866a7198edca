"""The node descriptions that ship with veilrun, and how they are packed."""

from runtime.workflow import shipped_catalogue
from runtime.workflow.description import laid_out
from runtime.workflow.shipped import compact, shipped_descriptions


def test_they_are_those_of_comfyui_alone_and_name_no_file_of_a_machine() -> None:
    entries = shipped_descriptions()

    assert {"KSampler", "SaveImageAdvanced", "ComfySwitchNode", "TextEncodeQwenImageEditPlus"} <= set(entries)
    assert not [name for name in entries if name.startswith("Probe")]
    assert entries["LoadImage"]["input"]["required"]["image"][0] == []
    assert entries["UNETLoader"]["input"]["required"]["unet_name"][0] == []


def test_they_are_a_catalogue_to_check_against() -> None:
    steps = shipped_catalogue().classes["KSampler"].inputs["steps"]

    assert (steps.type, steps.low, steps.high) == ("INT", 1, 10000)


def test_packing_keeps_what_converting_needs_and_the_order_of_inputs() -> None:
    option = {"key": "jpg", "inputs": {"required": {"quality": ["INT", {"tooltip": "x", "default": 9}], "a": ["INT"]}}}
    entry = {
        "input": {
            "required": {
                "z": ["STRING", {"tooltip": "what it is", "default": "y"}],
                "format": ["COMFY_DYNAMICCOMBO_V3", {"options": [option]}],
                "image": [["mine.png"], {"image_upload": True, "default": "mine.png"}],
            },
            "hidden": {"prompt": "PROMPT"},
        },
        "input_order": {"required": ["z", "format", "image"]},
        "output": ["IMAGE"],
        "output_node": True,
        "description": "long",
    }

    packed = compact({"Acme": entry})["Acme"]

    assert laid_out(packed, []) == {"z": "y", "format": "jpg", "format.quality": 9, "format.a": 0, "image": None}
    assert "mine" not in str(packed)
    assert "what it is" not in str(packed)
    assert (packed["output"], packed["output_node"]) == (["IMAGE"], True)
