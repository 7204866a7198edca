"""A whole database in a file, and back: pg_dump and pg_restore, from the embedded server's own folder or from the path.

The file is PostgreSQL's custom format. The password is given by the environment, never on a command line.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from db.embedded.place import packaged_binaries
from db.errors import DatabaseError

_VARIABLES = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
}
HELD = ("jobs", "updates", "chats", "tokens")


class BackupFailed(DatabaseError):
    """pg_dump or pg_restore ended with an error (its last line), or is not there, or the file is no good."""


class DatabaseInUse(DatabaseError):
    """The database that is to be restored into holds something already."""


def backup(dsn: str, file: Path, *, without_media: bool = False) -> int:
    """Write everything into `file`, readable for its owner alone; its size in bytes. What runs is not held up.

    It is one state of the whole database (a snapshot). without_media: leave out the contents of pictures and videos.

    Raises: BackupFailed.
    """
    partial = file.with_name(f".{file.name}.partial")
    options = ["--format=custom", "--no-owner", "--no-privileges", f"--file={partial}"]
    if without_media:
        options.append("--exclude-table-data=public.blobs")
    try:
        partial.unlink(missing_ok=True)
        os.close(os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600))
        try:
            _run("pg_dump", dsn, options)
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)
        return file.stat().st_size
    except OSError as error:
        raise BackupFailed(f"{file} cannot be written: {error.strerror}") from error


def restore(dsn: str, file: Path, *, force: bool = False) -> None:
    """Put everything in `file` in the place of what the database holds, in one transaction: all of it, or nothing.

    The schema is that of the backup; `db.migrate.upgrade` brings it up to date afterwards.

    Raises: DatabaseInUse if it holds jobs, updates, chats or tokens, unless `force`; BackupFailed.
    """
    try:
        with file.open("rb") as opened:
            beginning = opened.read(5)
    except OSError as error:
        raise BackupFailed(f"{file} cannot be read: {error.strerror}") from error
    if beginning != b"PGDMP":
        raise BackupFailed(f"{file.name} is no backup; `veilrun db backup` makes one")
    if not force:
        _refuse_if_held(dsn)
    options = ["--single-transaction", "--exit-on-error", "--clean", "--if-exists", "--no-owner", "--no-privileges"]
    database = conninfo_to_dict(dsn).get("dbname") or "postgres"
    _run("pg_restore", dsn, [*options, f"--dbname={database}", str(file)])


def _refuse_if_held(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        for table in HELD:
            cursor = connection.execute("select to_regclass(%s) is not null", (table,))
            if cursor.fetchone() == (True,):
                held = connection.execute(f"select exists (select from {table})").fetchone()
                if held == (True,):
                    raise DatabaseInUse(
                        f"the database holds {table} already; restore into an empty one, or replace everything: --force"
                    )


def _run(tool: str, dsn: str, options: Sequence[str]) -> None:
    try:
        done = subprocess.run(
            [str(_found(tool)), *options],
            env={**os.environ, **_environment(dsn)},
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise BackupFailed(f"{tool} cannot be run: {error.strerror}") from error
    if done.returncode:
        raise BackupFailed(f"{tool}: {_last_line(done.stderr)}")


def _found(tool: str) -> Path:
    """The embedded server's own tool, which is as new as any server that it talks to; else the operator's."""
    own = packaged_binaries()
    if own is not None and (own / "bin" / tool).exists():
        return own / "bin" / tool
    known = shutil.which(tool)
    if known is None:
        raise BackupFailed(f"{tool} is not installed here; Debian has it in postgresql-client")
    return Path(known)


def _environment(dsn: str) -> Mapping[str, str]:
    given = conninfo_to_dict(dsn)
    return {variable: str(given[key]) for key, variable in _VARIABLES.items() if given.get(key) is not None}


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
