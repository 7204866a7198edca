"""A PostgreSQL server that can be killed, told to stop at once, and started again."""

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

from psycopg import AsyncConnection

from db.embedded.place import find_place
from db.embedded.server import bring_up, has_ended, stop

LOOK_SECONDS = 0.02


class Database:
    """`outages`: from when to when it was away, in Unix seconds."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="veilrun-chaos-"))
        self._folder.chmod(0o711)  # as root, the server runs as another user
        self._place = find_place(self._folder)
        self.dsn = self._place.dsn
        self.outages: list[tuple[float, float]] = []
        self._striking = asyncio.Lock()

    async def __aenter__(self) -> "Database":
        await asyncio.to_thread(bring_up, self._place)
        # A process that is killed loses what it had not written, not what the disk had not: recovery is quicker so.
        async with await AsyncConnection.connect(self.dsn, autocommit=True) as connection:
            await connection.execute("alter system set fsync = off")
            await connection.execute("select pg_reload_conf()")
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(stop, self._place)
        shutil.rmtree(self._folder, ignore_errors=True)

    async def strike(self, how: signal.Signals, away_seconds: float) -> None:
        """SIGKILL, or SIGQUIT, an immediate stop: what was not on disk is lost. It is away for so long, at least."""
        async with self._striking:
            began = time.time()
            await asyncio.to_thread(self._end, how)
            await asyncio.sleep(away_seconds)
            await asyncio.to_thread(bring_up, self._place)
            self.outages.append((began, time.time()))

    def _end(self, how: signal.Signals) -> None:
        pid = int((self._place.data / "postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, how)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
        while not has_ended(self._place):
            time.sleep(LOOK_SECONDS)
