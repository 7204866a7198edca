"""A place to run jobs in: a real database, sandbox backends, and jobs queued as dispatch queues them."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dramatiq
from dramatiq.brokers.stub import StubBroker

from db import jobs, leases, views
from db.deployment import deployment_id
from db.events import CHANNEL
from db.jobs import Job, NewJob
from db.leases import Wakeup
from db.pool import Pool, listen, open_pool
from runtime.registry import LiveRegistry, Registry, load_registry
from runtime.sandbox.comfyui import SandboxComfyUI
from runtime.scheduler.fleet import Fleet
from runtime.scheduler.health import HealthWatch, check_backend
from runtime.scheduler.schedule import place_jobs
from runtime.scheduler.size_class import size_class
from runtime.scheduler.sync import sync_registry
from runtime.transport import NOWHERE
from runtime.worker.broker import DELIVER, EXECUTE, Waker, make_broker
from runtime.worker.execute import execute
from runtime.worker.keeper import LeaseKeeper
from runtime.worker.workplace import Workplace

DEADLINE = 40.0
TOKEN = "7000000001:token-of-the-bot-in-worker-tests"
NOBODY = "http://127.0.0.1:9"  # the discard port: nothing listens

REGISTRY = """\
version: 1
access: {{default: public}}
backends:
{backends}
plugins:
{plugins}
"""


def write_registry(
    folder: Path, backends: Sequence[SandboxComfyUI], *, traces: str = "temp", **limits: Mapping[str, Any]
) -> Path:
    """A registry file with all four plugins; backends are gpu-1, gpu-2, …; limits by plugin."""
    listed = "\n".join(
        f'  - {{name: gpu-{number}, url: "{backend.url}", device: sandbox, vram_gb: 32, traces: {traces}}}'
        for number, backend in enumerate(backends, 1)
    )
    plugins = "\n".join(
        f"  {name}: {{enabled: true, limits: {dict(limits.get(name, {}))}}}" for name in ("flux", "qwen", "wan", "sd3")
    )
    path = folder / "plugin_registry.yaml"
    path.write_text(REGISTRY.format(backends=listed or "  []", plugins=plugins), encoding="utf-8")
    return path


@dataclass
class Files:
    """Stands where the gateway does: files of Telegram by id. What is not there raises what the gateway raises."""

    contents: dict[str, bytes] = field(default_factory=dict)
    error: Exception | None = None

    async def download(self, file_id: str) -> bytes:
        if self.error is not None:
            raise self.error
        return self.contents[file_id]


@dataclass
class Yard:
    """What a test works with. `broker` keeps the wake-ups that this process sends; `delivered` what it would send."""

    dsn: str
    pool: Pool
    path: Path
    registry: Registry
    broker: StubBroker
    workplace: Workplace
    files: Files
    ids: Mapping[str, int]
    delivered: list[int]
    processes: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def queue(
        self,
        command: str = "flux",
        *,
        inputs: Sequence[int] = (),
        chat_id: int | None = None,
        user_id: int | None = None,
        max_attempts: int = 3,
        **arguments: Any,
    ) -> int:
        """Queue a job as dispatch does."""
        declared = self.registry.commands[command].command
        values = {p.name: p.initial() for p in declared.parameters if p.initial() is not None}
        small = {"size": [64, 64]} if command != "qwen" else {}
        chosen = {**values, "prompt": "an astronaut", **small, **arguments}
        job = NewJob(
            command_id=self.ids[command],
            command=command,
            arguments=chosen,
            model_set=declared.affinity.model_set,
            size_class="" if declared.image_input else size_class(declared, chosen),
            max_attempts=max_attempts,
            chat_id=chat_id,
            user_id=user_id,
        )
        async with self.pool.connection() as connection:
            job_id = await jobs.insert(connection, job, inputs)
        assert job_id is not None
        return job_id

    async def place(self) -> list[Wakeup]:
        return await place_jobs(self.pool, self.registry)

    async def run(self, job_id: int, workplace: Workplace | None = None) -> Job:
        """Place the job and execute it in this process, once."""
        await self.place()
        placed = await self.job(job_id)
        assert placed.state == "placed", placed.placement
        await execute(workplace or self.workplace, job_id, placed.fence)
        await self.workplace.settled()
        return await self.job(job_id)

    async def job(self, job_id: int) -> Job:
        async with self.pool.connection() as connection:
            found = await jobs.get(connection, job_id)
        assert found is not None
        return found

    async def until(self, job_id: int, is_so: Callable[[Job], bool] | str, seconds: float = DEADLINE) -> Job:
        """The job as soon as it is in that state, or `is_so`."""
        test = is_so if callable(is_so) else (lambda job: job.state == is_so)
        async with asyncio.timeout(seconds):
            async for _ in listen(self.dsn, CHANNEL):
                job = await self.job(job_id)
                if test(job):
                    return job
        raise AssertionError("unreachable")

    async def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        async with self.pool.connection() as connection:
            return await (await connection.execute(query, values)).fetchall()

    async def execute_sql(self, statement: str, *values: object) -> None:
        async with self.pool.connection() as connection:
            await connection.execute(statement, values)

    def sent(self, queue: str) -> list[dict[str, int]]:
        """What was sent to `execute` or `deliver` from this process."""
        return [dramatiq.Message.decode(message).kwargs for message in self.broker.queues[queue].queue]

    async def check(self) -> None:
        """Check every backend once, and store what was found."""
        for backend in self.workplace.fleet:
            health = await check_backend(backend, self.registry.commands)
            async with self.pool.connection() as connection:
                await views.report(
                    connection,
                    backend.name,
                    health=health.state,
                    reason=health.reason,
                    comfyui_version=health.comfyui_version,
                    missing=health.missing,
                )

    async def place_and_wake(self, times: int = 1) -> None:
        """As the web process does after a commit, through the real broker; the message is sent so many times."""
        wakeups = await self.place()
        broker = make_broker("postgresql", self.dsn)
        waker = Waker(broker)
        for _ in range(times):
            await waker.wake_execute(wakeups)
        waker.close()
        broker.close()

    async def start_worker(self, **environment: str) -> asyncio.subprocess.Process:
        """A real worker process on this database, with short leases: another machine, whose view of the backends counts
        from now on in place of what `check` found."""
        await self.execute_sql("delete from backend_views where machine = %s", views.HERE)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "runtime.worker",
            env={
                **os.environ,
                "DATABASE_URL": self.dsn,
                "TELEGRAM_BOT_TOKEN": TOKEN,
                "TELEGRAM_API_URL": NOBODY,
                "VEILRUN_REGISTRY": str(self.path),
                "VEILRUN_STATE_DIR": str(self.path.parent),
                "VEILRUN_LEASE_SECONDS": "1.5",
                "VEILRUN_SWEEP_SECONDS": "0.3",
                "VEILRUN_WORKER_THREADS": "8",
                "VEILRUN_LOG_LEVEL": "warning",
                **environment,
            },
        )
        self.processes.append(process)
        return process


@asynccontextmanager
async def open_yard(dsn: str, path: Path, anon_dir: Path = NOWHERE) -> AsyncIterator[Yard]:
    registry = load_registry(path)
    broker = StubBroker(middleware=[])
    for queue in (EXECUTE, DELIVER):
        broker.declare_queue(queue)
    waker = Waker(broker)
    files = Files()
    async with AsyncExitStack() as stack:
        stack.callback(waker.close)
        pool = await stack.enter_async_context(open_pool(dsn, "test"))
        fleet = await stack.enter_async_context(Fleet(registry.backends, anon_dir))
        keeper = await stack.enter_async_context(LeaseKeeper(dsn, 3.0))
        ids = await sync_registry(pool, registry)
        live = LiveRegistry(registry, ids)

        async def nothing() -> None: ...

        health = HealthWatch(fleet, live, pool, on_ready=nothing)
        delivered: list[int] = []

        async def deliver(delivery_id: int) -> None:
            delivered.append(delivery_id)

        async with pool.connection() as connection:
            deployment = await deployment_id(connection)
        workplace = Workplace(pool, live, fleet, keeper, health, files, waker, deliver, deployment, lease_seconds=3.0)
        yard = Yard(dsn, pool, path, registry, broker, workplace, files, ids, delivered)
        await yard.check()
        try:
            yield yard
        finally:
            await workplace.settled()
            for process in yard.processes:
                if process.returncode is None:
                    with suppress(ProcessLookupError):
                        process.send_signal(signal.SIGCONT)
                        process.kill()
                    await process.wait()


async def eventually(is_so: Callable[[], Awaitable[bool]], seconds: float = 10.0) -> None:
    """Return as soon as `is_so`: for what sends no event."""
    async with asyncio.timeout(seconds):
        while True:
            if await is_so():
                return
            await asyncio.sleep(0.02)


async def expire(pool: Pool) -> None:
    """Let every lease run out, as if its worker had been silent for long."""
    async with pool.connection() as connection:
        await connection.execute("update jobs set lease_until = now() - interval '1 second' where state = 'running'")
        await leases.reap(connection)
