"""A deployment to look at: a real web server with the console, a real database, and jobs in every state.

What users wrote holds MARKER wherever the tables keep such a thing.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp
import uvicorn
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from db import backends, breakers, console_access, deliveries, events, jobs, placement, views
from db.breakers import Failure
from db.jobs import NewJob
from db.pool import Pool, open_pool
from runtime.api import Command, GpuAffinity, Graph, Integer, Prompt, Seed, Size, Workflow
from runtime.console.keys import digest, new_secret
from runtime.console.link import make_link
from runtime.registry import BackendConfig, LiveRegistry, LoadedCommand, PluginState, Registry
from runtime.scheduler.sync import sync_registry
from webhooks.app import create_app
from webhooks.console import Console

MARKER = "marzipan-heliotrope"
PROMPT = f"a secret {MARKER} for her birthday"
DEADLINE = 20.0
GRAPH: Graph = {
    "positive": {"class_type": "CLIPTextEncode", "inputs": {"text": ""}},
    "latent": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64}},
    "sampler": {"class_type": "KSampler", "inputs": {"seed": 1, "steps": 4}},
    "save": {"class_type": "SaveImage", "inputs": {}},
}
BIND = {
    "prompt": "positive.text",
    "size": "latent.width,latent.height",
    "steps": "sampler.steps",
    "seed": "sampler.seed",
}


def command(name: str) -> Command:
    return Command(
        name=name,
        summary="A picture",
        example="a fox",
        parameters=(Prompt(), Size(), Integer("steps", default=4, low=1, high=40), Seed()),
        workflow=Workflow(graph=GRAPH, bind=BIND, output="save"),
        affinity=GpuAffinity(vram_gb=12, model_set=f"{name}-weights"),
    )


def registry(*names: str) -> Registry:
    return Registry(
        path=Path("plugin_registry.yaml"),
        backends=(
            BackendConfig("gpu-a", "http://127.0.0.1:9", device="RTX 5090", vram_gb=32),
            BackendConfig("gpu-b", "http://127.0.0.1:9", device="RTX 4090", vram_gb=24, labels=frozenset({"fast"})),
            BackendConfig("gpu-c", "http://127.0.0.1:9", device="RTX 4090", vram_gb=24),
        ),
        commands={name: LoadedCommand(command(name), name, "1.2.0") for name in names},
        plugins=(
            *(PluginState(name, True, "1.2.0", "veilrun", (name,)) for name in names),
            PluginState("acme-upscale", True, "0.3.1", "veilrun-acme-upscale", error="importing acme failed: no torch"),
            PluginState("sd3", False, "1.2.0", "veilrun"),
        ),
    )


@dataclass
class Stage:
    """What a test works with. `placed` counts how often waiting jobs were to be placed."""

    dsn: str
    url: str
    pool: Pool
    live: LiveRegistry
    server: uvicorn.Server
    placed: list[None] = field(default_factory=list)

    @property
    def console(self) -> str:
        return f"{self.url}/console"

    async def link(self) -> str:
        """A link as `veilrun console` prints one."""
        async with self.pool.connection() as connection:
            return await make_link(connection, self.url)

    async def session(self) -> str:
        """The cookie's value of somebody who is signed in."""
        link, session = new_secret(), new_secret()
        async with self.pool.connection() as connection:
            await console_access.add_link(connection, digest(link), 60)
            assert await console_access.sign_in(connection, digest(link), digest(session), 3600)
        return session

    async def job(self, command: str = "flux", state: str = "queued", **columns: Any) -> int:
        """A job that somebody asked for, in a state."""
        arguments = {"prompt": PROMPT, "size": [64, 64], "steps": 4, "seed": 5}
        async with self.pool.connection() as connection:
            job_id = await jobs.insert(
                connection,
                NewJob(self.live.command_ids[command], command, arguments, chat_id=11, user_id=None, max_attempts=3),
            )
            assert job_id is not None
            hidden = {"error_detail": f"got {MARKER!r}"} if state != "queued" else {}
            for name, value in {"state": state, **hidden, **columns}.items():
                await connection.execute(f"update jobs set {name} = %s where id = %s", (value, job_id))
        return job_id

    async def state(self, job_id: int) -> str:
        async with self.pool.connection() as connection:
            job = await jobs.get(connection, job_id)
        assert job is not None
        return job.state

    async def execute(self, statement: str, *values: Any) -> None:
        async with self.pool.connection() as connection:
            await connection.execute(statement, values)

    async def fill(self) -> dict[str, list[int]]:
        """Jobs in every state, on backends in every state. Their numbers, by state."""
        numbers: dict[str, list[int]] = {}
        await self.fleet()
        for place, name, fraction in ((0, "flux", 0.45), (1, "wan", 0.0)):
            number = await self.job(name)
            async with self.pool.connection() as connection:
                assert await placement.place(connection, number, "gpu-a", place, "gpu-a is free, model already loaded")
            numbers.setdefault("running" if place == 0 else "placed", []).append(number)
            if place == 0:
                reading = {"phase": "running", "fraction": fraction, "step": 2, "steps": 4, "title": MARKER}
                await self.execute(
                    """update jobs set state = 'running', attempt = 1, began_at = now() - interval '7 seconds',
                           expected_at = now() + interval '9 seconds', progress = %s where id = %s""",
                    Jsonb(reading),
                    number,
                )
                await self._tried(number, "gpu-a", None, None)
        for name, why in (
            ("flux", "waiting for gpu-a, which is busy and has its model loaded"),
            ("wan", "waiting for gpu-b, which takes no new jobs: new driver"),
            ("flux", "waiting for gpu-a, which is busy and has its model loaded"),
        ):
            number = await self.job(name, placement=why)
            await self.execute("update jobs set expected_at = now() + interval '95 seconds' where id = %s", number)
            numbers.setdefault("queued", []).append(number)
        later = await self.job("flux")
        await self.execute(
            "update jobs set run_at = now() + interval '2 hours', is_due = false where id = %s",
            later,
        )
        numbers["later"] = [later]
        for state, error in (
            ("delivered", None),
            ("delivered", None),
            ("failed", "NodeFailed"),
            ("cancelled", None),
            ("dead", "BackendUnreachable"),
            ("dead", "LoadTimeout"),
        ):
            number = await self.job("wan" if error == "LoadTimeout" else "flux", state, backend="gpu-b", error=error)
            await self.execute(
                """update jobs set attempt = case when state = 'dead' then 3 else 1 end,
                       began_at = now() - interval '40 seconds', ended_at = now() - interval '28 seconds'
                   where id = %s""",
                number,
            )
            await self._tried(number, "gpu-b", state, error)
            numbers.setdefault(state, []).append(number)
        async with self.pool.connection() as connection:
            await events.record(
                connection, numbers["dead"][0], "dead", {"error": "BackendUnreachable", "words": MARKER}
            )
            await deliveries.owe(connection, 11, "notice", {"text": PROMPT}, numbers["dead"][0], is_woken=False)
        return numbers

    async def fleet(self) -> None:
        """gpu-a ready and warm with a command in quarantine, gpu-b drained, gpu-c away."""
        async with self.pool.connection() as connection:
            await views.report(
                connection, "gpu-a", health="ready", comfyui_version="0.3.64", missing={}, round_trip_seconds=0.012
            )
            lacks = {"wan": "model file wan_2.1_vae.safetensors is missing"}
            await views.report(connection, "gpu-b", health="ready", missing=lacks, round_trip_seconds=0.9)
            await views.report(connection, "gpu-c", health="away", reason="connection refused")
            await backends.drain(connection, "gpu-b", "new driver")
            for _ in range(3):
                await breakers.failed(connection, Failure("gpu-a", "flux --dev", "LoadTimeout", True, ()))
            await connection.execute("update backends set warm_model_set = 'flux-schnell' where name = 'gpu-a'")
            devices = [{"name": "cuda:0 NVIDIA GeForce RTX 5090", "vram_gb": 31.4}]
            await backends.tell_devices(connection, "gpu-a", devices, None)

    async def _tried(self, number: int, backend: str, outcome: str | None, error: str | None) -> None:
        await self.execute(
            """insert into attempts (job_id, number, fence, command_id, backend, worker, started_at, ended_at, outcome,
                                     error, was_warm, load_seconds, run_seconds)
               select id, 1, 1, command_id, %s, 'host-1:71:ab', now() - interval '41 seconds',
                   case when %s::text is null then null else now() - interval '28 seconds' end, %s, %s, false, 9.1, 2.9
               from jobs where id = %s""",
            backend,
            outcome,
            outcome,
            error,
            number,
        )


