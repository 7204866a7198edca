"""A sign of life per process, for container health checks: a file that its event loop touches."""

import asyncio
import contextlib
import os
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

INTERVAL = 2.0
STALE = 15.0  # seconds


def _folder() -> Path:
    return Path(tempfile.gettempdir()) / f"veilrun-beats-{os.getuid()}"


@contextlib.asynccontextmanager
async def heartbeat(role: str) -> AsyncIterator[None]:
    """While open, this process counts as alive in `silent_processes`."""
    folder = _folder()
    folder.mkdir(mode=0o700, exist_ok=True)
    beat = folder / f"{role}-{os.getpid()}"

    async def beating() -> None:
        while True:
            beat.touch()
            await asyncio.sleep(INTERVAL)

    task = asyncio.create_task(beating())
    try:
        yield
    finally:
        task.cancel()
        beat.unlink(missing_ok=True)


def living_processes() -> dict[str, bool]:
    """`role-pid` of each veilrun process on this machine -> whether its event loop still turns."""
    alive: dict[str, bool] = {}
    for beat in _folder().glob("*-*"):
        if not _exists(int(beat.name.rpartition("-")[2])):
            beat.unlink(missing_ok=True)
            continue
        with contextlib.suppress(FileNotFoundError):
            alive[beat.name] = time.time() - beat.stat().st_mtime < STALE
    return alive


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
