"""GET /view."""

import io
from typing import Any

import pytest
from PIL import Image

from tests.sandbox.comfyui import graphs
from tests.sandbox.comfyui.client import Client, Json, png_bytes


@pytest.fixture
async def saved(client: Client) -> Json:
    """The entry of a red picture of 64 x 64 in the output folder."""
    return (await client.saved(graphs.plain(0xFF0000, prefix="job/out")))[0]


async def test_a_file_comes_with_type_length_and_etag(client: Client, saved: Json) -> None:
    async with client.http.get(f"{client.url}/view", params=saved) as answer:
        content = await answer.read()

    assert saved == {"filename": "out_00001_.png", "subfolder": "job", "type": "output"}
    assert (answer.status, answer.content_type) == (200, "image/png")
    assert int(answer.headers["Content-Length"]) == len(content)
    assert answer.headers["ETag"]
    assert answer.headers["Content-Disposition"] == 'filename="out_00001_.png"'
    assert Image.open(io.BytesIO(content)).getpixel((0, 0)) == (255, 0, 0)


async def test_ranges_are_served_and_join_to_the_whole(client: Client, saved: Json) -> None:
    _, whole = await client.view(saved)
    parts = []
    for span in ("bytes=0-99", "bytes=100-"):
        async with client.http.get(f"{client.url}/view", params=saved, headers={"Range": span}) as answer:
            assert answer.status == 206
            assert answer.headers["Content-Range"].endswith(f"/{len(whole)}")
            parts.append(await answer.read())

    assert b"".join(parts) == whole


async def test_a_range_beyond_the_file_is_a_416(client: Client, saved: Json) -> None:
    async with client.http.get(f"{client.url}/view", params=saved, headers={"Range": "bytes=9999999-"}) as answer:
        assert answer.status == 416


async def test_an_etag_is_honoured(client: Client, saved: Json) -> None:
    async with client.http.get(f"{client.url}/view", params=saved) as answer:
        etag = answer.headers["ETag"]
    async with client.http.get(f"{client.url}/view", params=saved, headers={"If-None-Match": etag}) as answer:
        assert answer.status == 304


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"filename": "absent.png"}, 404),
        ({}, 404),
        ({"filename": ""}, 400),
        ({"filename": "x.png", "type": "bogus"}, 400),
        ({"filename": "../x.png"}, 400),
        ({"filename": "/etc/passwd"}, 400),
        ({"filename": "x.png", "subfolder": "../../.."}, 403),
        ({"filename": "x.png", "subfolder": "/etc"}, 403),
        ({"filename": "x.png", "subfolder": "../input"}, 403),
    ],
)
async def test_what_is_not_served(client: Client, query: Json, status: int) -> None:
    async with client.http.get(f"{client.url}/view", params=query) as answer:
        assert answer.status == status


async def test_an_annotated_name_leads_to_its_folder(client: Client) -> None:
    await client.upload(b"in temp", "u.png", type="temp")

    assert await client.view({"filename": "u.png [temp]"}) == (200, b"in temp")


@pytest.mark.parametrize(
    ("query", "media_type", "mode"),
    [
        ({"preview": "webp;80"}, "image/webp", "RGB"),
        ({"preview": "jpeg;80"}, "image/jpeg", "RGB"),
        ({"preview": "bmp"}, "image/webp", "RGB"),
        ({"preview": "jpeg;80", "channel": "a"}, "image/webp", "RGB"),
        ({"channel": "rgb"}, "image/png", "RGB"),
        ({"channel": "a"}, "image/png", "RGBA"),
    ],
)
async def test_a_picture_is_re_encoded_or_taken_apart(
    client: Client, saved: Json, query: Json, media_type: str, mode: str
) -> None:
    async with client.http.get(f"{client.url}/view", params={**saved, **query}) as answer:
        picture = Image.open(io.BytesIO(await answer.read()))

    assert (answer.status, answer.content_type) == (200, media_type)
    assert (picture.mode, picture.size) == (mode, (64, 64))


async def test_a_preview_of_what_is_no_picture_is_a_500(client: Client) -> None:
    await client.upload(b"text", "u.png")

    assert (await client.view({"filename": "u.png", "type": "input"}, preview="webp;80"))[0] == 500


async def test_a_page_is_never_served_as_a_page(client: Client) -> None:
    await client.upload(b"<script>", "u.html")

    async with client.http.get(f"{client.url}/view", params={"filename": "u.html", "type": "input"}) as answer:
        assert answer.content_type == "application/octet-stream"


async def test_a_deleted_file_is_a_404(comfyui: Any, client: Client, saved: Json) -> None:
    comfyui.storage.delete_outputs()

    assert (await client.view(saved))[0] == 404


async def test_an_upload_can_be_viewed(client: Client) -> None:
    await client.upload(png_bytes(), "u.png", subfolder="job/1")

    assert await client.view({"filename": "u.png", "type": "input", "subfolder": "job/1"}) == (200, png_bytes())
