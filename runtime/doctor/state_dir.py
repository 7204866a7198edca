"""Whether there is room for what veilrun keeps."""

import os
from collections.abc import Iterator
from pathlib import Path

from db.embedded import data_folder
from db.errors import DatabaseError
from runtime.doctor.aside import aside
from runtime.doctor.deployment import Deployment
from runtime.doctor.line import Line, fault, ok, warning
from runtime.settings import Settings

SUBJECT = "state folder"
DATABASE = "embedded database"
GIB = 2**30
FEW_GIB, ROOM_GIB = 0.2, 2.0
FEW_INODES, ROOM_INODES = 1_000, 20_000


async def check_state_dir(deployment: Deployment) -> list[Line]:
    """Space and inodes where anon and the embedded database keep their data, and whether it can be written."""
    return await aside(lambda: list(_lines(deployment.settings)))


def _lines(settings: Settings) -> Iterator[Line]:
    folder = settings.state_dir
    place = _nearest(folder)
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        said = "cannot be written by this user" if place.is_dir() else "is no folder"
        yield fault(SUBJECT, f"{place} {said}", "chown it, or set VEILRUN_STATE_DIR")
        return
    yield from volume_lines(SUBJECT, folder, os.statvfs(place))
    data = _data(settings)
    if data is not None and os.stat(data).st_dev != os.stat(place).st_dev:
        yield from volume_lines(DATABASE, data, os.statvfs(data))


def volume_lines(subject: str, folder: Path, volume: os.statvfs_result) -> Iterator[Line]:
    """What is left on the volume that holds `folder`, for a user who is not root."""
    free = volume.f_bavail * volume.f_frsize / GIB
    text = f"{free:.1f} GiB free in {folder}"
    if free < FEW_GIB:
        yield fault(subject, text, "make room: the database stops when the disk is full")
    elif free < ROOM_GIB:
        yield warning(subject, text, f"make room: below {FEW_GIB} GiB the database is in danger")
    else:
        yield ok(subject, text)
    if volume.f_files:  # some file systems make inodes as they need them, and tell 0
        text = f"{volume.f_favail} files more can be made in {folder}"
        if volume.f_favail < FEW_INODES:
            yield fault(subject, text, "delete small files there: no inodes are left, as if the disk were full")
        elif volume.f_favail < ROOM_INODES:
            yield warning(subject, text, "delete small files there: the inodes come to their end")


def _data(settings: Settings) -> Path | None:
    if settings.database_url:
        return None
    try:
        return data_folder(settings.state_dir)
    except DatabaseError:
        return None  # the database's own lines say why


def _nearest(folder: Path) -> Path:
    """The folder, or the parent in which it will be made."""
    folder = folder.absolute()
    return next(place for place in (folder, *folder.parents) if place.exists())
