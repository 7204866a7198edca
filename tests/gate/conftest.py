"""A sandbox ComfyUI behind a gate, and veilrun's own client in front of it."""

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from runtime.comfyui import ComfyClient
from runtime.gate import Folders, Gate, running_gate
from runtime.sandbox.comfyui import SandboxComfyUI
from runtime.transport import open_transport


@dataclass
class Guarded:
    """One gate. `near` sees ComfyUI itself, as its owner does."""

    comfyui: SandboxComfyUI
    gate: Gate
    root: Path
    client: ComfyClient
    near: ComfyClient
    session: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.gate.port}"

    def files(self) -> list[str]:
        """Every file in ComfyUI's folders."""
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file())


Opened = Callable[..., contextlib.AbstractAsyncContextManager[Guarded]]


@contextlib.asynccontextmanager
async def guarded(comfyui: SandboxComfyUI, root: Path, data_dir: Path, **options: object) -> AsyncIterator[Guarded]:
    options = {"folders": Folders.of(root), **options}
    transport = open_transport("direct")
    async with running_gate(comfyui.url, data_dir, **options) as gate, aiohttp.ClientSession() as session:  # type: ignore[arg-type]
        client = ComfyClient("gpu", f"http://127.0.0.1:{gate.port}", transport)
        yield Guarded(comfyui, gate, root, client, ComfyClient("gpu", comfyui.url, transport), session)
    await transport.close()


@pytest.fixture
async def comfyui(tmp_path: Path) -> AsyncIterator[SandboxComfyUI]:
    async with SandboxComfyUI(pace=0, root=tmp_path / "comfyui") as server:
        yield server


@pytest.fixture
async def behind(comfyui: SandboxComfyUI, tmp_path: Path) -> AsyncIterator[Guarded]:
    async with guarded(comfyui, tmp_path / "comfyui", tmp_path / "gate") as opened:
        yield opened
