"""Functions over HTTP through every part: processes as an operator runs them, a GPU in a sandbox."""

import asyncio
import io
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
import pytest_asyncio
from PIL import Image
from psycopg import AsyncConnection
from standardwebhooks import Webhook

from db import tokens
from runtime.functions.tokens import Issued, issue
from tests.conftest import database_of
from tests.e2e.deployment import Deployment, deployed
from tests.functions.conftest import picture
from tests.functions.service import parsed_events
from tests.functions.test_callbacks import receiving
from webhooks.bounded_http import HEAD_BYTES

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

SEED = 20_261_123
GUIDE = (Path(__file__).parents[2] / "docs" / "http.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"<!-- run -->\n```sh\n(.*?)```", GUIDE, re.DOTALL)
CONFIG = Path(__file__).with_name("schemathesis.toml")


@dataclass
class Caller:
    """Somebody with a token."""

    deployment: Deployment
    session: aiohttp.ClientSession
    issued: Issued
    dsn: str

    @property
    def url(self) -> str:
        return f"{self.deployment.web_url}/v1"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.issued.text}"}

    async def get(self, path: str) -> Any:
        async with self.session.get(self.url + path, headers=self.headers) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def ask(self, command: str, body: Any, **params: str) -> Any:
        url = f"{self.url}/functions/{command}"
        async with self.session.post(url, json=body, params=params, headers=self.headers) as answer:
            assert answer.status in (200, 202), await answer.text()
            return await answer.json()

    async def content(self, artifact: Any) -> bytes:
        async with self.session.get(self.deployment.web_url + artifact["url"], headers=self.headers) as answer:
            assert answer.status == 200
            return await answer.read()


@pytest.fixture(scope="module")
def dsn(database_server: str) -> Iterator[str]:
    with database_of(database_server) as dsn:
        yield dsn


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployment(dsn: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deployment]:
    folder = tmp_path_factory.mktemp("deployment")
    async with deployed(dsn, folder, VEILRUN_CALLBACKS="any", VEILRUN_SWEEP_SECONDS="0.3") as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def caller(dsn: str, deployment: Deployment) -> AsyncIterator[Caller]:
    issued = issue("tests")
    async with await AsyncConnection.connect(dsn) as connection:
        await tokens.create(connection, issued.row)
    async with aiohttp.ClientSession() as session:
        yield Caller(deployment, session, issued, dsn)


async def test_a_picture_is_asked_for_and_comes_and_is_edited(caller: Caller) -> None:
    body = {"arguments": {"prompt": "an astronaut", "size": [512, 256], "seed": 7}}

    made = await caller.ask("flux", body, wait="30")
    sources = [{"artifact_id": made["artifacts"][0]["id"]}]
    edited = await caller.ask("qwen", {"arguments": {"prompt": "a t-shirt"}, "images": sources}, wait="30")

    assert (made["state"], edited["state"]) == ("succeeded", "succeeded")
    content = await caller.content(made["artifacts"][0])
    assert Image.open(io.BytesIO(content)).size == (512, 256)
    assert b"astronaut" not in content
    assert await caller.content(edited["artifacts"][0]) != content
    assert caller.deployment.comfyui.uploads
    assert caller.deployment.telegram.user("Alice").private_chat.messages == []


async def test_a_job_is_followed_while_it_runs_and_cancelled(caller: Caller) -> None:
    comfyui = caller.deployment.comfyui
    comfyui.faults.hold.add("sampler")
    try:
        job = await caller.ask("flux", {"arguments": {"prompt": "an astronaut", "size": [256, 256]}})
        await comfyui.wait_for(lambda server: "sampler" in server.held, 20)
        async with caller.session.get(f"{caller.url}/jobs/{job['id']}/events", headers=caller.headers) as events:
            read = b""
            async with asyncio.timeout(20):
                while b"event: progress" not in read:
                    read += await events.content.readany()
            async with caller.session.post(f"{caller.url}/jobs/{job['id']}/cancel", headers=caller.headers) as answer:
                assert answer.status == 202
            async with asyncio.timeout(20):
                read += await events.read()
    finally:
        comfyui.faults.hold.clear()

    found = parsed_events(read.decode())
    states = [json.loads(one["data"])["state"] for one in found if one["event"] == "state"]
    assert states == ["queued", "starting", "running", "cancelled"]
    assert json.loads(found[-1]["data"])["state"] == "cancelled"


async def test_a_webhook_survives_kill_minus_nine_and_comes_at_least_once(caller: Caller) -> None:
    deployment = caller.deployment
    async with receiving() as receiver:
        receiver.answers = [500, 204]
        body = {"arguments": {"prompt": "an astronaut", "size": [256, 256]}, "callback_url": receiver.url}
        await caller.ask("flux", body, wait="30")
        await receiver.had(1)
        await deployment.kill("web")
        async with await AsyncConnection.connect(caller.dsn) as connection:
            await connection.execute("update callbacks set run_at = now()")  # as if the pause were over
        await deployment.start("web")
        await receiver.had(2)

    for headers, content in receiver.got:
        assert Webhook(caller.issued.signing_secret).verify(content, headers)["type"] == "job.succeeded"
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1


async def test_the_examples_of_the_guide_work_as_they_are_written(caller: Caller, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(picture())
    environment = {**os.environ, "VEILRUN": caller.url, "TOKEN": caller.issued.text}
    for example in EXAMPLES:
        process = await asyncio.create_subprocess_exec(
            *("bash", "-ec", example), cwd=tmp_path, env=environment, stdout=asyncio.subprocess.PIPE
        )
        said, _ = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, (example, said.decode())
        if said.startswith(b"{"):
            job = json.loads(said)
            environment["JOB"] = str(job["id"])
            if job["artifacts"]:
                environment["ARTIFACT"] = str(job["artifacts"][0]["id"])

    assert len(EXAMPLES) == 7
    assert Image.open(tmp_path / "out.png").format == "PNG"


async def test_a_head_without_end_is_refused(caller: Caller) -> None:
    host, port = urlsplit(caller.url).netloc.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /v1/jobs HTTP/1.1\r\nX: " + b"a" * 2 * HEAD_BYTES)
    async with asyncio.timeout(20):
        assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
    writer.close()


async def test_no_server_error_whatever_is_sent(caller: Caller) -> None:
    """SCHEMATHESIS_SECONDS: for how long; the seed is fixed. No webhook leaves this machine for the addresses it makes
    up, and nobody renders what it asks for."""
    deployment = caller.deployment
    await deployment.kill("worker-1")
    await deployment.kill("web")
    deployment.environment["VEILRUN_CALLBACKS"] = "off"
    await deployment.start("web")
    await deployment.ready()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG)),
        *("run", f"{caller.url}/openapi.json", "--seed", str(SEED)),
        *("--max-time", os.environ.get("SCHEMATHESIS_SECONDS", "6")),
        *("--header", f"Authorization: {caller.headers['Authorization']}"),
        cwd=deployment.environment["VEILRUN_STATE_DIR"],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()

    assert process.returncode == 0, said.decode()
