"""The command `veilrun` as a process of its own, with nothing of this process's settings."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from runtime.sandbox.comfyui import SandboxComfyUI

TOKEN = "7000000001:token-of-the-bot-in-command-line-tests"
SECONDS = 60.0


@dataclass(frozen=True)
class Done:
    """How a command ended and what it said."""

    status: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line that it said on standard error, having failed."""
        assert self.out == ""
        (line,) = self.err.splitlines()
        return line


@dataclass
class Shell:
    """Runs `veilrun` in `folder`, with `environment` on top of a clean one."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    started: list[asyncio.subprocess.Process] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    async def start(self, *words: str | Path, **environment: str) -> asyncio.subprocess.Process:
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("VEILRUN_", "TELEGRAM_", "DATABASE_", "BROKER_", "PYTHON", "COLUMNS"))
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "runtime.cli",
            *map(str, words),
            cwd=self.folder,
            env={**clean, "TMPDIR": str(self.folder), **self.environment, **environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    async def ended(self, process: asyncio.subprocess.Process) -> Done:
        out, err = await asyncio.wait_for(process.communicate(), SECONDS)
        assert process.returncode is not None
        done = Done(process.returncode, out.decode(), err.decode())
        self.said += [done.out, done.err]
        return done

    async def run(self, *words: str | Path, **environment: str) -> Done:
        return await self.ended(await self.start(*words, **environment))

    def end(self) -> None:
        for process in self.started:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[Shell]:
    """A shell in an empty folder. Whatever was said there holds no traceback and not the token."""
    shell = Shell(tmp_path)
    yield shell
    shell.end()
    said = "\n".join(shell.said)
    assert "Traceback" not in said
    assert TOKEN not in said
    assert TOKEN.partition(":")[2] not in said


@pytest.fixture
async def comfyui() -> AsyncIterator[SandboxComfyUI]:
    async with SandboxComfyUI(pace=0) as comfyui:
        yield comfyui


def registry(folder: Path, plugins: Mapping[str, str], backend: str = "") -> Path:
    """A registry file in `folder` with the YAML of each plugin."""
    backends = f'[{{name: gpu, url: "{backend}", device: sandbox, vram_gb: 32}}]' if backend else "[]"
    listed = "".join(f"  {name}: {text}\n" for name, text in plugins.items())
    path = folder / "plugin_registry.yaml"
    path.write_text(
        f"version: 1\naccess: {{default: public}}\nbackends: {backends}\nplugins:\n{listed}", encoding="utf-8"
    )
    return path
