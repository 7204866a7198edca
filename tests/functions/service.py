"""Functions over HTTP on a real port and a real database, in this process; jobs are ended by hand."""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import uvicorn

from db import artifacts, events, jobs, tokens
from db.artifacts import NewArtifact
from db.jobs import Job
from db.pool import Pool, open_pool
from runtime.functions import PATH
from runtime.functions.tokens import Issued, issue
from runtime.registry import LiveRegistry, load_registry
from runtime.scheduler.sync import sync_registry
from runtime.settings import Settings
from webhooks.app import create_app
from webhooks.functions import Functions

PLUGINS = "{flux: {enabled: true}, qwen: {enabled: true}, wan: {enabled: true}, sd3: {enabled: true}}"
REGISTRY = f"version: 1\naccess: {{default: deny}}\nbackends: []\nplugins: {PLUGINS}\n"
FLUX = {"arguments": {"prompt": "an astronaut"}}


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Of the problem; the body is one, and says so."""
        assert self.headers["Content-Type"] == "application/problem+json"
        problem = self.json
        assert problem["status"] == self.status
        assert problem["type"] == f"urn:veilrun:problem:{problem['code']}"
        code: str = problem["code"]
        return code


@dataclass
class Service:
    """One web process's /v1. placed: how often jobs were to be placed. is_ending: the server is about to stop."""

    url: str
    pool: Pool
    live: LiveRegistry
    session: aiohttp.ClientSession
    placed: int = 0
    is_ending: bool = False

    async def token(self, name: str = "shop", **options: Any) -> str:
        """The text of a new token."""
        return (await self.issued(name, **options)).text

    async def issued(self, name: str = "shop", **options: Any) -> Issued:
        new = issue(name, **options)
        async with self.pool.connection() as connection:
            await tokens.create(connection, new.row)
        return new

    async def call(self, method: str, path: str, token: str | None = None, **options: Any) -> Answer:
        headers = {**({"Authorization": f"Bearer {token}"} if token else {}), **options.pop("headers", {})}
        async with self.session.request(method, self.url + path, headers=headers, **options) as answer:
            return Answer(answer.status, answer.headers.copy(), await answer.read())

    async def get(self, path: str, token: str | None = None, **options: Any) -> Answer:
        return await self.call("GET", path, token, **options)

    async def post(self, path: str, token: str | None = None, **options: Any) -> Answer:
        return await self.call("POST", path, token, **options)

    async def ask(self, token: str, command: str = "flux", body: Any = FLUX, **options: Any) -> Answer:
        """Invoke a function."""
        return await self.post(f"/functions/{command}", token, json=body, **options)

    async def job(self, job_id: int) -> Job:
        async with self.pool.connection() as connection:
            job = await jobs.get(connection, job_id)
        assert job is not None
        return job

    async def finish(
        self, job_id: int, *contents: bytes, state: str = "collected", error: str | None = None
    ) -> list[int]:
        """End the job as its worker would. Numbers of what it made."""
        job = await self.job(job_id)
        async with self.pool.connection() as connection:
            made = [
                await artifacts.add(
                    connection,
                    NewArtifact(
                        "image",
                        "image/png",
                        job_id=job_id,
                        position=position,
                        size_bytes=len(content),
                        digest=hashlib.sha256(content).hexdigest(),
                        width=64,
                        height=48,
                        token_id=job.token_id,
                    ),
                    content,
                )
                for position, content in enumerate(contents)
            ]
            await connection.execute(
                """update jobs set state = %s, started_at = now(), ended_at = now(), error = %s, error_detail = %s
                   where id = %s""",
                (state, error, error and "It did not work.", job_id),
            )
            await events.record(connection, job_id, state, {"error": error} if error else {})
            if state == "collected":
                await jobs.mark_kept(connection, job_id)
        return made

    @contextlib.asynccontextmanager
    async def holding_up(self, table: str) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """While open, whoever reads the table waits. Call what is given to wait until somebody does."""
        async with self.pool.connection() as connection:
            await connection.execute(f"lock table {table} in access exclusive mode")  # type: ignore[arg-type]

            async def somebody_waits() -> bool:
                cursor = await connection.execute("select exists (select from pg_locks where not granted)")
                row = await cursor.fetchone()
                return bool(row and row[0])

            async def until_somebody_waits() -> None:
                await eventually(somebody_waits)

            yield until_somebody_waits

    async def lost_connections(self) -> int:
        """How many the pool had to give up, once none is in use."""

        async def none_is_in_use() -> bool:
            stats = self.pool.get_stats()
            return stats["pool_available"] == stats["pool_size"]

        await eventually(none_is_in_use)
        return self.pool.get_stats().get("returns_bad", 0)

    async def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        async with self.pool.connection() as connection:
            cursor = await connection.execute(statement, values)  # type: ignore[arg-type]
            return await cursor.fetchall() if cursor.description else []


@contextlib.asynccontextmanager
async def served(dsn: str, folder: Path, registry: str = REGISTRY, **settings: Any) -> AsyncIterator[Service]:
    """Serve with a registry file that says `registry`."""
    path = folder / "plugin_registry.yaml"
    path.write_text(registry, encoding="utf-8")
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(dsn, "functions-test"))
        loaded = load_registry(path)
        live = LiveRegistry(loaded, await sync_registry(pool, loaded))
        chosen = Settings(registry=path, **{"callbacks": "any", "sweep_seconds": 0.2, **settings})
        service = Service("", pool, live, await stack.enter_async_context(aiohttp.ClientSession()))
        functions = Functions(chosen, dsn, is_ending=lambda: service.is_ending, alive_seconds=0.3)

        async def place() -> None:
            service.placed += 1

        app = create_app(
            _nothing, {}, _measure, lambda: functions.serving(pool, live, place), {PATH: functions.application}
        )
        config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, access_log=False)
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup()  # without its main loop, whose ticks are all that would take time here
        service.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}{PATH}"
        try:
            yield service
        finally:
            service.is_ending = True
            await service.session.close()
            server.servers[0].close()
            await server.lifespan.shutdown()


async def _nothing(scope: Any, receive: Any, send: Any) -> None: ...


async def _measure() -> None: ...


async def eventually(is_so: Callable[[], Any], seconds: float = 10.0) -> Any:
    """What `is_so` gives, as soon as that is something: for what sends no event."""
    async with asyncio.timeout(seconds):
        while True:
            if found := await is_so():
                return found
            await asyncio.sleep(0.02)


def parsed_events(text: str) -> Sequence[Mapping[str, str]]:
    """The events of a stream: their fields by name. Comments are left out."""
    blocks = (block.splitlines() for block in text.split("\n\n"))
    found = [dict(line.split(": ", 1) for line in lines if not line.startswith(":")) for lines in blocks]
    return [one for one in found if "event" in one]
