"""POST /upload/image, and LoadImage reading what was uploaded."""

import hashlib
from typing import Any

import aiohttp
import pytest
from PIL import Image

from runtime.sandbox.comfyui import SandboxComfyUI, Upload
from tests.sandbox.comfyui import graphs
from tests.sandbox.comfyui.client import Client, Json, png_bytes


def loading(name: str) -> Json:
    """A graph that loads a picture and saves it as it is."""
    return {
        "load": graphs.node("LoadImage", image=name),
        "save": graphs.node("SaveImage", images=["load", 0], filename_prefix="x"),
    }


async def test_an_upload_tells_its_name(comfyui: SandboxComfyUI, client: Client) -> None:
    assert await client.upload(b"bytes", "u.png") == (200, {"name": "u.png", "subfolder": "", "type": "input"})
    assert comfyui.uploads == [Upload("u.png", "", "input", 5, hashlib.sha256(b"bytes").hexdigest())]


async def test_the_same_bytes_under_the_same_name_are_reused(client: Client) -> None:
    await client.upload(b"same", "u.png")

    assert (await client.upload(b"same", "u.png"))[1]["name"] == "u.png"


async def test_other_bytes_under_the_same_name_get_a_number_and_are_found_again(client: Client) -> None:
    names = [(await client.upload(content, "u.png"))[1]["name"] for content in (b"a", b"b", b"c", b"b")]

    assert names == ["u.png", "u (1).png", "u (2).png", "u (1).png"]


@pytest.mark.parametrize("wish", ["true", "1"])
async def test_overwrite_replaces_the_file(client: Client, wish: str) -> None:
    await client.upload(b"old", "u.png")

    assert (await client.upload(b"new", "u.png", overwrite=wish))[1]["name"] == "u.png"
    assert await client.view({"filename": "u.png", "type": "input"}) == (200, b"new")


async def test_any_other_overwrite_does_not(client: Client) -> None:
    await client.upload(b"old", "u.png")

    assert (await client.upload(b"new", "u.png", overwrite="yes"))[1]["name"] == "u (1).png"


async def test_a_subfolder_is_made_and_told(client: Client) -> None:
    assert (await client.upload(png_bytes(), "u.png", subfolder="job/1"))[1]["subfolder"] == "job/1"
    assert (await client.run(loading("job/1/u.png")))["status"]["completed"]


@pytest.mark.parametrize("fields", [{"subfolder": "../../x"}, {"name": "../u.png"}, {"subfolder": "/etc"}])
async def test_leaving_the_folder_is_refused(client: Client, fields: dict[str, str]) -> None:
    assert (await client.upload(b"x", **fields))[0] == 400


async def test_a_bogus_type_is_a_500(client: Client) -> None:
    assert (await client.upload(b"x", type="bogus"))[0] == 500


async def post_form(client: Client, form: aiohttp.FormData) -> int:
    async with client.http.post(f"{client.url}/upload/image", data=form) as answer:
        return answer.status


async def test_a_wrong_field_name_is_a_400(client: Client) -> None:
    form = aiohttp.FormData()
    form.add_field("picture", b"x", filename="u.png")

    assert await post_form(client, form) == 400


async def test_a_field_without_a_filename_is_a_500(client: Client) -> None:
    form = aiohttp.FormData(default_to_multipart=True)
    form.add_field("image", "x")

    assert await post_form(client, form) == 500


async def test_an_upload_above_the_limit_is_a_413(http: Any) -> None:
    async with SandboxComfyUI(pace=0, max_upload_bytes=100_000) as server:
        client = Client(http, server.url)
        assert (await client.upload(b"x" * 200_000))[0] == 413
        assert (await client.get("/features"))["max_upload_size"] == 100_000


def test_the_limit_is_100_mib_by_default() -> None:
    assert SandboxComfyUI.__init__.__kwdefaults__["max_upload_bytes"] == 104_857_600


@pytest.mark.parametrize("content", [b"just text", b""])
async def test_content_is_looked_at_only_when_run(client: Client, content: bytes) -> None:
    assert (await client.upload(content, "u.png"))[0] == 200

    failure = (await client.run(loading("u.png")))["status"]["messages"][-1][1]

    assert failure["exception_type"] == "PIL.UnidentifiedImageError"
    assert (failure["node_id"], failure["node_type"]) == ("load", "LoadImage")


@pytest.mark.parametrize("kind", ["temp", "output", "input"])
async def test_a_picture_is_loaded_from_the_folder_that_its_annotation_names(client: Client, kind: str) -> None:
    await client.upload(png_bytes("blue"), "u.png", type=kind)

    entry = (await client.saved(loading(f"u.png [{kind}]")))[0]

    assert (await client.picture(entry)).getpixel((0, 0)) == (0, 0, 255)


async def test_a_result_is_chained_into_the_next_job_with_no_upload(client: Client) -> None:
    first = (await client.saved(graphs.plain(0x00FF00, prefix="job/a/out"), "first"))[0]

    entry = (await client.saved(loading(f"{first['subfolder']}/{first['filename']} [output]"), "second"))[0]

    assert (await client.picture(entry)).getpixel((0, 0)) == (0, 255, 0)


async def test_overwriting_changes_what_a_queued_job_reads(comfyui: SandboxComfyUI, client: Client) -> None:
    await client.upload(png_bytes("red"), "u.png")
    comfyui.faults.hold.add("load")
    await client.post(loading("u.png"), prompt_id="p")
    await client.upload(png_bytes("blue"), "u.png", overwrite="true")
    comfyui.faults.hold.clear()
    await comfyui.wait_for(lambda server: server.finished == ["p"])

    entry = (await client.get("/history/p"))["p"]["outputs"]["save"]["images"][0]
    assert (await client.picture(entry)).getpixel((0, 0)) == (0, 0, 255)


async def test_changed_bytes_under_the_same_name_are_loaded_anew(client: Client) -> None:
    await client.upload(png_bytes("red"), "u.png")
    await client.run(loading("u.png"), "first")
    await client.upload(png_bytes("blue"), "u.png", overwrite="true")

    second = await client.run(loading("u.png"), "second")

    assert second["status"]["messages"][1][1]["nodes"] == []


async def test_a_photo_is_turned_upright(client: Client) -> None:
    import io

    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.new("RGB", (40, 20)).save(file, "JPEG", exif=exif)
    await client.upload(file.getvalue(), "u.jpg")

    assert (await client.picture((await client.saved(loading("u.jpg")))[0])).size == (20, 40)
