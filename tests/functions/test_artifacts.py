"""Pictures in, results out: whole, in parts, or not again."""

import asyncio
import hashlib
import io
import random

from PIL import Image

from runtime.functions.pictures import KEPT_BYTES
from runtime.functions.wanted import IMAGE_BYTES
from tests.functions.conftest import picture
from tests.functions.service import Service
from webhooks.functions.artifacts import PIECE_BYTES

PNG = {"Content-Type": "image/png"}


def noise() -> bytes:
    """A picture of several pieces."""
    content = io.BytesIO()
    Image.frombytes("RGB", (1000, 900), random.Random(7).randbytes(2_700_000)).save(content, "PNG")
    assert len(content.getvalue()) > 2 * PIECE_BYTES
    return content.getvalue()


async def test_a_result_is_a_file_to_be_saved_and_nothing_else(service: Service, token: str) -> None:
    job_id = (await service.ask(token, body={"arguments": {"prompt": "a cat", "seed": 7}})).json["id"]
    first, second = await service.finish(job_id, picture("red"), picture("blue"))

    answer = await service.get(f"/artifacts/{first}", token)

    assert (answer.status, answer.body) == (200, picture("red"))
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="flux-7.png"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert answer.headers["ETag"] == f'"{hashlib.sha256(picture("red")).hexdigest()}"'
    assert "flux-7-2.png" in (await service.get(f"/artifacts/{second}", token)).headers["Content-Disposition"]


async def test_a_large_one_comes_in_pieces_and_parts(service: Service, token: str) -> None:
    sent = noise()
    artifact = (await service.post("/artifacts", token, data=sent, headers=PNG)).json["id"]
    path, size = f"/artifacts/{artifact}", len(sent)
    etag = f'"{hashlib.sha256(sent).hexdigest()}"'

    assert (await service.get(path, token)).body == sent
    for asked, start, end in [
        ("bytes=0-99", 0, 100),
        (f"bytes={PIECE_BYTES - 10}-{2 * PIECE_BYTES + 9}", PIECE_BYTES - 10, 2 * PIECE_BYTES + 10),
        (f"bytes={size - 5}-", size - 5, size),
        ("bytes=-5", size - 5, size),
        (f"bytes=5-{size + 1000}", 5, size),
    ]:
        answer = await service.get(path, token, headers={"Range": asked})

        assert (answer.status, answer.body) == (206, sent[start:end]), asked
        assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{size}"
    for asked in ("bytes=0-1,5-6", "lines=1-2", "bytes=9-1", "bytes=-"):
        assert (await service.get(path, token, headers={"Range": asked})).status == 200, asked
    for asked in (f"bytes={size}-", "bytes=-0"):
        refused = await service.get(path, token, headers={"Range": asked})
        assert (refused.status, refused.code) == (416, "range_not_satisfiable")
        assert refused.headers["Content-Range"] == f"bytes */{size}"
    kept = await service.get(path, token, headers={"If-None-Match": f'"x", {etag}'})
    assert (kept.status, kept.body, kept.headers["ETag"]) == (304, b"", etag)
    assert (await service.get(path, token, headers={"Range": "bytes=0-9", "If-Range": etag})).status == 206
    assert (await service.get(path, token, headers={"Range": "bytes=0-9", "If-Range": '"x"'})).status == 200


async def test_what_is_no_picture_is_not_taken(service: Service, token: str) -> None:
    for body, headers, status in [
        (b"", PNG, 415),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", {"Content-Type": "image/svg+xml"}, 415),
        (picture(), {"Content-Type": "text/html"}, 415),
        (picture()[:30], PNG, 422),
        (b"a" * (IMAGE_BYTES + 1), PNG, 413),
    ]:
        assert (await service.post("/artifacts", token, data=body, headers=headers)).status == status, body[:40]
    assert await service.query("select count(*) from artifacts") == [(0,)]


async def test_what_it_is_its_content_says(service: Service, token: str) -> None:
    answer = await service.post("/artifacts", token, data=picture(), headers={"Content-Type": "image/jpeg"})

    assert answer.json["media_type"] == "image/png"
    assert (answer.json["width"], answer.json["height"]) == (64, 48)


async def test_a_token_keeps_so_much_at_a_time(service: Service, token: str) -> None:
    await service.post("/artifacts", token, data=picture(), headers=PNG)
    await service.query("update artifacts set size_bytes = %s", KEPT_BYTES)

    refused = await service.post("/artifacts", token, data=picture(), headers=PNG)

    assert (refused.status, refused.code) == (429, "too_much_kept")


async def test_what_has_expired_is_not_there(service: Service, token: str) -> None:
    artifact = (await service.post("/artifacts", token, data=picture(), headers=PNG)).json["id"]
    await service.query("delete from blobs")

    assert (await service.get(f"/artifacts/{artifact}", token)).code == "not_found"


async def test_whoever_leaves_in_the_middle_of_a_file_costs_no_connection_to_the_database(
    service: Service, token: str
) -> None:
    job_id = (await service.ask(token)).json["id"]
    (made,) = await service.finish(job_id, bytes(24 * PIECE_BYTES))  # more than lies in the buffers of sockets

    url, headers = f"{service.url}/artifacts/{made}", {"Authorization": f"Bearer {token}"}
    async with service.session.get(url, headers=headers) as answer, service.holding_up("blobs") as until_somebody_waits:
        reading = asyncio.create_task(answer.read())
        await until_somebody_waits()
        answer.close()
        await asyncio.gather(reading, return_exceptions=True)
        await service.get("/")  # by then the server has seen it

    assert await service.lost_connections() == 0
