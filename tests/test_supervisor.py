"""The supervisor's promises, kept by real processes."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from runtime.supervisor import EX_CONFIG, PARENT, Child, child_environment, supervise


def child(code: str, name: str = "child") -> Child:
    return Child(name, [sys.executable, "-c", code], child_environment())


async def line_of(path: Path, number: int) -> str:
    """Line `number` of a file that a child appends to, once it is there."""
    async with asyncio.timeout(20):
        while True:
            lines = await asyncio.to_thread(lines_of, path)
            if len(lines) > number:
                return lines[number]
            await asyncio.sleep(0.02)


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


async def test_a_dead_child_is_started_again(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    code = f"import os, time; open({str(pids)!r}, 'a').write(f'{{os.getpid()}}\\n'); time.sleep(60)"
    stop = asyncio.Event()
    running = asyncio.create_task(supervise([child(code)], stop))

    first = int(await line_of(pids, 0))
    os.kill(first, signal.SIGKILL)
    second = int(await line_of(pids, 1))
    stop.set()

    assert second != first
    assert await asyncio.wait_for(running, 20) == 0


async def test_wrong_settings_end_everything_at_once() -> None:
    stop = asyncio.Event()
    children = [
        child("import time; time.sleep(60)", "steady"),
        child(f"raise SystemExit({EX_CONFIG})", "misconfigured"),
    ]

    assert await asyncio.wait_for(supervise(children, stop), 20) == EX_CONFIG


async def test_children_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    inner = (
        "import os, time; from runtime.supervisor import die_with_parent; die_with_parent();"
        f"open({str(pids)!r}, 'a').write(f'{{os.getpid()}}\\n'); time.sleep(60)"
    )
    outer = (
        "import asyncio, sys; from runtime.supervisor import Child, child_environment, supervise;"
        f"asyncio.run(supervise([Child('c', [sys.executable, '-c', {inner!r}], child_environment())], asyncio.Event()))"
    )
    supervisor = await asyncio.create_subprocess_exec(sys.executable, "-c", outer)
    grandchild = int(await line_of(pids, 0))

    supervisor.kill()
    await supervisor.wait()

    async with asyncio.timeout(10):
        while is_running(grandchild):  # noqa: ASYNC110  another process sends no event
            await asyncio.sleep(0.02)


async def test_a_child_whose_supervisor_died_before_it_could_ask_for_notice_ends_as_well() -> None:
    code = "import time; from runtime.supervisor import die_with_parent; die_with_parent(); time.sleep(60)"
    orphan = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, env=child_environment(**{PARENT: str(os.getppid())})
    )

    assert await asyncio.wait_for(orphan.wait(), 20) == -signal.SIGTERM


def is_running(pid: int) -> bool:
    """Whether the process turns still; a zombie that nobody reaps does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
