"""What the server says about itself."""

from typing import Any

import pytest

from runtime.sandbox.comfyui import Device, SandboxComfyUI
from tests.sandbox.comfyui import graphs
from tests.sandbox.comfyui.client import Client, png_bytes

USED = {
    "CFGNorm", "CLIPLoader", "CLIPTextEncode", "CLIPTextEncodeFlux", "CheckpointLoaderSimple", "ConditioningZeroOut",
    "CreateVideo", "DualCLIPLoader", "EmptyHunyuanLatentVideo", "EmptyImage", "EmptySD3LatentImage", "FluxGuidance",
    "ImageFromBatch", "ImageInvert", "ImageScale", "ImageScaleToTotalPixels", "KSampler", "KSamplerAdvanced",
    "LoadImage", "LoraLoaderModelOnly", "ModelSamplingAuraFlow", "ModelSamplingSD3", "PreviewImage",
    "RepeatLatentBatch", "SaveAnimatedWEBP", "SaveImage", "SaveImageWebsocket", "SaveVideo",
    "TextEncodeQwenImageEditPlus", "UNETLoader", "VAEDecode", "VAEEncode", "VAELoader",
}  # fmt: skip


async def test_the_catalogue_has_the_classes_of_the_templates_and_more(client: Client) -> None:
    catalogue = await client.get("/object_info")

    assert set(catalogue) >= USED
    for name, entry in catalogue.items():
        assert entry["name"] == name
        assert list(entry["input_order"]["required"]) == list(entry["input"]["required"])
        assert len(entry["output"]) == len(entry["output_is_list"]) == len(entry["output_name"])


async def test_one_class_can_be_asked_for(client: Client) -> None:
    assert list(await client.get("/object_info/KSampler")) == ["KSampler"]
    assert await client.get("/object_info/Nope") == {}


async def test_options_come_in_the_old_and_the_new_shape(client: Client) -> None:
    catalogue = await client.get("/object_info")

    old = catalogue["UNETLoader"]["input"]["required"]["unet_name"]
    new = catalogue["SaveVideo"]["input"]["required"]["format"]
    assert "flux1-schnell.safetensors" in old[0]
    assert new == ["COMBO", {"default": "auto", "multiselect": False, "options": ["auto", "mp4"]}]


async def test_the_options_of_load_image_are_the_uploaded_pictures(client: Client) -> None:
    await client.upload(png_bytes(), "b.png")
    await client.upload(png_bytes(), "a.jpg")
    await client.upload(b"x", "notes.txt")
    await client.upload(png_bytes(), "c.png", subfolder="deep")

    entry = await client.get("/object_info/LoadImage")

    assert entry["LoadImage"]["input"]["required"]["image"] == [["a.jpg", "b.png"], {"image_upload": True}]


async def test_model_files_are_listed_by_folder(client: Client) -> None:
    assert await client.get("/models/checkpoints") == [
        "flux1-dev-fp8.safetensors",
        "sd3.5_large_fp8_scaled.safetensors",
    ]
    assert await client.get("/models/controlnet") == []
    assert "diffusion_models" in await client.get("/models")
    async with client.http.get(f"{client.url}/models/nope") as answer:
        assert answer.status == 404


async def test_system_stats_tell_version_and_memory_in_bytes(client: Client) -> None:
    stats = await client.get("/system_stats")

    assert stats["system"]["comfyui_version"] == "0.3.64"
    assert stats["devices"][0]["vram_total"] == 32 * 1024**3
    assert set(stats["devices"][0]) == {
        "name", "type", "index", "vram_total", "vram_free", "torch_vram_total", "torch_vram_free",
    }  # fmt: skip


async def test_cards_can_be_chosen(http: Any) -> None:
    async with SandboxComfyUI(pace=0, devices=[Device("a", 8), Device("b", 32)]) as server:
        devices = (await Client(http, server.url).get("/system_stats"))["devices"]

    assert [(one["name"], one["index"], one["vram_total"] // 1024**3) for one in devices] == [("a", 0, 8), ("b", 1, 32)]


async def test_other_model_files_can_be_declared(http: Any) -> None:
    models = {"checkpoints": ["mine.safetensors"], "vae": []}
    async with SandboxComfyUI(pace=0, models=models) as server:
        client = Client(http, server.url)
        assert await client.get("/models/checkpoints") == ["mine.safetensors"]
        status, answer = await client.post(graphs.sd3())

    assert status == 400
    fault = answer["node_errors"]["model"]["errors"][0]
    assert fault["details"] == "ckpt_name: 'sd3.5_large_fp8_scaled.safetensors' not in ['mine.safetensors']"


async def test_further_classes_can_be_declared_and_pass_their_inputs_on(http: Any) -> None:
    sharpen = {
        "input": {"required": {"image": ["IMAGE"], "strength": ["FLOAT", {"min": 0, "max": 1}]}},
        "input_order": {"required": ["image", "strength"]},
        "output": ["IMAGE"],
        "output_is_list": [False],
        "output_name": ["IMAGE"],
    }
    graph = graphs.plain(0xFF0000) | {"sharpen": graphs.node("AcmeSharpen", image=["blank", 0], strength=0.5)}
    graph["save"]["inputs"]["images"] = ["sharpen", 0]
    async with SandboxComfyUI(pace=0, extra_classes={"AcmeSharpen": sharpen}) as server:
        client = Client(http, server.url)
        picture = await client.picture((await client.saved(graph))[0])

    assert picture.getpixel((0, 0)) == (255, 0, 0)


async def test_a_loader_of_a_declared_class_loads_the_file_it_names(http: Any) -> None:
    loader = {
        "input": {"required": {"unet_name": [["flux1-schnell.safetensors"]], "device": [["cuda:0", "cuda:1"]]}},
        "input_order": {"required": ["unet_name", "device"]},
        "output": ["MODEL"],
        "output_is_list": [False],
        "output_name": ["MODEL"],
    }
    graph = graphs.flux()
    graph["model"] = graphs.node("UNETLoaderMultiGPU", unet_name="flux1-schnell.safetensors", device="cuda:1")
    async with SandboxComfyUI(pace=0, extra_classes={"UNETLoaderMultiGPU": loader}) as server:
        assert (await Client(http, server.url).run(graph))["status"]["completed"]
        assert "flux1-schnell.safetensors" in server.model_loads[0]


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://evil.example", 403),
        ("http://127.0.0.1:1", 403),
        ("http://127.0.0.1:{port}", 200),
        (None, 200),
    ],
)
async def test_a_foreign_page_is_turned_away(client: Client, origin: str | None, status: int) -> None:
    headers = {"Origin": origin.format(port=client.url.rsplit(":", 1)[1])} if origin else {}

    async with client.http.get(f"{client.url}/queue", headers=headers) as answer:
        assert answer.status == status


async def test_a_host_that_is_not_loopback_is_not_guarded(client: Client) -> None:
    headers = {"Host": "gpu.example", "Origin": "http://other.example"}

    async with client.http.get(f"{client.url}/queue", headers=headers) as answer:
        assert answer.status == 200


async def test_the_journal_tells_every_request_with_its_route(comfyui: SandboxComfyUI, client: Client) -> None:
    await client.get("/api/history/abc")

    assert (comfyui.requests[-1].method, comfyui.requests[-1].path) == ("GET", "/api/history/abc")
    assert comfyui.requests[-1].route == "GET /history/{prompt_id}"


async def test_the_front_page_says_that_it_is_a_sandbox(client: Client) -> None:
    async with client.http.get(client.url) as answer:
        assert "sandbox" in await answer.text()
