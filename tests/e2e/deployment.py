"""A whole deployment as an operator would run it: web and worker processes, database, sandbox Telegram and ComfyUI."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from runtime.cli.machine import ANON, WEB, WORKER, listening
from runtime.sandbox.comfyui import SandboxComfyUI
from runtime.sandbox.telegram import Chat, ChatMessage, SandboxTelegram
from runtime.supervisor import child_environment

TOKEN = "7000000001:end-to-end-token-of-the-sandbox-bot"
START_SECONDS = 60.0

REGISTRY = """\
version: 1
access: {{default: public}}
backends:
{backends}
plugins:
  flux: {{enabled: true}}
  qwen: {{enabled: true}}
  wan: {{enabled: true}}
  sd3: {{enabled: true}}
"""


def registry_text(backends: Sequence[SandboxComfyUI]) -> str:
    lines = [
        f'  - {{name: gpu-{number}, url: "{backend.url}", transport: direct, device: "sandbox", vram_gb: 32}}'
        for number, backend in enumerate(backends, 1)
    ]
    return REGISTRY.format(backends="\n".join(lines))


@dataclass
class Deployment:
    """Running processes. `web_url` is where Telegram posts; `environment` starts more of them."""

    telegram: SandboxTelegram
    comfyui: SandboxComfyUI
    listener: socket.socket
    environment: dict[str, str]
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)

    @property
    def web_url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    @property
    def chat(self) -> Chat:
        return self.telegram.user("Alice").private_chat

    async def start(self, name: str) -> None:
        """Start "web", "anon" or a process whose name begins with "worker"."""
        command = {"web": WEB, "anon": ANON}.get(name, WORKER)
        descriptors = (self.listener.fileno(),) if name == "web" else ()
        self.processes[name] = await asyncio.create_subprocess_exec(
            *command, env=self.environment, pass_fds=descriptors, start_new_session=True
        )

    async def kill(self, name: str) -> None:
        """kill -9, with no warning."""
        process = self.processes.pop(name)
        process.kill()
        await process.wait()

    async def ready(self) -> None:
        """Wait until the web process takes updates and the webhook is set."""
        async with asyncio.timeout(START_SECONDS), aiohttp.ClientSession() as session:
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"{self.web_url}/readyz") as response:
                        if response.status == 200:
                            return
                if self.processes["web"].returncode is not None:
                    raise RuntimeError(f"the web process ended with {self.processes['web'].returncode}")
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        for process in self.processes.values():
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
        for process in self.processes.values():
            try:
                async with asyncio.timeout(20):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


async def picture_after(chat: Chat, asked: ChatMessage, *, timeout: float = 30.0) -> ChatMessage:
    """The photo that answers a command."""
    return await chat.wait_for(
        lambda message: message.from_bot and message.photo is not None, timeout=timeout, after=asked
    )


@contextlib.asynccontextmanager
async def deployed(
    dsn: str,
    folder: Path,
    *,
    registry: str | None = None,
    comfyui: SandboxComfyUI | None = None,
    telegram: SandboxTelegram | None = None,
    workers: int = 1,
    web: bool = True,
    anon: bool = False,
    **environment: str,
) -> AsyncIterator[Deployment]:
    """Start everything, wait until it is ready, and stop it again."""
    async with contextlib.AsyncExitStack() as stack:
        telegram = telegram or await stack.enter_async_context(SandboxTelegram(TOKEN))
        backend = comfyui or await stack.enter_async_context(SandboxComfyUI(pace=0))
        path = folder / "plugin_registry.yaml"
        path.write_text(registry or registry_text([backend]), encoding="utf-8")
        listener = stack.enter_context(listening("127.0.0.1", 0))
        deployment = Deployment(telegram, backend, listener, {})
        deployment.environment = child_environment(
            **{
                "DATABASE_URL": dsn,
                "TELEGRAM_BOT_TOKEN": TOKEN,
                "TELEGRAM_API_URL": telegram.base_url,
                "VEILRUN_REGISTRY": str(path),
                "VEILRUN_STATE_DIR": str(folder),
                "VEILRUN_LISTEN_FD": str(listener.fileno()),
                "VEILRUN_PUBLIC_URL": deployment.web_url,
                "VEILRUN_LOG_LEVEL": "warning",
                **environment,
            }
        )
        stack.push_async_callback(deployment.stop)
        if anon:
            await deployment.start("anon")
        if web:
            await deployment.start("web")
        for number in range(1, workers + 1):
            await deployment.start(f"worker-{number}")
        if web:
            await deployment.ready()
        yield deployment
