"""Whether there is room for what veilrun keeps."""

import os
import shutil
from pathlib import Path

from runtime.doctor.deployment import Deployment
from runtime.doctor.line import Line, fault, ok, warning

SUBJECT = "state folder"
GIB = 2**30
FEW_GIB, ROOM_GIB = 0.2, 2.0


async def check_state_dir(deployment: Deployment) -> list[Line]:
    """Free space where the embedded database and anon keep their data, and whether it can be written."""
    folder = deployment.settings.state_dir
    place = _nearest(folder)
    if not os.access(place, os.W_OK | os.X_OK):
        return [fault(SUBJECT, f"{place} cannot be written by this user", "chown it, or set VEILRUN_STATE_DIR")]
    free = shutil.disk_usage(place).free / GIB
    text = f"{free:.1f} GiB free in {folder}"
    if free < FEW_GIB:
        return [fault(SUBJECT, text, "make room: the database stops when the disk is full")]
    if free < ROOM_GIB:
        return [warning(SUBJECT, text, f"make room: below {FEW_GIB} GiB the database is in danger")]
    return [ok(SUBJECT, text)]


def _nearest(folder: Path) -> Path:
    """The folder, or the parent in which it will be made."""
    folder = folder.absolute()
    return next(place for place in (folder, *folder.parents) if place.exists())
