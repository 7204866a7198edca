"""Graphs of nodes that the sandbox has never heard of run in it, and give what their save node takes."""

import asyncio
from typing import Any

import aiohttp
import pytest

from runtime.api import Graph, Workflow
from runtime.sandbox.comfyui import Pace, SandboxComfyUI
from runtime.testing.improvised import model_files, node_classes

SAVE_VIDEO = {"filename_prefix": "x", "format": "auto", "codec": "auto"}
SERVICE = {
    "service": {"class_type": "AcmeTextToVideo", "inputs": {"prompt": "a cat", "width": 128, "height": 96}},
    "save": {"class_type": "SaveVideo", "inputs": {"video": ["service", 0], **SAVE_VIDEO}},
}
CHAIN = {
    "first": {"class_type": "AcmeFirst", "inputs": {"prompt": "a cat"}},
    "second": {"class_type": "AcmeSecond", "inputs": {"thing": ["first", 0]}},
    "save": {"class_type": "SaveImage", "inputs": {"images": ["second", 0], "filename_prefix": "x"}},
}
SIZED = {
    "size": {"class_type": "ResolutionSelector", "inputs": {"aspect_ratio": "1:1 (Square)", "megapixels": 1}},
    "latent": {
        "class_type": "EmptyLatentImage",
        "inputs": {"width": ["size", 0], "height": ["size", 1], "batch_size": 1},
    },
    "vae": {"class_type": "AcmeVAELoader", "inputs": {}},
    "decoded": {"class_type": "VAEDecode", "inputs": {"samples": ["latent", 0], "vae": ["vae", 0]}},
    "save": {"class_type": "SaveImage", "inputs": {"images": ["decoded", 0], "filename_prefix": "x"}},
}
ONE_CLASS_IN_TWO_PLACES = {
    "empty": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0}},
    "one": {"class_type": "AcmeSwitch", "inputs": {"switch": True, "on_true": ["empty", 0]}},
    "two": {"class_type": "AcmeSwitch", "inputs": {"switch": True, "on_true": 512, "on_false": 256}},
    "scaled": {
        "class_type": "ImageScale",
        "inputs": {
            **{"image": ["one", 0], "width": ["two", 0], "height": ["two", 0]},
            **{"upscale_method": "area", "crop": "disabled"},
        },
    },
    "save": {"class_type": "SaveImage", "inputs": {"images": ["scaled", 0], "filename_prefix": "x"}},
}
NEWER_CHOICE = {
    **SIZED,
    "clip": {"class_type": "CLIPLoader", "inputs": {"clip_name": "t5xxl_fp16.safetensors", "type": "kind_of_2030"}},
    "shown": {"class_type": "AcmePreview", "inputs": {"clip": ["clip", 0], "images": ["decoded", 0]}},
    "save": {"class_type": "SaveImage", "inputs": {"images": ["shown", 0], "filename_prefix": "x"}},
}


async def run(graph: Graph) -> dict[str, Any]:
    workflows = [Workflow(graph=graph, bind={}, output="save")]
    pace = Pace(load_seconds=0.0, step_seconds=0.0, film_step_seconds=0.0, class_seconds={})
    server = SandboxComfyUI(pace=pace, models=model_files(workflows), extra_classes=node_classes(workflows))
    await server.start()
    try:
        async with aiohttp.ClientSession(server.url) as session, asyncio.timeout(20):
            async with session.post("/prompt", json={"prompt": graph}) as answer:
                told = await answer.json()
                assert told.get("node_errors") == {}, told
            while True:
                async with session.get(f"/history/{told['prompt_id']}") as answer:
                    entry: dict[str, Any] = (await answer.json()).get(told["prompt_id"])
                if entry:
                    return entry
    finally:
        await server.stop()


@pytest.mark.parametrize("graph", [SERVICE, CHAIN, SIZED, ONE_CLASS_IN_TWO_PLACES, NEWER_CHOICE])
async def test_unknown_nodes_pass_on_what_they_get_and_make_up_the_rest(graph: Graph) -> None:
    entry = await run(graph)

    assert entry["status"]["status_str"] == "success", entry["status"]["messages"]
    assert entry["outputs"]["save"]["images"]
