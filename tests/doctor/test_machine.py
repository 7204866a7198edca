"""What the doctor says about this machine: disk, inodes, file descriptors."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runtime.doctor.state_dir import volume_lines
from runtime.settings import Settings
from tests.doctor.deployments import lines

GIB = 2**30


def volume(free_gib: float, inodes: int = 10**6) -> os.statvfs_result:
    blocks = int(free_gib * GIB / 4096)
    return os.statvfs_result((4096, 4096, 2 * blocks, blocks, blocks, 2 * inodes, inodes, inodes, 0, 255))


@pytest.mark.parametrize(
    ("found", "level", "said"),
    [
        (volume(20.0), "ok", "20.0 GiB free"),
        (volume(1.0), "warning", "1.0 GiB free"),
        (volume(0.1), "fault", "0.1 GiB free"),
        (volume(20.0, inodes=5_000), "warning", "5000 files more"),
        (volume(20.0, inodes=3), "fault", "3 files more"),
    ],
)
def test_room_is_told_in_bytes_and_in_files(found: os.statvfs_result, level: str, said: str) -> None:
    line = list(volume_lines("state folder", Path("/state"), found))[-1]

    assert line.level == level
    assert said in line.text


async def test_a_folder_that_cannot_be_made_is_a_fault(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch(0o644)
    (line,) = await lines(settings.model_copy(update={"state_dir": tmp_path / "file" / "state"}), "state folder")

    assert line.level == "fault"
    assert "VEILRUN_STATE_DIR" in line.cure


@contextmanager
def at_most(descriptors: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_too_few_descriptors_for_the_jobs_of_a_process_are_a_warning(settings: Settings) -> None:
    many = settings.model_copy(update={"worker_threads": 200})
    with at_most(1024):
        (enough,), (few,) = await lines(settings, "file descriptors"), await lines(many, "file descriptors")

    assert (enough.level, enough.text) == ("ok", "1024 for a process")
    assert few.level == "warning"
    assert "200 jobs at a time may need 2600" in few.text
    assert "LimitNOFILE=2600" in few.cure
