"""Looks after the running server: one that was killed, by the kernel's out-of-memory killer say, is started again."""

import contextlib
import threading
from collections.abc import Iterator

import structlog

from db.embedded.lock import exclusive
from db.embedded.place import Place
from db.embedded.server import bring_up, has_ended
from db.errors import DatabaseError

log = structlog.get_logger("veilrun.db")

LOOK_SECONDS, PAUSE_SECONDS = 0.5, 10.0


@contextlib.contextmanager
def kept_up(place: Place) -> Iterator[None]:
    """While open, the server is started again whenever it ends. Several processes may do this for one server."""
    stop = threading.Event()
    watcher = threading.Thread(target=_watch, args=(place, stop), name="embedded-database", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()


def _watch(place: Place, stop: threading.Event) -> None:
    pause = LOOK_SECONDS
    while not stop.wait(pause):
        pause = LOOK_SECONDS
        if not has_ended(place):
            continue
        log.warning("the embedded database ended, starting it again")
        try:
            with exclusive(place.start_lock):
                bring_up(place)
        except (DatabaseError, OSError) as error:
            log.error("the embedded database does not start", error=str(error))
            pause = PAUSE_SECONDS
        else:
            log.info("the embedded database is back")
