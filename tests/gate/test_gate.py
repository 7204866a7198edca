"""What passes the gate, and what does not."""

import asyncio
import base64
import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from runtime.comfyui import (
    BackendError,
    History,
    OutputMissing,
    Prompt,
    UnexpectedAnswer,
    UploadRefused,
    cancel,
    run_and_collect,
    run_prompt,
)
from runtime.gate import UpstreamInvalid, running_gate
from runtime.sandbox.comfyui import SandboxComfyUI
from tests.comfyui import graphs
from tests.gate.conftest import Guarded, guarded


async def asked(behind: Guarded, method: str, path: str, **sent: Any) -> tuple[int, Any]:
    async with behind.session.request(method, behind.url + path, **sent) as answer:
        assert answer.headers["Veilrun-Gate"] == "1"
        body = await answer.text()
    try:
        return answer.status, json.loads(body)
    except ValueError:
        return answer.status, body


async def test_a_job_runs_through_it_as_without_it(behind: Guarded) -> None:
    steps: list[float] = []

    history, outputs = await run_and_collect(
        behind.client, Prompt("mine", graphs.sampled()), on_progress=lambda reading: steps.append(reading.fraction)
    )

    assert history.outcome == "success"
    assert outputs[0].content.startswith(b"\x89PNG")
    assert len(set(steps)) > 2
    assert behind.comfyui.last_graph["positive"]["inputs"]["text"] == "an astronaut"


async def test_a_picture_goes_up_and_into_a_graph(behind: Guarded) -> None:
    uploaded = await behind.client.upload_image(await _picture(behind), "in.png")

    assert uploaded.reference == "in.png"
    assert [upload.name for upload in behind.comfyui.uploads] == ["in.png"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/history"),
        ("GET", "/api/prompt"),
        ("GET", "/api/history/mine"),
        ("GET", "/userdata"),
        ("GET", "/settings"),
        ("GET", "/manager/queue/start"),
        ("POST", "/customnode/install"),
        ("GET", "/extensions"),
        ("GET", "/internal/logs"),
        ("POST", "/upload/mask"),
        ("DELETE", "/queue"),
        ("PUT", "/prompt"),
        ("GET", "/interrupt"),
        ("GET", "/models"),
        ("GET", "/models/..%2f..%2fetc"),
        ("GET", "/view_metadata/checkpoints"),
    ],
)
async def test_other_routes_do_not_pass(behind: Guarded, method: str, path: str) -> None:
    seen = len(behind.comfyui.requests)

    status, answer = await asked(behind, method, path)

    assert (status, answer) == (404, {"error": "this route does not pass the gate"})
    assert len(behind.comfyui.requests) == seen


@pytest.mark.parametrize(
    "target",
    ["/models/..", "/models/.", "/models/%2e%2e", "/models/..%2fhistory", "/history/..", "/history/..%2fuserdata"],
)
async def test_no_path_leads_to_another_route(behind: Guarded, target: str) -> None:
    seen = len(behind.comfyui.requests)
    reader, writer = await asyncio.open_connection("127.0.0.1", behind.gate.port)
    writer.write(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()

    assert b" 404 " in head.splitlines()[0] or body == b"{}"
    assert len(behind.comfyui.requests) == seen


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/queue", {"clear": True}),
        ("/queue", {"delete": ["foreign"]}),
        ("/queue", {"delete": ["foreign"], "clear": True}),
        ("/history", {"clear": True}),
        ("/history", {"delete": "mine"}),
        ("/interrupt", {}),
        ("/interrupt", {"prompt_id": "foreign"}),
        ("/interrupt", {"prompt_id": ["foreign"]}),
        ("/prompt", {"prompt": {}}),
        ("/prompt", {"prompt": {}, "prompt_id": "", "client_id": "x"}),
        ("/prompt", {"prompt": [], "prompt_id": "mine", "client_id": "x"}),
        ("/prompt", {"prompt": {}, "prompt_id": "../userdata", "client_id": "x"}),
        ("/prompt", {"prompt": {}, "prompt_id": "..", "client_id": "x"}),
        ("/prompt", {"prompt": {}, "prompt_id": "mine?max_items=9", "client_id": "x"}),
        ("/prompt", {"prompt": {}, "prompt_id": "%2e%2e", "client_id": "x"}),
        ("/prompt", {"prompt": {}, "prompt_id": "x" * 129, "client_id": "x"}),
        ("/prompt", []),
        ("/free", "everything"),
    ],
)
async def test_what_reaches_beyond_ones_own_prompts_does_not_pass(behind: Guarded, path: str, body: Any) -> None:
    seen = len(behind.comfyui.requests)

    status, answer = await asked(behind, "POST", path, json=body)

    assert status == 403
    assert answer["error"]
    assert len(behind.comfyui.requests) == seen


