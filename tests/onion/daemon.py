"""One `anon` process of the private network: its folder, its configuration, its life."""

import os
import random
import re
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.onion.control import ConnectionLost, Control

PHASE_SECONDS = 60.0
"""How long any one step of a start may take; on a quiet machine the longest is 6 s."""

OWN = """
    AgreeToTerms 1
    CookieAuthentication 1
    SafeLogging 0
    LogTimeGranularity 1
"""
_given: set[int] = set()


class NetworkFailed(Exception):
    """A daemon of the private network ended or did not get ready in time. The text has the end of its log."""


def free_port() -> int:
    """A port of 127.0.0.1 below the ephemeral range: no outgoing connection can take it before its daemon listens."""
    try:
        ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    except OSError:
        ephemeral = 32768
    while True:
        port = random.randrange(10000, max(ephemeral, 12000))
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in _given:
                _given.add(port)
                return port


def options(text: str) -> list[str]:
    """The lines of a block of options."""
    return [line.strip() for line in text.strip().splitlines()]


class Daemon:
    """`anon` with a data folder of its own.

    It ends with the process that started it, even if that is killed: the control connection it is owned by closes then,
    and should a forked child have kept that open, anon looks every 15 s whether the process is still there.
    """

    events = "STATUS_CLIENT"

    def __init__(self, binary: Path, folder: Path, lines: Sequence[str]) -> None:
        folder.mkdir(mode=0o700)
        self.name = folder.name
        self.folder = folder
        self.log = folder / "notice.log"
        self.lines = [*options(OWN), f"DataDirectory {folder}", f"Log notice file {self.log}", *lines]
        self.binary = binary
        self._process: subprocess.Popen[bytes] | None = None
        self._control: Control | None = None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    @property
    def control(self) -> Control:
        """Our connection to the running daemon."""
        assert self._control is not None, f"{self.name} is not running"
        return self._control

    def arguments(self, *more: str) -> list[str]:
        """The command line. The configuration is written first; none of the machine's own is read."""
        anonrc = self.folder / "anonrc"
        anonrc.write_text("\n".join(self.lines) + "\n", encoding="utf-8")
        return [str(self.binary), "--defaults-anonrc", os.devnull, "-f", str(anonrc), "--hush", *more]

    def launch(self) -> None:
        """Start the process; `control` can be asked from here on, and answers when the daemon is up."""
        ours, theirs = socket.socketpair()
        owner = ("--__OwningControllerFD", str(theirs.fileno()), "--__OwningControllerProcess", str(os.getpid()))
        with theirs, (self.folder / "stdout").open("ab") as stdout:
            self._process = subprocess.Popen(
                self.arguments(*owner),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
            )
        self._control = Control(ours)
        self.ask(f"SETEVENTS {self.events}")

    def ask(self, line: str) -> str:
        """The daemon's reply on the control connection. Raises NetworkFailed if it ended."""
        try:
            return self.control.ask(line, PHASE_SECONDS)
        except (ConnectionLost, TimeoutError) as error:
            raise self._failure(line) from error

    def event(self, what: str, deadline: float) -> str:
        """What the daemon tells next, of its class's `events`. deadline: on the clock time.monotonic()."""
        try:
            return self.control.event(deadline)
        except (ConnectionLost, TimeoutError) as error:
            raise self._failure(what) from error

    def wait_for(self, what: str, question: str, pattern: str, count: int = 1) -> None:
        """Come back when the reply to `question` has `count` matches of `pattern`; asked again after every event.

        Raises NetworkFailed, which names `what`.
        """
        deadline = time.monotonic() + PHASE_SECONDS
        while len(re.findall(pattern, self.ask(question), re.MULTILINE)) < count:
            self.event(what, deadline)

    def wait_until_bootstrapped(self) -> None:
        """It knows enough of the network to build circuits."""
        self.wait_for("bootstrap", "GETINFO status/bootstrap-phase", r"PROGRESS=100\b")

    def start(self) -> None:
        """Start and wait until it can be used."""
        self.launch()
        self.wait_until_bootstrapped()

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        """End it; SIGKILL is how it dies without a word. Nothing happens if it does not run."""
        if self._process is not None and self.is_running:
            self._process.send_signal(with_signal)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._control is not None:
            self._control.close()
            self._control = None

    def restart(self) -> None:
        """Stop and start again with the same folder: keys, guards and directory are kept, ports too."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.stop()

    def _failure(self, what: str) -> NetworkFailed:
        state = "runs" if self.is_running else f"ended with status {self._process and self._process.poll()}"
        said = [
            path.read_text(errors="replace")[-1500:] for path in (self.folder / "stdout", self.log) if path.exists()
        ]
        return NetworkFailed(f"{self.name} ({what}): anon {state}\n" + "\n".join(said))
