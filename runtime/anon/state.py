"""What the process that runs or watches the daemon tells the others on this machine: a small file, replaced whole."""

import contextlib
import fcntl
import json
import os
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

FILE = "state.json"

LOCK = "lock"
"""Held by the process that writes the state for as long as it lives; the daemon that it started ends with it."""

HostPort = tuple[str, int]


@dataclass(frozen=True, slots=True)
class AnonState:
    """The daemon as last seen.

    socks: for hidden services only. exit_socks: for other names, None unless asked for. version: as the daemon says,
    "0.4.9.11-live". bootstrap_percent: 100 = usable; phase: what it does until then, or why it is down. bytes_read,
    bytes_written: on the network since it started.
    """

    socks: HostPort
    control: HostPort
    version: str
    bootstrap_percent: int
    phase: str
    exit_socks: HostPort | None = None
    bytes_read: int = 0
    bytes_written: int = 0

    @property
    def is_ready(self) -> bool:
        return self.bootstrap_percent >= 100

    def at(self, percent: int, phase: str) -> "AnonState":
        """The same daemon, so far."""
        return replace(self, bootstrap_percent=percent, phase=phase)


def write_state(folder: Path, state: AnonState) -> None:
    """Replace the state in `folder`, which exists. A reader sees the old or the new one, never a part."""
    descriptor, name = tempfile.mkstemp(dir=folder)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(state), file)
        os.replace(name, folder / FILE)
    except BaseException:
        os.unlink(name)
        raise


def read_state(folder: Path) -> AnonState | None:
    """The state in `folder`; None if there is none, if it cannot be read here, or if its writer is gone.

    What listens on the ports of a writer that was killed may be anybody's by now.
    """
    try:
        told = json.loads((folder / FILE).read_text(encoding="utf-8"))
        for key in ("socks", "control", "exit_socks"):
            told[key] = tuple(told[key]) if told[key] else None
        state = AnonState(**told)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return None if _is_writer_gone(folder) else state


def _is_writer_gone(folder: Path) -> bool:
    try:
        with (folder / LOCK).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:  # held, or there is none to judge by
        return False
    return True


def forget_state(folder: Path) -> None:
    """The daemon is nobody's any more. Where nothing can be deleted, the state is void with the lock."""
    with contextlib.suppress(OSError):
        (folder / FILE).unlink()


WANTED = "new-circuits-wanted"


def want_new_circuits(folder: Path) -> None:
    """Ask the daemon's keeper for a clean slate (SIGNAL NEWNYM), soon.

    After a "descriptor not found" the daemon does not ask the same directories again for 15 minutes
    (feature/hs/hs_common.h), so a service that comes back would stay away for so long. Where nothing can be written,
    it does.
    """
    with contextlib.suppress(OSError):
        (folder / WANTED).touch()


def are_new_circuits_wanted(folder: Path) -> bool:
    """Whether somebody asked; asking is over then."""
    try:
        (folder / WANTED).unlink()
    except FileNotFoundError:
        return False
    return True
