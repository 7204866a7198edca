"""Locks on files. The kernel frees them when the process that holds them ends, however it ends."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from db.errors import EmbeddedServerFailed


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold `path` alone; wait for whoever holds it now."""
    with _opened(path) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def shared(path: Path) -> Iterator[None]:
    """Hold `path` together with others who share it."""
    with _opened(path) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield


@contextlib.contextmanager
def try_exclusive(path: Path) -> Iterator[int | None]:
    """Hold `path` alone, or None if somebody else holds it.

    The value is the descriptor: a child process that inherits it holds the lock too, until it ends.
    """
    with _opened(path) as descriptor:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield descriptor


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise EmbeddedServerFailed(
            f"{error.strerror}: {path}: choose another VEILRUN_STATE_DIR, or set DATABASE_URL"
        ) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)
