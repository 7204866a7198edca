"""Brings the schema up to date. Several processes of several machines may start it at once.

Alembic keeps the order; each revision runs one SQL file in one transaction. The whole is done under a session advisory
lock, which the server frees when the process that holds it dies. The digest of every applied file is kept: a file that
was edited after its release is refused.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, cast

import dramatiq_postgres.schema
import psycopg
from alembic import command, op
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg import sql
from sqlalchemy import Connection, create_engine, pool

from db.errors import SchemaError

Raw: TypeAlias = "psycopg.Connection[tuple[Any, ...]]"

FOLDER = Path(__file__).parent / "migrations"
LOCK = 0x7665696C_0003  # any fixed number: one migration at a time


@dataclass(frozen=True, slots=True)
class Status:
    """Names of the migrations that are applied and of those still to come, in order."""

    applied: tuple[str, ...]
    pending: tuple[str, ...]


def upgrade(dsn: str, folder: Path = FOLDER) -> None:
    """Apply what is pending, and install the broker's own tables.

    Raises: SchemaError if an applied file was edited, or if the schema is newer than this code.
    """
    with _locked(dsn, folder) as (connection, raw):
        config = _config(folder)
        raw.execute("create table if not exists schema_files (revision text primary key, sha256 text not null)")
        raw.commit()
        _check(raw, config, folder)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
        _remember(raw, config, folder)
        with raw.cursor() as cursor:
            dramatiq_postgres.schema.init(cursor)
        raw.commit()


def status(dsn: str, folder: Path = FOLDER) -> Status:
    """What is applied and what is pending."""
    with psycopg.connect(dsn) as raw:
        return _status(raw, _config(folder))


def apply_file(revision: str) -> None:
    """Run `<revision>.sql` in Alembic's transaction; for the modules in `versions/`."""
    folder = Path(op.get_context().config.get_main_option("script_location") or FOLDER)  # type: ignore[union-attr]
    cast(Raw, op.get_bind().connection.dbapi_connection).execute((folder / f"{revision}.sql").read_bytes())


@contextmanager
def _locked(dsn: str, folder: Path) -> Iterator[tuple[Connection, Raw]]:
    """A connection that holds the lock, as SQLAlchemy's and as psycopg's."""
    with psycopg.connect(dsn) as raw:  # here, so that a server that is away is psycopg's error and not SQLAlchemy's
        engine = create_engine("postgresql+psycopg://", creator=lambda: raw, poolclass=pool.NullPool)
        with engine.connect() as connection:
            raw.execute("select pg_advisory_lock(%s)", (LOCK,))
            raw.commit()
            yield connection, raw


def _config(folder: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _revisions(config: Config) -> list[str]:
    return [script.revision for script in reversed(list(ScriptDirectory.from_config(config).walk_revisions()))]


def _status(raw: Raw, config: Config) -> Status:
    revisions = _revisions(config)
    current = None
    if _exists(raw, "schema_version"):
        row = raw.execute("select version_num from schema_version").fetchone()
        current = str(row[0]) if row else None
    if current is not None and current not in revisions:
        raise SchemaError(f"the schema is at {current}, which this version of veilrun does not know: upgrade veilrun")
    reached = revisions.index(current) + 1 if current else 0
    return Status(tuple(revisions[:reached]), tuple(revisions[reached:]))


def _check(raw: Raw, config: Config, folder: Path) -> None:
    applied = _status(raw, config).applied
    for revision in applied:
        row = raw.execute("select sha256 from schema_files where revision = %s", (revision,)).fetchone()
        if row and row[0] != _digest(folder, revision):
            raise SchemaError(f"{revision}.sql was edited after it was applied: restore it and add a new file instead")
    raw.rollback()


def _remember(raw: Raw, config: Config, folder: Path) -> None:
    for revision in _revisions(config):
        raw.execute(
            "insert into schema_files (revision, sha256) values (%s, %s) on conflict do nothing",
            (revision, _digest(folder, revision)),
        )


def _exists(raw: Raw, table: str) -> bool:
    row = raw.execute(sql.SQL("select to_regclass({})").format(sql.Literal(table))).fetchone()
    return bool(row and row[0])


def _digest(folder: Path, revision: str) -> str:
    return hashlib.sha256((folder / f"{revision}.sql").read_bytes()).hexdigest()
