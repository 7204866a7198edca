"""Brings the schema up to date. Several processes of several machines may start it at once.

Alembic keeps the order; each revision runs one SQL file in one transaction. The whole is done under a session advisory
lock, which the server frees when the process that holds it dies. The digest of every applied file is kept: a file that
was edited after its release is refused.

Code goes on with a schema that is newer than itself, since migrations add: while machines are upgraded one after the
other, the old ones may be started again. A file that takes something away has a line that says which migration code
must know to get along with it, `-- needs: 0008_more`; code that does not know it refuses.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import psycopg
from psycopg import sql

from db.errors import SchemaError
from db.pool import named

if TYPE_CHECKING:  # imported where they are used: they take longer to load than most commands take to run
    from alembic.config import Config
    from sqlalchemy import Connection

Raw: TypeAlias = "psycopg.Connection[tuple[Any, ...]]"

FOLDER = Path(__file__).parent / "migrations"
LOCK = 0x7665696C_0003  # any fixed number: one migration at a time
_NEEDS = re.compile(rb"^-- needs: (\w+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Status:
    """Names of the migrations that are applied and of those still to come, in order."""

    applied: tuple[str, ...]
    pending: tuple[str, ...]


def upgrade(dsn: str, folder: Path = FOLDER) -> None:
    """Apply what is pending, and install the broker's own tables.

    Raises: SchemaError if an applied file was edited, if a file fails, if the schema is too new for this code, or if
    the database is not in UTF8; psycopg.OperationalError if it does not answer.
    """
    import dramatiq_postgres.schema
    from alembic import command

    with _locked(dsn) as (connection, raw):
        config = _config(folder)
        raw.execute("create table if not exists schema_files (revision text primary key, sha256 text not null)")
        raw.execute("alter table schema_files add column if not exists needs text")
        raw.commit()
        if _check(raw, config, folder).pending:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
        with raw.cursor() as cursor:
            dramatiq_postgres.schema.init(cursor)
        raw.commit()


def status(dsn: str, folder: Path = FOLDER) -> Status:
    """What is applied and what is pending, of the migrations that this code knows.

    Raises: SchemaError if the schema is too new for this code; psycopg.OperationalError.
    """
    with psycopg.connect(named(dsn, "schema")) as raw:
        return _status(raw, _config(folder))


def apply_file(revision: str) -> None:
    """Run `<revision>.sql` and keep its digest, in Alembic's transaction; for the modules in `versions/`."""
    from alembic import op

    folder = Path(op.get_context().config.get_main_option("script_location") or FOLDER)  # type: ignore[union-attr]
    raw = cast(Raw, op.get_bind().connection.dbapi_connection)
    statements = (folder / f"{revision}.sql").read_bytes()
    try:
        raw.execute(statements)  # without parameters: psycopg then leaves % alone, and takes many statements at once
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        raise SchemaError(f"{revision}.sql failed, nothing of it was applied: {error}") from error
    raw.execute("reset search_path")  # a dump empties it
    digest, needs = hashlib.sha256(statements).hexdigest(), _NEEDS.search(statements)
    raw.execute(
        "insert into schema_files (revision, sha256, needs) values (%s, %s, %s)",
        (revision, digest, needs[1].decode() if needs else None),
    )


@contextmanager
def _locked(dsn: str) -> Iterator[tuple["Connection", Raw]]:
    """A connection that holds the lock, as SQLAlchemy's and as psycopg's."""
    with psycopg.connect(
        named(dsn, "schema")
    ) as raw:  # here, so that a server that is away is psycopg's error and not SQLAlchemy's
        from sqlalchemy import create_engine, pool

        encoding = raw.info.parameter_status("server_encoding")
        if encoding != "UTF8":  # in SQL_ASCII, psycopg gives bytes where SQLAlchemy wants text
            raise SchemaError(f"the database's encoding is {encoding}: create it with encoding UTF8")
        engine = create_engine("postgresql+psycopg://", creator=lambda: raw, poolclass=pool.NullPool)
        with engine.connect() as connection:
            raw.execute("select pg_advisory_lock(%s)", (LOCK,))
            raw.commit()
            yield connection, raw


def _config(folder: Path) -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _revisions(config: "Config") -> list[str]:
    from alembic.script import ScriptDirectory

    return [script.revision for script in reversed(list(ScriptDirectory.from_config(config).walk_revisions()))]


def _status(raw: Raw, config: "Config") -> Status:
    revisions = _revisions(config)
    current = None
    if _exists(raw, "schema_version"):
        row = raw.execute("select version_num from schema_version").fetchone()
        current = str(row[0]) if row else None
    if current is not None and current not in revisions:
        _check_understood(raw, current, revisions)
        return Status(tuple(revisions), ())
    reached = revisions.index(current) + 1 if current else 0
    return Status(tuple(revisions[:reached]), tuple(revisions[reached:]))


def _check_understood(raw: Raw, current: str, revisions: list[str]) -> None:
    """Raises: SchemaError if a newer migration took away what this code uses."""
    for (needs,) in raw.execute("select needs from schema_files where needs is not null").fetchall():
        if needs not in revisions:
            raise SchemaError(
                f"the schema is at {current}, made for versions of veilrun that know {needs}, and this one does not: "
                "upgrade veilrun"
            )


def _check(raw: Raw, config: "Config", folder: Path) -> Status:
    known: dict[str, str] = dict(raw.execute("select revision, sha256 from schema_files").fetchall())
    found = _status(raw, config)
    for revision in found.applied:
        digest = hashlib.sha256((folder / f"{revision}.sql").read_bytes()).hexdigest()
        if known.get(revision) != digest:
            raise SchemaError(f"{revision}.sql was edited after it was applied: restore it and add a new file instead")
    raw.rollback()
    return found


def _exists(raw: Raw, table: str) -> bool:
    row = raw.execute(sql.SQL("select to_regclass({})").format(sql.Literal(table))).fetchone()
    return bool(row and row[0])
