"""Keeps the processes of one machine running: a dead child is started again, and no child outlives its supervisor."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

log = structlog.get_logger("veilrun.supervisor")

EX_CONFIG = 78
"""Exit status (sysexits.h) of a child whose settings are wrong: starting it again cannot help."""

FIRST_DELAY, LAST_DELAY, GRACE = 0.5, 10.0, 25.0  # seconds
STEADY = 30.0  # a child that lived this long starts over with the first delay

_PR_SET_PDEATHSIG = 1  # prctl(2)


PARENT = "VEILRUN_PARENT_PID"
"""Set by a supervisor for its children: who started them."""


def die_with_parent() -> None:
    """Ask the kernel to end this process (SIGTERM) when its parent dies, even by kill -9. Linux only.

    A supervisor that died before this was asked for is noticed as well.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    parent = os.environ.pop(PARENT, None)
    if parent is not None and os.getppid() != int(parent):
        os.kill(os.getpid(), signal.SIGTERM)


def hand_over_promptly() -> None:
    """Let a thread that has something to do wait for a busy one half a millisecond, not Python's usual five.

    A wake-up crosses four threads from the broker to the event loop; measured on the whole path from the webhook to
    sendPhoto, this takes about 10 ms off.
    """
    sys.setswitchinterval(0.0005)


@dataclass(frozen=True, slots=True)
class Child:
    """A process to keep running. `pass_fds` stay open in it."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    pass_fds: tuple[int, ...] = ()


async def supervise(children: Sequence[Child], stop: asyncio.Event) -> int:
    """Run `children` until `stop` is set or one exits with EX_CONFIG; then end them all. The exit status to use."""
    keepers = [asyncio.create_task(_keep(child, stop), name=child.name) for child in children]
    statuses = await asyncio.gather(*keepers)
    return max(statuses, default=0)


async def _keep(child: Child, stop: asyncio.Event) -> int:
    delay = FIRST_DELAY
    while not stop.is_set():
        started = asyncio.get_running_loop().time()
        process = await asyncio.create_subprocess_exec(
            *child.arguments,
            env={**child.environment, PARENT: str(os.getpid())},
            pass_fds=child.pass_fds,
            start_new_session=True,  # Ctrl-C in the terminal reaches the supervisor only
        )
        status = await _until_end(process, stop)
        if stop.is_set():
            break
        if status == EX_CONFIG:
            stop.set()
            return EX_CONFIG
        if asyncio.get_running_loop().time() - started > STEADY:
            delay = FIRST_DELAY
        log.warning("child ended, starting it again", child=child.name, status=status, delay_seconds=delay)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), delay)
        delay = min(delay * 2, LAST_DELAY)
    return 0


async def _until_end(process: asyncio.subprocess.Process, stop: asyncio.Event) -> int:
    ended = asyncio.create_task(process.wait())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            await _end(process, ended)
        return await ended
    finally:
        stopping.cancel()


async def _end(process: asyncio.subprocess.Process, ended: "asyncio.Task[int]") -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    await asyncio.wait({ended}, timeout=GRACE)
    if not ended.done():
        with contextlib.suppress(ProcessLookupError):
            process.kill()


def stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM or SIGINT sets."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def python_module(module: str) -> list[str]:
    """The command line that runs `module` in this interpreter."""
    return [sys.executable, "-m", module]


def child_environment(**changes: str) -> dict[str, str]:
    """This process's environment with some variables set."""
    return {**os.environ, **changes}
