"""A process that is started again whenever it ends, as systemd would do it."""

import asyncio
import contextlib
import os
import re
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

PAUSE_SECONDS = 0.3

UP = re.compile(r'"event": "worker started".*"owner": "[^":]+:(\d+):.*"timestamp": "([^"]+)"')


@dataclass
class Life:
    """One process from start to end, in Unix seconds. is_struck: we killed it."""

    pid: int
    started_at: float
    ended_at: float | None = None
    status: int | None = None
    is_struck: bool = False


class Kept:
    """`async with` it: it runs, each time in a process group of its own, until the end. Output is added to `log`."""

    def __init__(
        self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.lives: list[Life] = []
        self._command = command
        self._environment = dict(environment or os.environ)
        self._log = log
        self._task: asyncio.Task[None] | None = None

    @property
    def is_alive(self) -> bool:
        return bool(self.lives) and self.lives[-1].ended_at is None

    def kill(self) -> bool:
        """kill -9 to all of it. Whether there was anything to kill."""
        if not self.is_alive:
            return False
        self.lives[-1].is_struck = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.lives[-1].pid, signal.SIGKILL)
        return True

    def manned(self) -> Iterator[tuple[float, float]]:
        """From when to when it was up, life by life, as its log says. One that lives still is up until now."""
        up = {int(found[1]): _unix(found[2]) for found in UP.finditer(self._log.read_text(encoding="utf-8"))}
        for life in self.lives:
            if life.pid in up:
                yield up[life.pid], life.ended_at or time.time()

    async def __aenter__(self) -> "Kept":
        self._task = asyncio.create_task(self._keep(), name=self.name)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _keep(self) -> None:
        while True:
            with self._log.open("ab") as log:
                process = await asyncio.create_subprocess_exec(
                    *self._command, env=self._environment, stdout=log, stderr=log, start_new_session=True
                )
            life = Life(process.pid, time.time())
            self.lives.append(life)
            try:
                life.status = await process.wait()
            finally:
                if process.returncode is None:
                    self.kill()
                    await process.wait()
                life.ended_at = time.time()
            await asyncio.sleep(PAUSE_SECONDS)


def _unix(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()
