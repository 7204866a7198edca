"""`veilrun db`: the database's schema. Also opens the database for the other commands."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from psycopg import AsyncConnection

from db import backup as backups
from db import migrate
from db.embedded import resolve_database
from runtime.cli.output import AsJson, Commands, print_json, screen
from runtime.settings import Settings, read_settings

app = Commands(help="Bring the database up to date, back it up, restore it.")


def add_to(parent: typer.Typer) -> None:
    """Register these commands."""
    parent.add_typer(app, name="db", epilog="Example: veilrun db status")


T = TypeVar("T")


@contextlib.contextmanager
def database(settings: Settings) -> Iterator[str]:
    """The address of the database: DATABASE_URL, or the embedded server, which runs while this is open."""
    with resolve_database(settings.database_url, settings.state_dir) as dsn:
        yield dsn


@contextlib.asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[AsyncConnection]:
    """One connection for a short command; what it wrote is committed at the end."""
    async with await AsyncConnection.connect(dsn) as connection:
        yield connection


def ask(question: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    """Answer `question` with the up-to-date database of this deployment."""

    async def answer(dsn: str) -> T:
        async with connected(dsn) as connection:
            return await question(connection)

    with database(read_settings()) as dsn:
        migrate.upgrade(dsn)
        return asyncio.run(answer(dsn))


@app.command(epilog="Example: DATABASE_URL=postgresql://bot@db/veilrun veilrun db migrate")
def migrate_command() -> None:
    """Bring the schema up to date. Several machines may do so at once."""
    with database(read_settings()) as dsn:
        before = migrate.status(dsn)
        migrate.upgrade(dsn)
    screen.print(f"applied {len(before.pending)} migration(s)" if before.pending else "the schema is up to date")


@app.command(epilog="Example: veilrun db status --json")
def status(as_json: AsJson = False) -> None:
    """Show which migrations are applied. Exit status 1 if some are pending."""
    with database(read_settings()) as dsn:
        found = migrate.status(dsn)
    document: dict[str, Any] = {"applied": list(found.applied), "pending": list(found.pending)}
    if as_json:
        print_json(document)
    else:
        for name in found.applied:
            screen.print(f"applied  {name}")
        for name in found.pending:
            screen.print(f"pending  {name}")
    raise typer.Exit(1 if found.pending else 0)


@app.command(epilog="Example: veilrun db backup /var/backups/veilrun-2026-11-23.dump")
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File to write, for its owner alone.")],
    without_media: Annotated[
        bool, typer.Option("--without-media", help="Leave out the contents of pictures and videos.")
    ] = False,
) -> None:
    """Save the whole database in a file, while everything runs.

    It holds prompts and, without --without-media, pictures: keep it as you keep the database.
    """
    with database(read_settings()) as dsn:
        size = backups.backup(dsn, file, without_media=without_media)
    screen.print(f"{size / 1e6:.1f} MB are in {file}", markup=False, soft_wrap=True)


@app.command(epilog="Example: veilrun db restore /var/backups/veilrun-2026-11-23.dump")
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `veilrun db backup` wrote.")],
    force: Annotated[bool, typer.Option("--force", help="Replace what the database holds.")] = False,
) -> None:
    """Put a backup in the place of the database.

    All of it or nothing; then the schema is brought up to date. Stop every process of veilrun first. A database that
    holds something is refused.
    """
    with database(read_settings()) as dsn:
        backups.restore(dsn, file, force=force)
        migrate.upgrade(dsn)
    screen.print(f"{file} is restored", markup=False, soft_wrap=True)


app.registered_commands[0].name = "migrate"