@contextlib.asynccontextmanager
async def staged(dsn: str, *, public_url: str | None = None) -> AsyncIterator[Stage]:
    """Serve the console on a free port until the end of the block."""
    async with open_pool(dsn, "console-tests", most=8) as pool:
        found = registry("flux", "wan")
        live = LiveRegistry(found, await sync_registry(pool, found))
        placed: list[None] = []

        async def place() -> None:
            placed.append(None)

        def is_ending() -> bool:
            return server.should_exit

        console = Console(public_url, is_ending=is_ending)
        app = create_app(
            _no_webhook, {}, _nothing, lambda: console.serving(pool, live, place), {"/console": console.application}
        )
        server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", 0, access_log=False, log_config=None))
        server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]  # the test's process has its own
        serving = asyncio.create_task(server.serve())
        try:
            async with asyncio.timeout(DEADLINE):
                while not server.started:
                    assert not serving.done(), "the server did not start"
                    await asyncio.sleep(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            yield Stage(dsn, f"http://127.0.0.1:{port}", pool, live, server, placed)
        finally:
            server.should_exit = True
            await asyncio.wait_for(serving, DEADLINE)


async def _no_webhook(scope: object, receive: object, send: object) -> None:
    raise AssertionError("nothing is sent to the webhook here")


async def _nothing() -> None:
    return None


class Operator:
    """A browser without a screen: cookies, forms as pages have them, and the headers that browsers send."""

    def __init__(self, stage: Stage, session: aiohttp.ClientSession) -> None:
        self._stage = stage
        self._session = session
        self.page = ""
        self.form_key = ""

    async def get(self, path: str, **headers: str) -> aiohttp.ClientResponse:
        response = await self._session.get(self._address(path), headers=headers, allow_redirects=False)
        self._read(await response.text())
        return response

    async def post(self, path: str, *fields: tuple[str, str], **headers: str) -> aiohttp.ClientResponse:
        """Press a button of the page that was read last; follows to the page after it."""
        response = await self.send(path, (("key", self.form_key), *fields), **headers)
        if response.status == 303:
            where = aiohttp.client.URL(str(response.url)).join(aiohttp.client.URL(response.headers["Location"]))
            await self.get(str(where))
        return response

    async def send(self, path: str, fields: tuple[tuple[str, str], ...], **headers: str) -> aiohttp.ClientResponse:
        """A form, as it is."""
        origin = {"Origin": self._stage.url, "Sec-Fetch-Site": "same-origin"}
        headers = {**origin, "Content-Type": "application/x-www-form-urlencoded", **headers}
        kept = {name.replace("_", "-"): value for name, value in headers.items() if value}
        response = await self._session.post(
            self._address(path), data=urlencode(fields), headers=kept, allow_redirects=False
        )
        self._read(await response.text())
        return response

    def _read(self, page: str) -> None:
        self.page = page
        if found := re.search(r'name="key" value="([0-9a-f]{64})"', page):
            self.form_key = found[1]

    def _address(self, path: str) -> str:
        return path if urlsplit(path).scheme else f"{self._stage.console}{path}"


@contextlib.asynccontextmanager
async def operator(stage: Stage, *, is_signed_in: bool = True) -> AsyncIterator[Operator]:
    jar = aiohttp.CookieJar(unsafe=True)  # cookies of an address, too
    async with aiohttp.ClientSession(cookie_jar=jar, timeout=aiohttp.ClientTimeout(DEADLINE)) as session:
        somebody = Operator(stage, session)
        if is_signed_in:
            answer = await somebody.send(await stage.link(), ())
            assert answer.status == 303
            await somebody.get("/")
        yield somebody


async def count(connection: AsyncConnection, table: str) -> int:
    cursor = await connection.execute(f"select count(*) from {table}")
    ((number,),) = await cursor.fetchall()
    return int(number)
