"""How much, how many and how long."""

import asyncio
import json
import time
from pathlib import Path

import aiohttp
import pytest

from runtime.comfyui.client import SLOWEST_UPLOAD
from runtime.gate import requests
from runtime.sandbox.comfyui import SandboxComfyUI
from tests.comfyui import graphs
from tests.gate.conftest import Guarded, guarded


@pytest.mark.parametrize("path", ["/prompt", "/queue", "/history", "/interrupt", "/free"])
async def test_a_body_above_the_bound_does_not_pass(behind: Guarded, path: str) -> None:
    seen = len(behind.comfyui.requests)
    body = json.dumps({"prompt_id": "mine", "client_id": "me", "prompt": {"x": "y" * 17 * 2**20}})

    async with behind.session.post(behind.url + path, data=body) as answer:
        assert answer.status == 413

    assert len(behind.comfyui.requests) == seen


@pytest.mark.parametrize(("path", "headers"), [("/view?filename=" + "x" * 9000, {}), ("/prompt", {"X": "y" * 9000})])
async def test_a_head_above_the_bound_is_refused(behind: Guarded, path: str, headers: dict[str, str]) -> None:
    async with behind.session.get(behind.url + path, headers=headers) as answer:
        assert answer.status == 400
        assert answer.headers["Veilrun-Gate"] == "1"
        assert answer.headers["Server"] == "veilrun"
        assert await answer.json() == {"error": "this is no request that the gate understands"}


async def test_nothing_of_a_request_that_fails_is_logged(
    behind: Guarded, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    async with behind.session.get(f"{behind.url}/prompt", headers={"X": "a-secret" * 1200}) as answer:
        assert "a-secret" not in await answer.text()

    assert "a-secret" not in caplog.text
    told = capsys.readouterr()
    assert "a-secret" not in told.out + told.err


async def test_a_fault_of_the_gate_is_an_answer_of_the_gate(
    behind: Guarded, capsys: pytest.CaptureFixture[str]
) -> None:
    behind.gate.cleaner._ledger.close()

    async with behind.session.get(f"{behind.url}/history/mine") as answer:
        told = answer.status, await answer.json()

    assert told == (500, {"error": "the gate has a fault of its own; its log says where"})
    assert answer.headers["Veilrun-Gate"] == "1"
    assert "ProgrammingError" in capsys.readouterr().out


async def test_a_nest_of_brackets_is_refused(behind: Guarded) -> None:
    async with behind.session.post(f"{behind.url}/free", data="[" * 200_000) as answer:
        assert answer.status == 403


async def test_a_body_that_does_not_arrive_is_given_up(behind: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "BODY_SECONDS", -requests.SMALL_BYTES / SLOWEST_UPLOAD + 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", behind.gate.port)
    writer.write(b"POST /free HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{")

    async with asyncio.timeout(5):
        head = await reader.readuntil(b"\r\n\r\n")
    writer.close()

    assert b" 408 " in head.splitlines()[0]


async def test_connections_above_the_bound_are_told_and_closed(comfyui: SandboxComfyUI, tmp_path: Path) -> None:
    async with guarded(comfyui, tmp_path / "comfyui", tmp_path / "gate", most_connections=2) as behind:
        held = [await asyncio.open_connection("127.0.0.1", behind.gate.port) for _ in range(2)]
        for reader, writer in held:
            writer.write(b"GET /prompt HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            await reader.readuntil(b"}}")
        async with behind.session.get(f"{behind.url}/prompt") as answer:
            refused = answer.status, answer.headers["Veilrun-Gate"]
        for _, writer in held:
            writer.close()

        assert refused == (503, "1")
        async with asyncio.timeout(5):
            while (await behind.session.get(f"{behind.url}/prompt")).status == 503:
                pass


async def test_a_gate_ends_at_once_though_sockets_are_open(comfyui: SandboxComfyUI, tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as session:
        async with guarded(comfyui, tmp_path / "comfyui", tmp_path / "gate") as behind:
            socket = await session.ws_connect(f"{behind.url}/ws?clientId=me")
            await socket.receive()
            started = time.monotonic()

        assert time.monotonic() - started < 1
        assert (await socket.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        await comfyui.wait_for(lambda server: server.clients == [])


async def test_a_large_picture_passes_whole(behind: Guarded) -> None:
    content = bytes(range(256)) * (20 * 4096)  # 20 MiB

    uploaded = await behind.client.upload_image(content, "large.png")

    assert (behind.root / "input" / uploaded.reference).read_bytes() == content


@pytest.mark.parametrize("name", ["../in.png", "a/b.png", ".hidden", 'a"b.png', "a\\b.png", "", "x" * 300])
async def test_a_name_that_is_a_path_does_not_pass(behind: Guarded, name: str) -> None:
    form = aiohttp.FormData({"type": "input"}, quote_fields=False)
    form.add_field("image", b"x", filename=name)

    async with behind.session.post(f"{behind.url}/upload/image", data=form) as answer:
        assert answer.status in (400, 403)

    assert behind.comfyui.uploads == []


async def test_the_head_of_a_file_can_be_had_alone(behind: Guarded) -> None:
    await behind.client.post_prompt("mine", graphs.still(1), "me")
    await behind.comfyui.wait_for(lambda server: "mine" in server.finished)
    history = await behind.client.history("mine")
    assert history is not None
    query = {"filename": history.files[0].filename, "type": "output"}

    async with behind.session.head(f"{behind.url}/view", params=query) as answer:
        size = int(answer.headers["Content-Length"])
        assert answer.status == 200

    assert size == (behind.root / "output" / history.files[0].filename).stat().st_size


@pytest.mark.parametrize("path", ["/queue", "/object_info", "/ws", "/prompt", "/history/mine"])
async def test_nothing_but_a_file_has_a_head_of_its_own(behind: Guarded, path: str) -> None:
    async with behind.session.head(behind.url + path) as answer:
        assert answer.status == 404