async def test_a_body_that_is_no_json_does_not_pass(behind: Guarded) -> None:
    status, _ = await asked(behind, "POST", "/interrupt", data=b"{")

    assert status == 403


@pytest.mark.parametrize(
    "fields",
    [{"type": "output"}, {"type": "input", "subfolder": "../.."}, {"type": "input", "overwrite": "true"}, {}],
)
async def test_an_upload_replaces_nothing_and_goes_nowhere_else(behind: Guarded, fields: dict[str, str]) -> None:
    form = aiohttp.FormData(fields)
    if fields:
        form.add_field("image", b"x", filename="in.png")
    else:
        form.add_field("image", "no file")

    status, _ = await asked(behind, "POST", "/upload/image", data=form)

    assert status in (400, 403)
    assert behind.comfyui.uploads == []


async def test_prompts_of_others_are_places_in_the_queue_and_nothing_more(behind: Guarded) -> None:
    behind.comfyui.faults.hold.add("canvas")
    await behind.near.post_prompt("foreign-1", graphs.still(1), "somebody")
    await behind.near.post_prompt("foreign-2", graphs.still(2), "somebody")
    await behind.client.post_prompt("mine", graphs.still(3), "me")

    status, answer = await asked(behind, "GET", "/queue")
    position = (await behind.client.queue()).position("mine")
    behind.comfyui.faults.hold.clear()

    assert status == 200
    assert position == 2
    assert "foreign" not in json.dumps(answer)
    assert "EmptyImage" not in json.dumps(answer)


async def test_what_others_made_is_neither_told_nor_shown(behind: Guarded) -> None:
    theirs, _ = await run_and_collect(behind.near, Prompt("foreign", graphs.still(1)))

    assert await behind.client.history("foreign") is None
    with pytest.raises(OutputMissing):
        async with behind.client.view(theirs.files[0]):
            pass


@pytest.mark.parametrize(
    "query",
    [
        {"filename": "../../secret.txt", "type": "output"},
        {"filename": "secret.txt", "subfolder": "..", "type": "input"},
        {"filename": "/etc/passwd"},
        {"filename": ""},
    ],
)
async def test_no_other_file_can_be_had(behind: Guarded, query: dict[str, str]) -> None:
    status, _ = await asked(behind, "GET", "/view", params=query)

    assert status == 404


async def test_events_of_others_do_not_pass(behind: Guarded) -> None:
    heard: list[str] = []

    async with behind.client.events("me") as socket:

        async def listen() -> None:
            while (frame := await socket.receive()) is not None:
                heard.append(str(frame))

        listening = asyncio.create_task(listen())
        await run_prompt(behind.near, Prompt("foreign", graphs.still(1)))  # posted under its own client
        behind.comfyui._sockets.send("executing", {"node": "canvas", "prompt_id": "foreign"})  # and to everybody
        behind.comfyui._sockets.send("manager-terminal-feedback", {"data": "pip install"})
        await run_prompt(behind.client, Prompt("mine", graphs.still(2)))
        listening.cancel()

    assert any('"status"' in frame for frame in heard)
    assert not [frame for frame in heard if "foreign" in frame or "pip" in frame]


async def test_an_own_prompt_can_be_cancelled_and_the_running_one_of_another_goes_on(behind: Guarded) -> None:
    behind.comfyui.faults.hold.add("canvas")
    await behind.near.post_prompt("foreign", graphs.still(1), "somebody")
    await behind.client.post_prompt("mine", graphs.still(2), "me")

    stopped = await cancel(behind.client, "mine")
    behind.comfyui.faults.hold.clear()
    await behind.comfyui.wait_for(lambda server: "foreign" in server.finished)

    assert stopped == "removed"
    assert isinstance(await behind.near.history("foreign"), History)


