"""Processes of one machine: a child that dies takes nothing of others with it, and none outlives its supervisor."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from db.events import CHANNEL
from db.pool import listen
from runtime.anon.address import HiddenAddress
from runtime.anon.binary import SDK_PLACE
from runtime.sandbox.comfyui import SandboxComfyUI
from tests.conftest import Database
from tests.scale.servers import free_port
from tests.worker.yard import NOBODY, REGISTRY, TOKEN, Yard, eventually, open_yard, write_registry

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

ANON = Path.home() / SDK_PLACE
SERVICE = HiddenAddress.of(bytes(range(32)), ".anon")


@contextlib.asynccontextmanager
async def veilrun(folder: Path, *arguments: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A command of the command line, running; whatever is left of it is killed in the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "runtime.cli",
        *arguments,
        env={
            **os.environ,
            "TELEGRAM_BOT_TOKEN": TOKEN,
            "TELEGRAM_API_URL": NOBODY,
            "VEILRUN_STATE_DIR": str(folder),
            "VEILRUN_REGISTRY": str(folder / "plugin_registry.yaml"),
            "VEILRUN_LOG_LEVEL": "warning",
            **environment,
        },
        start_new_session=True,
    )
    family = {process.pid: psutil.Process(process.pid)}
    try:
        yield process
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            family |= {child.pid: child for child in family[process.pid].children(recursive=True)}
        for member in family.values():
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        await process.wait()


@pytest.fixture
async def busy(database: Database, tmp_path: Path) -> AsyncIterator[tuple[Yard, list[SandboxComfyUI]]]:
    """Three backends that hold what they run."""
    async with contextlib.AsyncExitStack() as stack:
        backends = [await stack.enter_async_context(SandboxComfyUI(pace=0)) for _ in range(3)]
        for backend in backends:
            backend.faults.hold = {"sampler"}
        yard = await stack.enter_async_context(open_yard(database.dsn, write_registry(tmp_path, backends)))
        await yard.execute_sql("update backends set warm_model_set = 'flux-schnell'")  # none is worth waiting for
        yield yard, backends


async def test_a_worker_that_is_killed_takes_no_other_worker_s_job_with_it(busy, tmp_path: Path):
    yard, backends = busy
    limits = {"VEILRUN_WORKER_THREADS": "1", "VEILRUN_LEASE_SECONDS": "2", "VEILRUN_SWEEP_SECONDS": "0.3"}
    async with veilrun(tmp_path, "worker", "--processes", "3", DATABASE_URL=yard.dsn, **limits) as master:
        job_ids = [await yard.queue("flux", user_id=user) for user in range(3)]
        pids = await at_work(yard, job_ids)
        assert len(set(pids)) == 3, "one job on each"

        os.kill(pids[0], signal.SIGKILL)
        await yard.until(job_ids[0], lambda job: job.state == "running" and job.attempt == 2)
        others = await yard.rows("select id, attempt from jobs where state = 'running' and attempt = 1 order by id")
        for backend in backends:
            backend.faults.hold = set()
        for job_id in job_ids:
            await yard.until(job_id, "collected")

        children = {child.pid for child in psutil.Process(master.pid).children()}
        assert others == [(job_ids[1], 1), (job_ids[2], 1)]
        assert len(children) == 3
        assert set(pids[1:]) < children
        assert sum(backend.posts.total() for backend in backends) == 3, "nothing was rendered twice"


async def at_work(yard: Yard, job_ids: list[int]) -> list[int]:
    """The process that runs each job, as soon as all run."""
    async with asyncio.timeout(60):
        async for _ in listen(yard.dsn, CHANNEL):
            rows = await yard.rows(
                """select split_part(lease_owner, ':', 2)::int from jobs
                   where id = any(%s) and state = 'running' order by id""",
                job_ids,
            )
            if len(rows) == len(job_ids):
                return [pid for (pid,) in rows]
    raise AssertionError("unreachable")


@pytest.mark.skipif(not ANON.is_file(), reason="anon is not installed: veilrun anon install")
@pytest.mark.parametrize(
    "command", [("up", "--workers", "2"), ("serve",), ("worker", "--processes", "2")], ids=" ".join
)
async def test_when_the_supervisor_is_killed_its_children_and_theirs_end(
    command: tuple[str, ...], database: Database, tmp_path: Path
):
    backend = f"  - {{name: gpu-1, url: http://{SERVICE}, transport: anon, vram_gb: 32}}"
    registry = REGISTRY.format(backends=backend, plugins="  flux: {enabled: true}")
    (tmp_path / "plugin_registry.yaml").write_text(registry, encoding="utf-8")
    (tmp_path / "extra").write_text("DisableNetwork 1\n", encoding="utf-8")
    async with veilrun(
        tmp_path,
        *command,
        DATABASE_URL=database.dsn,
        VEILRUN_PORT=str(free_port()),
        TELEGRAM_VIA="anon",
        VEILRUN_ANON_BINARY=str(ANON),
        VEILRUN_ANON_ACCEPT_TERMS="true",
        VEILRUN_ANON_EXTRA_RC=str(tmp_path / "extra"),
    ) as supervisor:
        family: list[psutil.Process] = []

        async def is_complete() -> bool:
            family[:] = psutil.Process(supervisor.pid).children(recursive=True)
            modules = [argument for member in family for argument in arguments_of(member)]
            has_web = "webhooks" in modules or command[0] == "worker"
            has_workers = modules.count("runtime.worker") == (0 if command[0] == "serve" else 2)
            return has_web and has_workers and any(member.name() == "anon" for member in family)

        await eventually(is_complete, seconds=60)
        supervisor.kill()
        await supervisor.wait()

        _, left = await asyncio.to_thread(psutil.wait_procs, family, 40)
        for member in left:
            member.kill()
        assert left == []


def arguments_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []
