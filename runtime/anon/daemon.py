"""A daemon of ours, from its start to its end."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from runtime.anon import sdk
from runtime.anon.errors import AnonFailed, ControlFailed
from runtime.anon.sdk import Control
from runtime.anon.state import HostPort

CONNECT_SECONDS, CONNECT_PAUSE_SECONDS = 5.0, 0.1


@dataclass(frozen=True)
class Daemon:
    """A daemon that runs. `ended` is set once it does not any more."""

    control: Control
    ended: asyncio.Event = field(default_factory=asyncio.Event)


@contextlib.asynccontextmanager
async def running(binary: Path, anonrc: Path, control: HostPort) -> AsyncIterator[Daemon]:
    """Run the daemon with the configuration `anonrc` while the context is open; from the main thread only.

    It has not bootstrapped yet: `Control.bootstrap` tells. It ends with this process, however that ends.

    Raises: AnonFailed if it does not start.
    """
    process = sdk.launch(binary, anonrc)
    try:
        async with contextlib.AsyncExitStack() as stack:
            yield await _connect(stack, binary, control)
    finally:
        await asyncio.to_thread(sdk.stop, process)


async def _connect(stack: contextlib.AsyncExitStack, binary: Path, control: HostPort) -> Daemon:
    """The control port opens a moment after the daemon says that it runs. Raises: AnonFailed."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + CONNECT_SECONDS
    while True:
        try:
            connection = await stack.enter_async_context(sdk.connected(binary, control, is_owner=True))
        except ControlFailed as error:
            if clock() >= deadline:
                raise AnonFailed(f"anon started, but: {error}") from error
            await asyncio.sleep(CONNECT_PAUSE_SECONDS)
        else:
            daemon = Daemon(connection)
            connection.on_end(daemon.ended.set)
            return daemon
