"""A process that is killed is missed at once, and no other."""

import asyncio
import signal
import sys
from pathlib import Path

from runtime.worker.presence import forget, missing, present

LIVE = """
import sys
from pathlib import Path
from runtime.worker.presence import present

with present(Path(sys.argv[1]), sys.argv[2]):
    print("here", flush=True)
    sys.stdin.read()
"""


async def alive(folder: Path, owner: str) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        LIVE,
        str(folder),
        owner,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"here\n"
    return process


async def test_who_was_killed_is_missing_and_who_lives_or_left_is_not(tmp_path: Path):
    killed, frozen, leaving = [await alive(tmp_path, name) for name in ("killed", "frozen", "leaving")]

    killed.kill()
    await killed.wait()
    frozen.send_signal(signal.SIGSTOP)
    await leaving.communicate(b"")
    seen = missing(tmp_path)

    frozen.kill()
    await frozen.wait()
    assert seen == ["killed"]
    assert sorted(missing(tmp_path)) == ["frozen", "killed"]

    for owner in ("frozen", "killed"):
        forget(tmp_path, owner)
    assert missing(tmp_path) == []


def test_where_nothing_can_be_written_nobody_is_missed(tmp_path: Path):
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "workers"

    with present(folder, "somebody"):
        assert missing(folder) == []
