"""The deployment under test: one receiver, workers on machines of their own, ComfyUI servers, all as real processes."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import aiohttp
import psycopg
from psycopg import AsyncConnection

from runtime.sandbox.telegram import Fault, SandboxTelegram
from runtime.supervisor import child_environment, python_module
from tests.chaos.database import Database
from tests.chaos.kept import Kept
from tests.chaos.schedule import Kind, Strike
from tests.chaos.tunnel import Tunnel
from tests.scale.servers import free_port

T = TypeVar("T")

TOKEN = "7000000001:token-of-the-sandbox-bot-in-chaos"
SEND_SECONDS = 0.15
"""What Telegram takes to answer sendPhoto: there has to be a moment to be killed in."""

PACE = 0.3
"""Of the sandbox ComfyUI: a picture takes 0.1 to 0.3 s."""

DEAF_SECONDS = 3.0
LOST_EVENTS = ["executed", "execution_success", "executing", "progress", "progress_state"]
AIM_SECONDS, AIM_PAUSE_SECONDS = 2.0, 0.02
"""A blow waits for so long, at most, until what it hits is at work."""

HELD = "select 1 from jobs where state = 'running' and split_part(lease_owner, ':', 2) = %s"
FAULT_SECONDS = aiohttp.ClientTimeout(total=2)

REGISTRY = """\
version: 1
access: {{default: public}}
backends:
{backends}
plugins:
  flux: {{enabled: true}}
  qwen: {{enabled: true}}
  sd3: {{enabled: true}}
