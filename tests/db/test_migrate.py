"""The schema gets up to date whoever starts first, and however it is interrupted."""

import asyncio
import shutil
import sys
from pathlib import Path

import psycopg
import pytest

from db import migrate
from db.errors import SchemaError
from tests.conftest import Database

RELEASED = tuple(sorted(file.stem for file in migrate.FOLDER.glob("*.sql")))
NEWEST = RELEASED[-1]
UPGRADE = "import sys; from db import migrate; migrate.upgrade(sys.argv[1])"


def tables(dsn: str) -> set[str]:
    with psycopg.connect(dsn) as connection:
        return {row[0] for row in connection.execute("select tablename from pg_tables where schemaname = 'public'")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the migrations, to be changed."""
    return Path(shutil.copytree(migrate.FOLDER, tmp_path / "migrations"))


def add_revision(folder: Path, name: str, after: str, statement: str) -> None:
    (folder / f"{name}.sql").write_text(statement)
    (folder / "versions" / f"{name}.py").write_text(
        f"from db.migrate import apply_file\nrevision = {name!r}\ndown_revision = {after!r}\n"
        "def upgrade():\n    apply_file(revision)\n"
    )


def test_an_empty_database_gets_the_whole_schema(empty_database: Database) -> None:
    assert migrate.status(empty_database.dsn).applied == ()

    migrate.upgrade(empty_database.dsn)

    found = migrate.status(empty_database.dsn)
    assert found.pending == ()
    assert {"updates", "chats", "sessions", "commands", "jobs", "attempts", "artifacts", "deliveries"} <= tables(
        empty_database.dsn
    )
    assert {"backends", "slots", "events"} <= tables(empty_database.dsn)


def test_again_changes_nothing(empty_database: Database) -> None:
    migrate.upgrade(empty_database.dsn)
    before = tables(empty_database.dsn)

    migrate.upgrade(empty_database.dsn)

    assert tables(empty_database.dsn) == before


@pytest.mark.slow
async def test_three_machines_may_start_at_once(empty_database: Database) -> None:
    starting = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", UPGRADE, empty_database.dsn) for _ in range(3)
    ]

    assert [await process.wait() for process in starting] == [0, 0, 0]
    assert migrate.status(empty_database.dsn).pending == ()


@pytest.mark.slow
async def test_killed_in_the_middle_the_next_start_finishes(empty_database: Database, folder: Path) -> None:
    add_revision(folder, "9999_slow", NEWEST, "create table half (x int); select pg_sleep(60);")
    code = (
        "import sys; from pathlib import Path; from db import migrate; migrate.upgrade(sys.argv[1], Path(sys.argv[2]))"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, empty_database.dsn, str(folder))
    async with asyncio.timeout(20), await empty_database.connect() as connection:
        while True:
            found = await connection.execute(
                "select pid from pg_stat_activity where datname = current_database() and query like '%pg_sleep(60)%'"
                " and pid <> pg_backend_pid()"
            )
            if row := await found.fetchone():
                break
        process.kill()
        await process.wait()
        await connection.execute("select pg_terminate_backend(%s)", row)  # the server notices a dead client late

    (folder / "9999_slow.sql").write_text("create table half (x int);")
    await asyncio.to_thread(migrate.upgrade, empty_database.dsn, folder)

    assert "half" in tables(empty_database.dsn)


def test_an_edited_file_is_refused(empty_database: Database, folder: Path) -> None:
    migrate.upgrade(empty_database.dsn, folder)
    with (folder / "0001_first.sql").open("a") as file:
        file.write("-- a second thought\n")

    with pytest.raises(SchemaError, match="was edited after it was applied"):
        migrate.upgrade(empty_database.dsn, folder)


def test_code_goes_on_with_a_newer_schema(empty_database: Database, folder: Path) -> None:
    """As a process of the release before that is started again in the middle of an upgrade."""
    add_revision(folder, "9998_next", NEWEST, "create table next (x int);")
    add_revision(folder, "9999_less", "9998_next", f"-- Since {NEWEST} nobody uses it.\n-- needs: {NEWEST}\n")
    migrate.upgrade(empty_database.dsn, folder)

    migrate.upgrade(empty_database.dsn)

    assert migrate.status(empty_database.dsn) == migrate.Status(RELEASED, ())
    assert migrate.status(empty_database.dsn, folder).pending == ()


def test_a_schema_too_new_for_the_code_is_refused(empty_database: Database, folder: Path) -> None:
    add_revision(folder, "9998_next", NEWEST, "create table next (x int);")
    add_revision(folder, "9999_less", "9998_next", "-- needs: 9998_next\ndrop table events;")
    migrate.upgrade(empty_database.dsn, folder)

    for ask in (migrate.upgrade, migrate.status):
        with pytest.raises(SchemaError, match=r"at 9999_less, made for .* know 9998_next.*: upgrade veilrun"):
            ask(empty_database.dsn)


def test_percent_signs_and_colons_in_sql_are_left_alone(empty_database: Database, folder: Path) -> None:
    add_revision(folder, "9999_odd", NEWEST, "create table odd (x text default '100 %s :name %(y)s');")

    migrate.upgrade(empty_database.dsn, folder)

    assert "odd" in tables(empty_database.dsn)


def test_a_file_that_fails_is_named_and_leaves_nothing_behind(empty_database: Database, folder: Path) -> None:
    add_revision(folder, "9999_wrong", NEWEST, "create table half (x int); create table half (x int);")

    with pytest.raises(SchemaError, match=r"9999_wrong.sql failed.*already exists"):
        migrate.upgrade(empty_database.dsn, folder)

    assert "half" not in tables(empty_database.dsn)
    assert migrate.status(empty_database.dsn, folder) == migrate.Status(RELEASED, ("9999_wrong",))


def test_a_file_may_change_the_search_path(empty_database: Database, folder: Path) -> None:
    add_revision(folder, "9999_dump", NEWEST, "set local search_path = ''; create table public.dumped (x int);")

    migrate.upgrade(empty_database.dsn, folder)

    assert migrate.status(empty_database.dsn, folder).pending == ()
    migrate.upgrade(empty_database.dsn, folder)


def test_a_new_file_may_come_with_more_than_one_release(empty_database: Database, folder: Path) -> None:
    migrate.upgrade(empty_database.dsn)
    add_revision(folder, "9998_one", NEWEST, "create table one (x int);")
    add_revision(folder, "9999_two", "9998_one", "create table two (x int);")
    assert migrate.status(empty_database.dsn, folder).pending == ("9998_one", "9999_two")

    migrate.upgrade(empty_database.dsn, folder)

    assert {"one", "two"} <= tables(empty_database.dsn)


def test_the_brokers_tables_are_installed_once(empty_database: Database) -> None:
    migrate.upgrade(empty_database.dsn)
    with psycopg.connect(empty_database.dsn, autocommit=True) as connection:
        connection.execute("insert into dramatiq.worker values (gen_random_uuid(), now())")

    migrate.upgrade(empty_database.dsn)

    with psycopg.connect(empty_database.dsn) as connection:
        assert connection.execute("select count(*) from dramatiq.worker").fetchone() == (1,)


def test_a_database_in_another_encoding_is_refused(empty_database: Database) -> None:
    """PostgreSQL makes one in SQL_ASCII where no locale is set."""
    with psycopg.connect(empty_database.dsn, autocommit=True) as connection:
        ascii_name = f"{connection.info.dbname}_ascii"
        connection.execute(f"create database {ascii_name} encoding 'SQL_ASCII' template template0")
        try:
            with pytest.raises(SchemaError, match="encoding is SQL_ASCII: create it with encoding UTF8"):
                migrate.upgrade(empty_database.dsn.replace(connection.info.dbname, ascii_name))
        finally:
            connection.execute(f"drop database {ascii_name} with (force)")


def test_a_database_that_is_away_says_so() -> None:
    with pytest.raises(psycopg.OperationalError):
        migrate.upgrade("postgresql://nobody@127.0.0.1:9/nothing")