async def test_cancelling_a_prompt_that_never_came_or_is_cleaned_up_is_no_fault(behind: Guarded) -> None:
    await run_and_collect(behind.client, Prompt("over", graphs.still(1)))
    await behind.client.delete_history(["over"])

    assert await cancel(behind.client, "never") == "removed"
    assert await cancel(behind.client, "over") == "removed"


async def test_object_info_is_told_packed_and_only_when_it_changed(behind: Guarded) -> None:
    whole = await behind.client.object_info_since("")
    assert whole is not None
    async with behind.session.get(f"{behind.url}/object_info", auto_decompress=False) as answer:
        packed = await answer.read()

    assert await behind.client.object_info_since(whole.etag) is None
    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(packed) * 4 < len(json.dumps(whole.classes))
    assert json.loads(gzip.decompress(packed)) == whole.classes
    async with behind.session.get(f"{behind.url}/object_info", headers={"Accept-Encoding": "identity"}) as answer:
        body = await answer.read()
    assert answer.headers["ETag"] == whole.etag == f'"{hashlib.sha256(body).hexdigest()}"'


async def test_a_part_of_a_file_passes_with_the_digest_of_the_whole(behind: Guarded) -> None:
    history, outputs = await run_and_collect(behind.client, Prompt("mine", graphs.still(3)))

    async with behind.client.view(history.files[0], first_byte=5, last_byte=14, wants_digest=True) as reply:
        part = await reply.read()

    digest = base64.b64encode(hashlib.sha256(outputs[0].content).digest()).decode()
    assert (reply.status, part) == (206, outputs[0].content[5:15])
    assert reply.headers["Repr-Digest"] == f"sha-256=:{digest}:"


async def test_a_comfyui_that_is_away_is_told_as_such_and_found_again(behind: Guarded) -> None:
    await behind.comfyui.crash()

    with pytest.raises(UnexpectedAnswer) as raised:
        await behind.client.system_stats()
    await behind.comfyui.start()

    assert raised.value.status == 502
    assert raised.value.retry
    assert (await behind.client.system_stats()).comfyui_version


async def test_own_prompts_are_known_after_a_restart_of_the_gate(comfyui: SandboxComfyUI, tmp_path: Path) -> None:
    async with guarded(comfyui, tmp_path / "comfyui", tmp_path / "gate") as before:
        await run_prompt(before.client, Prompt("mine", graphs.still(1)))
    async with guarded(comfyui, tmp_path / "comfyui", tmp_path / "gate") as after:
        history = await after.client.history("mine")

    assert history is not None
    assert (tmp_path / "gate").stat().st_mode & 0o077 == 0
    assert b"EmptyImage" not in (tmp_path / "gate" / "ledger.sqlite").read_bytes()


async def test_a_picture_above_the_bound_does_not_pass(comfyui: SandboxComfyUI, tmp_path: Path) -> None:
    async with guarded(comfyui, tmp_path / "comfyui", tmp_path / "gate", upload_bytes=10_000) as behind:
        with pytest.raises(UploadRefused):
            await behind.client.upload_image(bytes(20_000), "large.png")

    assert comfyui.uploads == []


@pytest.mark.parametrize("url", ["", "ftp://x", "http://", f"http://{'a' * 56}.anon", "http://127.0.0.1:8188/path"])
async def test_the_gate_stands_only_before_an_address_of_a_server(url: str, tmp_path: Path) -> None:
    with pytest.raises(UpstreamInvalid, match=r"http://127\.0\.0\.1:8188"):
        async with running_gate(url, tmp_path / "gate"):
            pass


async def test_a_redirect_of_comfyui_is_not_followed(behind: Guarded) -> None:
    behind.comfyui.faults.answers = {"GET /system_stats": [302]}

    with pytest.raises(BackendError):
        await behind.client.system_stats()


async def _picture(behind: Guarded) -> bytes:
    _, outputs = await run_and_collect(behind.near, Prompt("picture", graphs.still(9)))
    return outputs[0].content
