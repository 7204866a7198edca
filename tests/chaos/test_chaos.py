"""The whole product under blows. `make chaos` runs it for longer; CHAOS_SEED repeats a schedule.

CHAOS_JOBS (300), CHAOS_SECONDS (32) in which they are asked for and everything is struck, CHAOS_USERS (40),
CHAOS_WORKERS (2), CHAOS_GPUS (2), CHAOS_SEED (random), CHAOS_LOGS (a folder to keep the logs in).
"""

import asyncio
import os
import random
from pathlib import Path

import pytest

from tests.chaos.crowd import ask, wishes
from tests.chaos.field import Field, deployed
from tests.chaos.reckoning import reckon, settled
from tests.chaos.schedule import Strike, schedule

JOBS = int(os.environ.get("CHAOS_JOBS", "300"))
SECONDS = float(os.environ.get("CHAOS_SECONDS", "32"))
USERS = int(os.environ.get("CHAOS_USERS", "40"))
WORKERS = int(os.environ.get("CHAOS_WORKERS", "2"))
GPUS = int(os.environ.get("CHAOS_GPUS", "2"))
SEED = int(os.environ.get("CHAOS_SEED") or random.randrange(10_000))

SETTLE_SECONDS = 120.0
"""From the last blow to the end. A message whose sender was killed counts as unknown after a minute."""

pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.timeout(SECONDS * 3 + 300)]


async def strike_all(field: Field, strikes: list[Strike]) -> None:
    """Each at its time; a blow may last while the next one falls, but the database is struck once at a time."""
    clock = asyncio.get_running_loop().time
    began = clock()
    async with asyncio.TaskGroup() as blows:
        for strike in strikes:
            await asyncio.sleep(max(0.0, began + strike.at - clock()))
            blows.create_task(field.strike(strike))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the processes keep their state and write their logs."""
    chosen = Path(os.environ.get("CHAOS_LOGS") or tmp_path)
    chosen.mkdir(parents=True, exist_ok=True)
    return chosen


async def test_nothing_is_lost_or_doubled_whatever_is_killed(folder: Path, capsys: pytest.CaptureFixture[str]):
    async with deployed(folder, workers=WORKERS, gpus=GPUS) as field:
        wanted = wishes(SEED, JOBS, USERS, SECONDS)
        asking = asyncio.create_task(ask(field.telegram, wanted))
        await strike_all(field, schedule(SEED, SECONDS))
        asked = await asking
        left = await settled(field, SETTLE_SECONDS)
        books = await reckon(field, asked)

    (folder / "blows.txt").write_text("".join(f"{blow}\n" for blow in field.blows), encoding="utf-8")
    wrong = [*books.balance(), *([f"not done: {left}"] if left else [])]
    with capsys.disabled():
        print(f"\nchaos: seed {SEED}, {JOBS} jobs in {SECONDS:g} s, {WORKERS} workers, {GPUS} GPUs")
        print(books.table())
        for line in wrong:
            print(f"  WRONG {line}")
    assert not wrong
