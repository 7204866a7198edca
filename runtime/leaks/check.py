"""The battery for callers: the scenarios are played in a process of their own, and the findings come here."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from typing import Any

from runtime.leaks import errors
from runtime.leaks.errors import BatteryBroken, LeakCheckImpossible
from runtime.leaks.finding import Finding
from runtime.supervisor import python_module

KEPT_VARIABLES = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "TMPDIR")
"""All that the process knows of ours: no token, no address of the database, no proxy."""

COMMAND = tuple(python_module("runtime.leaks"))


async def check_leaks(*around: str) -> AsyncIterator[Finding]:
    """A finding for each scenario, as it is over; about ten seconds in all.

    Nothing leaves this machine, and no daemon, registry or database is touched: veilrun's client is driven against a
    scripted proxy. around: a command line that is to run the process, such as `setpriv … --`.

    Raises: NamespaceForbidden, CaptureMissing, BatteryBroken.
    """
    process = await asyncio.create_subprocess_exec(
        *around,
        *COMMAND,
        env={name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=2**20,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    complaints = asyncio.create_task(process.stderr.read())
    try:
        async for line in process.stdout:
            yield _finding(json.loads(line))
        if await process.wait() != 0:
            last = (await complaints).decode(errors="replace").strip().rpartition("\n")[2]
            raise BatteryBroken(f"the process that plays the scenarios ended early: {last or process.returncode}")
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        complaints.cancel()


def _finding(said: dict[str, Any]) -> Finding:
    if "impossible" in said:
        kind: type[LeakCheckImpossible] = getattr(errors, said["impossible"])
        raise kind(said["why"])
    seen: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in said["finding"].items()
    }
    return Finding(**seen)
