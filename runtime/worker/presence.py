"""Which worker processes of this machine live: a file for each, which it holds locked.

The kernel frees a lock when its process ends, however that ends, and whatever name spaces are around it. So the others
of the machine take back at once what a killed one worked on; other machines have its leases to go by.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import structlog

log = structlog.get_logger("veilrun.presence")


@contextlib.contextmanager
def present(folder: Path, owner: str) -> Iterator[None]:
    """While open, `owner` lives, as `missing` has it. Where the folder cannot be written, nobody misses it."""
    try:
        descriptor = _lock(folder, owner)
    except OSError as error:
        log.warning("no file for this process, its leases alone tell if it dies", error=type(error).__name__)
        yield
        return
    try:
        yield
    finally:
        forget(folder, owner)
        os.close(descriptor)


def missing(folder: Path) -> list[str]:
    """The owners that ended without leaving. One that another process asks about just now may be left out."""
    try:
        files = list(folder.iterdir())
    except OSError:  # nobody was ever here
        return []
    return [file.name for file in files if not file.name.startswith(".") and not _is_locked(file)]


def forget(folder: Path, owner: str) -> None:
    """Whatever the owner worked on is seen to."""
    with contextlib.suppress(OSError):
        (folder / owner).unlink()


def _lock(folder: Path, owner: str) -> int:
    """The file comes under its name once it is locked, so that nobody is missed who has just begun."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = folder / f".{owner}"
    descriptor = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unfinished.rename(folder / owner)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _is_locked(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # by its process; or it left just now, or is none of ours
        return True
    return False
