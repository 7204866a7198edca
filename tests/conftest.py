"""Real parts for every test: a PostgreSQL server for the run, and a fresh, migrated database for each test."""

import itertools
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
import pytest
import structlog
from psycopg import AsyncConnection, sql
from psycopg.conninfo import conninfo_to_dict

from db import migrate
from db.embedded import embedded_database
from runtime.logs import CHATTY, OURS, REPEATING, SECRET_IN_URL, Lines

TEMPLATE = "veilrun_template"
MEMORY = Path("/dev/shm")
MEMORY_BYTES = 4 << 30
"""Temporary files are kept in memory where so much of it is free: databases are made several times faster there."""

_numbers = itertools.count()


def pytest_addoption(parser: pytest.Parser) -> None:
    """What `.ci/run` asks for."""
    parser.addoption("--no-skips", action="store_true", help="Fail if any test was skipped.")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A skipped test fails the run, if that is wanted. Its reason stands in the summary."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.config.getoption("no_skips") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_configure(config: pytest.Config) -> None:
    """Choose where temporary files go, for this process, its xdist workers and everything that tests start."""
    if "TMPDIR" in os.environ or not os.access(MEMORY, os.W_OK) or shutil.disk_usage(MEMORY).free < MEMORY_BYTES:
        return
    tempfile.tempdir = os.environ["TMPDIR"] = str(MEMORY)


@pytest.fixture(scope="session", autouse=True)
def loggers_that_can_be_configured_again() -> Iterator[None]:
    """A logger that is cached would keep what it was given first."""
    configure = structlog.configure

    def configure_uncached(**how: Any) -> None:
        configure(**{**how, "cache_logger_on_first_use": False})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(structlog, "configure", configure_uncached)
        yield


@pytest.fixture(autouse=True)
def logs_as_at_first() -> None:
    """A command that was run in this process configured logs for streams of its own, which are closed by now."""
    structlog.reset_defaults()
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if not isinstance(handler, Lines)]
    root.setLevel(logging.WARNING)
    for name in (OURS, *SECRET_IN_URL, *CHATTY, *REPEATING):
        logging.getLogger(name).setLevel(logging.NOTSET)


@dataclass(frozen=True)
class Database:
    """A migrated database of the test's own."""

    dsn: str

    async def connect(self, *, autocommit: bool = True) -> AsyncConnection:
        return await AsyncConnection.connect(self.dsn, autocommit=autocommit)


@pytest.fixture(scope="session")
def database_server() -> Iterator[str]:
    """The address of a server that lives as long as the test run: DATABASE_URL, or the embedded one."""
    with ExitStack() as stack:
        dsn = os.environ.get("DATABASE_URL")
        if not dsn:
            folder = Path(tempfile.mkdtemp(prefix="veilrun-tests-"))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            folder.chmod(0o711)  # as root, the server runs as another user
            dsn = stack.enter_context(embedded_database(folder))
            for statement in ("alter system set fsync = off", "select pg_reload_conf()"):  # nothing outlives the tests
                _administer(dsn, sql.SQL(statement))
        template = f"{TEMPLATE}_{os.getpid()}"
        _administer(dsn, sql.SQL("create database {}").format(sql.Identifier(template)))
        stack.callback(_administer, dsn, sql.SQL("drop database {}").format(sql.Identifier(template)))
        migrate.upgrade(_named(dsn, template))
        yield dsn


@pytest.fixture
def database(database_server: str) -> Iterator[Database]:
    """A fresh database with the whole schema."""
    with database_of(database_server) as dsn:
        yield Database(dsn)


@contextmanager
def database_of(database_server: str) -> Iterator[str]:
    """A fresh database of this server, for fixtures that several tests share."""
    name = f"veilrun_test_{os.getpid()}_{next(_numbers)}"
    template = sql.Identifier(f"{TEMPLATE}_{os.getpid()}")
    _administer(
        database_server,
        sql.SQL("create database {} template {} strategy file_copy").format(sql.Identifier(name), template),
    )
    yield _named(database_server, name)
    _administer(database_server, sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def empty_database(database_server: str) -> Iterator[Database]:
    """A database with nothing in it."""
    name = f"veilrun_empty_{os.getpid()}_{next(_numbers)}"
    _administer(database_server, sql.SQL("create database {}").format(sql.Identifier(name)))
    yield Database(_named(database_server, name))
    _administer(database_server, sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def _named(dsn: str, name: str) -> str:
    """The same server, another database; as a URL, since the broker takes nothing else."""
    parts = {key: str(value) for key, value in conninfo_to_dict(dsn).items() if key != "dbname"}
    return f"postgresql:///{quote(name)}?{urlencode(parts, quote_via=quote)}"


def _administer(dsn: str, statement: sql.Composable) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement)