"""


@dataclass
class Gpu:
    """A sandbox ComfyUI. Odd ones are reached directly, even ones through a tunnel."""

    name: str
    port: int
    kept: Kept
    runs: Path
    tunnel: Tunnel | None

    @property
    def url(self) -> str:
        """Where workers reach it."""
        return f"http://127.0.0.1:{self.tunnel.port if self.tunnel else self.port}"

    async def busy(self, seconds: float) -> None:
        """Return as soon as it runs a prompt, or after so long."""
        with contextlib.suppress(TimeoutError, aiohttp.ClientError):
            async with asyncio.timeout(seconds), aiohttp.ClientSession() as session:
                while True:
                    async with session.get(f"http://127.0.0.1:{self.port}/prompt") as response:
                        if (await response.json())["exec_info"]["queue_remaining"]:
                            return
                    await asyncio.sleep(AIM_PAUSE_SECONDS)

    async def misbehave(self, **faults: object) -> None:
        """Set faults of the sandbox; one that is away has none."""
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with aiohttp.ClientSession(timeout=FAULT_SECONDS) as session:
                await session.post(f"http://127.0.0.1:{self.port}/sandbox/faults", json=faults)


@dataclass(frozen=True, slots=True)
class Blow:
    """A strike that was carried out. target: what it hit. pid: of the process killed. at: in Unix seconds."""

    at: float
    kind: Kind
    target: str
    pid: int | None = None


@dataclass
class Field:
    """Everything that runs, and what was done to it."""

    telegram: SandboxTelegram
    database: Database
    receiver: Kept
    workers: list[Kept]
    gpus: list[Gpu]
    folder: Path
    blows: list[Blow] = field(default_factory=list)

    async def connect(self) -> AsyncConnection:
        return await AsyncConnection.connect(self.database.dsn, autocommit=True)

    async def strike(self, strike: Strike) -> None:
        """Carry it out; returns when what does not come back by itself is there again."""
        gpu = _picked(self.gpus, strike.pick)
        match strike.kind:
            case "worker killed":
                await self._kill_busy(strike.kind, _picked(self.workers, strike.pick))
            case "receiver killed":
                self._kill(strike.kind, self.receiver)
            case "scheduler killed":  # every process schedules
                await self._kill_busy(strike.kind, _picked([self.receiver, *self.workers], strike.pick))
            case "all killed":
                for kept in (self.receiver, *self.workers):
                    self._kill(strike.kind, kept)
            case "ComfyUI killed":
                await gpu.busy(AIM_SECONDS)
                self._kill(strike.kind, gpu.kept, gpu.name)
            case "PostgreSQL killed" | "PostgreSQL stopped":
                self._note(strike.kind, "database")
                how = signal.SIGKILL if strike.kind == "PostgreSQL killed" else signal.SIGQUIT
                await self.database.strike(how, away_seconds=0.5 + strike.pick)
            case "broker wiped":
                await self._wipe(strike)
            case "socket cut" if gpu.tunnel is None:
                await gpu.busy(AIM_SECONDS)
                self._note(strike.kind, gpu.name)
                await gpu.misbehave(cut_websocket_after=0)
            case "socket cut" | "line cut":
                tunnelled = [gpu for gpu in self.gpus if gpu.tunnel is not None]
                gpu = _picked(tunnelled, strike.pick)
                assert gpu.tunnel is not None
                await gpu.busy(AIM_SECONDS)
                self._note(strike.kind, gpu.name)
                gpu.tunnel.cut(only_sockets=strike.kind == "socket cut")
            case "events lost":
                self._note(strike.kind, gpu.name)
                await gpu.misbehave(withhold=LOST_EVENTS)
                await asyncio.sleep(DEAF_SECONDS)
                await gpu.misbehave(withhold=[])

    async def _kill_busy(self, kind: Kind, kept: Kept) -> None:
        """Kill it as soon as it has a job, if it gets one soon."""
        with contextlib.suppress(TimeoutError, psycopg.OperationalError):
            async with asyncio.timeout(AIM_SECONDS), await self.connect() as connection:
                while kept is not self.receiver and kept.lives:
                    held = await connection.execute(HELD, (str(kept.lives[-1].pid),))
                    if await held.fetchone():
                        break
                    await asyncio.sleep(AIM_PAUSE_SECONDS)
        self._kill(kind, kept)

    def _kill(self, kind: Kind, kept: Kept, name: str | None = None) -> None:
        at = time.time()
        if kept.kill():
            self.blows.append(Blow(at, kind, name or kept.name, kept.lives[-1].pid))

    def _note(self, kind: Kind, target: str) -> None:
        self.blows.append(Blow(time.time(), kind, target))

    async def _wipe(self, strike: Strike) -> None:
        statement = "truncate dramatiq.queue" if strike.pick < 0.7 else "drop schema if exists dramatiq cascade"
        with contextlib.suppress(psycopg.Error):  # the database is away, or the tables are
            async with await self.connect() as connection:
                await connection.execute("set lock_timeout = '1s'")
                await connection.execute(statement)
                self._note(strike.kind, "broker")


@contextlib.asynccontextmanager
async def deployed(folder: Path, *, workers: int, gpus: int) -> AsyncIterator[Field]:
    """Everything started, each process with a log in `folder`; ready when the webhook is set."""
    async with contextlib.AsyncExitStack() as stack:
        telegram = await stack.enter_async_context(SandboxTelegram(TOKEN))
        telegram.faults.add(
            Fault("duplicate", times=None), Fault("slow", method="sendPhoto", times=None, seconds=SEND_SECONDS)
        )
        database = await stack.enter_async_context(Database())
        servers = [await _gpu(stack, folder, number) for number in range(1, gpus + 1)]
        registry = folder / "plugin_registry.yaml"
        registry.write_text(_registry(servers), encoding="utf-8")
        port = free_port()

        async def machine(name: str, command: str) -> Kept:
            """Processes of one machine have a state folder in common; here each has its own."""
            (folder / name).mkdir()
            environment = child_environment(
                DATABASE_URL=database.dsn,
                TELEGRAM_BOT_TOKEN=TOKEN,
                TELEGRAM_API_URL=telegram.base_url,
                VEILRUN_REGISTRY=str(registry),
                VEILRUN_STATE_DIR=str(folder / name),
                VEILRUN_PORT=str(port),
                VEILRUN_PUBLIC_URL=f"http://127.0.0.1:{port}",
            )
            kept = Kept(name, [*python_module("runtime.cli"), command], folder / f"{name}.log", environment)
            return await stack.enter_async_context(kept)

        receiver = await machine("receiver", "serve")
        staff = [await machine(f"worker-{number}", "worker") for number in range(1, workers + 1)]
        await telegram.until(lambda: telegram.webhook_url is not None, timeout=60)
        yield Field(telegram, database, receiver, staff, servers, folder)


async def _gpu(stack: contextlib.AsyncExitStack, folder: Path, number: int) -> Gpu:
    name, port = f"gpu-{number}", free_port()
    runs, root = folder / f"{name}.jsonl", folder / name
    root.mkdir()
    options = ["--port", port, "--pace", PACE, "--blank", "--vram", 32, "--root", root, "--journal", runs]
    command = [*python_module("runtime.sandbox.comfyui"), *map(str, options)]
    kept = await stack.enter_async_context(Kept(name, command, folder / f"{name}.log"))
    tunnel = await stack.enter_async_context(Tunnel(port)) if number % 2 == 0 else None
    return Gpu(name, port, kept, runs, tunnel)


def _registry(gpus: list[Gpu]) -> str:
    lines = [f'  - {{name: {gpu.name}, url: "{gpu.url}", device: sandbox, vram_gb: 32}}' for gpu in gpus]
    return REGISTRY.format(backends="\n".join(lines))


def _picked(choices: Sequence[T], pick: float) -> T:
    return choices[int(pick * len(choices))]
