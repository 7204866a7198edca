"""One job through the whole stack, traced and logged at the finest: all names the job, nothing tells its prompt."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from runtime import tracing
from runtime.logs import configure_logs
from runtime.sandbox.comfyui import SandboxComfyUI
from runtime.trace_export import Exporter
from tests.conftest import Database
from tests.e2e.deployment import Deployment, deployed, picture_after

pytestmark = pytest.mark.slow

MARKER = "xyzzyplugh"


class Receiver:
    """An OTLP collector: keeps what it is sent."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.changed = asyncio.Event()
        self.status = 200
        self.app = web.Application()
        self.app.router.add_post("/v1/traces", self._take)

    async def _take(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.read())
        self.changed.set()
        return web.Response(status=self.status, body=b"", content_type="application/x-protobuf")

    @property
    def spans(self) -> list[tuple[str, Span]]:
        """(role of the process, span) of everything that came."""
        found = []
        for body in self.bodies:
            for of_process in ExportTraceServiceRequest.FromString(body).resource_spans:
                about = {one.key: one.value.string_value for one in of_process.resource.attributes}
                found += [(about["veilrun.role"], span) for scope in of_process.scope_spans for span in scope.spans]
        return found

    async def until(self, *names: str) -> None:
        """Each process sends its own when it has some, or a few seconds have passed."""
        async with asyncio.timeout(20):
            while not {span.name for _, span in self.spans}.issuperset(names):
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    collector = Receiver()
    async with TestServer(collector.app, host="127.0.0.1") as server:
        collector.url = str(server.make_url("/")).rstrip("/")  # type: ignore[attr-defined]
        yield collector


async def scraped(deployment: Deployment, wanted: str) -> str:
    """What Prometheus gets, once it holds what is wanted: workers tell what they count every few seconds."""
    async with asyncio.timeout(20), ClientSession() as session:
        while True:
            async with session.get(f"{deployment.web_url}/metrics") as answer:
                text = await answer.text()
            if wanted in text:
                return text
            await asyncio.sleep(0.2)


async def test_traces_and_logs_name_the_job_and_tell_no_prompt(
    database: Database, tmp_path: Path, receiver: Receiver, capfd: pytest.CaptureFixture[str]
) -> None:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "VEILRUN_LOG_LEVEL": "debug"}  # type: ignore[attr-defined]
    async with (
        SandboxComfyUI(pace=0) as comfyui,
        deployed(database.dsn, tmp_path, comfyui=comfyui, **environment) as deployment,
    ):
        chat = deployment.chat
        await picture_after(chat, chat.send(f"/f a {MARKER} lighthouse --size 256x256"))
        comfyui.faults.fail["sampler"] = f"no {MARKER}"
        chat.send(f"/f another {MARKER} --size 256x256")
        await chat.wait_for(lambda message: message.from_bot and "failed" in (message.text or ""))
        await receiver.until("queue", "attempt", "prepare", "render", "deliver")
        async with await database.connect() as connection:
            rows = await connection.execute("select id, traceparent from jobs order by id")
            (first, traceparent), (second, _) = await rows.fetchall()
        metrics = await scraped(deployment, 'veilrun_deliveries_total{kind="result",outcome="sent"}')
    logged = capfd.readouterr().err

    trace = traceparent.split("-")[1]
    of_first = [(role, span) for role, span in receiver.spans if span.trace_id.hex() == trace]
    names = {span.name for _, span in of_first}
    assert names >= {"queue", "attempt", "prepare", "render", "deliver"}
    assert {role for role, _ in of_first} == {"web", "worker"}
    by_name = {span.name: span for _, span in of_first}
    assert by_name["render"].parent_span_id == by_name["attempt"].span_id
    assert by_name["attempt"].parent_span_id == by_name["queue"].span_id
    attempt = {one.key: one.value for one in by_name["attempt"].attributes}
    assert attempt["veilrun.job"].int_value == first
    assert attempt["veilrun.backend"].string_value == "gpu-1"
    failed = [span for _, span in receiver.spans if any(one.key == "error.type" for one in span.attributes)]
    assert {one.value.string_value for span in failed for one in span.attributes if one.key == "error.type"} >= {
        "NodeFailed"
    }
    assert not any(MARKER.encode() in body for body in receiver.bodies)
    assert not any(b"127.0.0.1" in body for body in receiver.bodies)

    lines = [json.loads(line) for line in logged.splitlines() if line.startswith("{")]
    of_job = [line for line in lines if line.get("job") == first]
    assert {line["event"] for line in of_job} >= {"job started", "job collected"}
    assert {line.get("command") for line in of_job if line["event"] == "job collected"} == {"flux"}
    assert any(line.get("job") == second and line["event"] == "job failed" for line in lines)
    assert MARKER not in logged
    assert 'veilrun_telegram_calls_total{method="sendPhoto",outcome="ok"} 1.0' in metrics
    assert MARKER not in metrics
    assert not re.search(r"bot\d+:", logged)


async def test_a_collector_that_is_away_holds_up_nothing(database: Database, tmp_path: Path) -> None:
    async with deployed(database.dsn, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9") as deployment:
        chat = deployment.chat
        picture = await picture_after(chat, chat.send("/f a lighthouse --size 256x256"))

    assert picture.photo is not None


async def test_a_collector_that_comes_and_goes_is_told_once_each_time(
    receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs("info")
    there = f"{receiver.url}/v1/traces"  # type: ignore[attr-defined]
    exporter = Exporter(endpoint=there, timeout=1)
    for is_there in (True, False, False, True, True, False):
        receiver.status = 200 if is_there else 401
        await asyncio.to_thread(exporter.export, [])
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    assert [(line["level"], line["event"].partition(":")[0]) for line in lines] == [
        ("warning", "the collector takes no traces"),
        ("info", "traces are taken again"),
        ("warning", "the collector takes no traces"),
    ]


def test_without_an_endpoint_nothing_is_traced_and_nothing_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in tracing.ENDPOINTS:
        monkeypatch.delenv(name, raising=False)

    tracing.start_tracing("web")()

    with tracing.span("queue", {"job": 1}) as span:
        assert span.traceparent is None
        tracing.mark(ValueError())
