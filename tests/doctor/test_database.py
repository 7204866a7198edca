"""What the doctor says about the database and what is in it."""

from dataclasses import replace

import pytest

from db import migrate
from db.diagnosis import ServerFacts
from db.embedded import embedded_database
from runtime.doctor.database import server_lines
from runtime.settings import Settings
from tests.conftest import Database
from tests.doctor.deployments import lines

SOUND = ServerFacts("16.4", 160004, 2**30, 5, 97, True, False, "UTF8", 0.0, 0.0, 0.0)


async def test_a_migrated_database_is_told_from_one_that_is_behind(
    settings: Settings, database: Database, empty_database: Database
) -> None:
    migrated = await lines(settings.model_copy(update={"database_url": database.dsn}), "database")
    behind = await lines(settings.model_copy(update={"database_url": empty_database.dsn}), "database")

    assert "none pending" in migrated[-1].text
    assert migrated[-1].level == "ok"
    assert (behind[-1].level, behind[-1].cure) == ("warning", "run `veilrun db migrate`")


async def test_version_size_and_connections_are_told(settings: Settings, database: Database) -> None:
    found = await lines(settings.model_copy(update={"database_url": database.dsn}), "database")

    assert found[0].text.startswith("PostgreSQL 1")
    assert found[0].text.endswith("MiB")
    assert any("connections in use" in line.text for line in found)


async def test_a_database_that_takes_no_writes_is_a_fault(settings: Settings, database: Database) -> None:
    dsn = f"{database.dsn}&options=-c%20default_transaction_read_only%3Don"
    found = await lines(settings.model_copy(update={"database_url": dsn}), "database")

    assert [line.text for line in found if line.level == "fault"] == [
        "it takes no writes: a standby, or set to read only"
    ]


@pytest.mark.parametrize(
    ("facts", "level", "said"),
    [
        (replace(SOUND, version="12.9", version_number=120009), "fault", "too old"),
        (replace(SOUND, encoding="SQL_ASCII"), "fault", "SQL_ASCII"),
        (replace(SOUND, connections=90), "warning", "90 of 97 connections in use"),
        (replace(SOUND, most_connections=20), "warning", "may want 50"),
        (replace(SOUND, is_durable=False), "warning", "a crash loses"),
    ],
)
def test_what_is_wrong_with_a_server_is_named(facts: ServerFacts, level: str, said: str) -> None:
    (line,) = [line for line in server_lines(facts, processes=2) if line.level != "ok"]

    assert line.level == level
    assert said in line.text
    assert line.cure


async def test_a_database_that_is_away_is_a_fault(settings: Settings) -> None:
    url = "postgresql://nobody:secret-password@127.0.0.1:1/none"
    (line,) = await lines(settings.model_copy(update={"database_url": url}), "database")

    assert line.level == "fault"
    assert "secret-password" not in line.text


async def test_the_embedded_database_is_looked_at_while_it_runs_and_never_started(settings: Settings) -> None:
    (before,) = await lines(settings, "database")
    assert not settings.state_dir.exists()
    settings.state_dir.parent.chmod(0o711)
    with embedded_database(settings.state_dir) as dsn:
        migrate.upgrade(dsn)
        during = await lines(settings, "database")
        careless = f"{dsn}&options=-c%20synchronous_commit%3Doff"
        doubted = await lines(settings.model_copy(update={"database_url": careless}), "database")
    (after,) = await lines(settings, "database")

    assert "not running" in before.text
    assert "none pending" in during[-1].text
    assert {line.level for line in during} == {"ok"}
    assert ["a crash loses" in line.text for line in doubted if line.level == "warning"] == [True]
    assert "not running" in after.text


async def test_dead_jobs_and_commands_kept_away_from_a_backend_are_told(settings: Settings, database: Database) -> None:
    async with await database.connect() as connection:
        await connection.execute("insert into backends (name) values ('gpu-a')")
        await connection.execute(
            "with added as (insert into commands (name, aliases, plugin, plugin_version, summary, workflow_digest,"
            " workflow) values ('flux', '{}', 'flux', '1', '', '', '{}') returning id)"
            " insert into jobs (command_id, command, arguments, state) select id, 'flux', '{}', 'dead' from added"
        )
        await connection.execute(
            "insert into breakers (backend, bucket, failures, error, opened_at, openings, retry_at)"
            " values ('gpu-a', 'flux --dev', 3, 'NodeFailed', now(), 1, now() + interval '1 minute')"
        )
    found = await lines(settings.model_copy(update={"database_url": database.dsn}), "jobs")

    assert [line.level for line in found] == ["ok", "warning", "warning"]
    assert "1 gave up" in found[1].text
    assert "on gpu-a, flux --dev failed there 3 times in a row (NodeFailed)" in found[2].text
    assert 'veilrun backends reset gpu-a "flux --dev"' in found[2].cure
