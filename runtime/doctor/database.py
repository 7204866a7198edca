"""Whether the database answers, has the schema of this version, and is set up to keep what it is given."""

from collections.abc import Iterator

from psycopg import AsyncConnection, OperationalError

from db import breakers, diagnosis, migrate, reports
from db.diagnosis import OLDEST, ServerFacts
from db.embedded import running_database
from db.errors import DatabaseError
from db.pool import named
from runtime.doctor.aside import aside
from runtime.doctor.clock import Reading
from runtime.doctor.deployment import Deployment
from runtime.doctor.line import Line, fault, ok, warning
from runtime.scheduler.breakers import reason
from runtime.settings import Settings

SUBJECT = "database"
CONNECTIONS = 25
"""Of one process at most, see docs/operator.md."""

FULL = 0.8
GIB = 2**30


async def check_database(deployment: Deployment) -> list[Line]:
    """The operator's database, or the embedded one if it runs now; it is not started here."""
    settings = deployment.settings
    try:
        dsn = await aside(lambda: find_database(settings))
    except DatabaseError as error:
        return [fault(SUBJECT, str(error), "set DATABASE_URL, or another VEILRUN_STATE_DIR")]
    if dsn is None:
        return [ok(SUBJECT, "embedded, and not running now: `veilrun up` starts it")]
    try:
        facts = await aside(lambda: diagnosis.look(dsn))
        deployment.clocks.append(Reading.of(SUBJECT, facts.database_time, facts.asked_at, facts.answered_at))
        status = await aside(lambda: migrate.status(dsn))
        jobs = [] if status.pending else await _jobs(dsn)
    except OperationalError as error:
        return [fault(SUBJECT, f"it does not answer: {_first_line(error)}", "start it, or correct DATABASE_URL")]
    except DatabaseError as error:
        return [fault(SUBJECT, str(error), "run the veilrun that belongs to the schema")]
    lines = list(server_lines(facts, processes=1 + settings.worker_processes))
    if status.pending:
        lines.append(warning(SUBJECT, f"{len(status.pending)} migrations are pending", "run `veilrun db migrate`"))
    else:
        lines.append(ok(SUBJECT, f"{len(status.applied)} migrations, none pending"))
    return lines + jobs


def find_database(settings: Settings) -> str | None:
    """The address of the deployment's database, None if it is the embedded one and that does not run.

    Raises: DatabaseError.
    """
    return settings.database_url or running_database(settings.state_dir)


def server_lines(facts: ServerFacts, *, processes: int) -> Iterator[Line]:
    """What there is to say of a server that `processes` processes of this machine use."""
    if facts.version_number < OLDEST:
        yield fault(SUBJECT, f"PostgreSQL {facts.version} is too old", f"upgrade it to {OLDEST // 10_000} or newer")
    size = facts.size_bytes / GIB
    text = (
        f"PostgreSQL {facts.version}, {size:.1f} GiB"
        if size >= 0.1
        else f"PostgreSQL {facts.version}, {size * 1024:.0f} MiB"
    )
    yield ok(SUBJECT, text)
    if facts.is_read_only:
        yield fault(SUBJECT, "it takes no writes: a standby, or set to read only", "name the primary in DATABASE_URL")
    if not facts.is_durable:
        text = "fsync or synchronous_commit is off: a crash loses updates that Telegram was told are kept"
        yield warning(SUBJECT, text, "switch both on")
    if facts.encoding != "UTF8":
        yield fault(
            SUBJECT, f"its encoding is {facts.encoding}: prompts cannot be stored", "create it with encoding UTF8"
        )
    used = f"{facts.connections} of {facts.most_connections} connections in use"
    wanted = CONNECTIONS * processes
    if facts.connections > FULL * facts.most_connections:
        yield warning(SUBJECT, used, "raise max_connections, or close what else uses it")
    elif facts.most_connections < wanted:
        text = f"{used}; {processes} processes of this machine may want {wanted}"
        yield warning(SUBJECT, text, "raise max_connections")
    else:
        yield ok(SUBJECT, used)


async def _jobs(dsn: str) -> list[Line]:
    """What the tables say of jobs that need somebody's attention."""
    async with await AsyncConnection.connect(named(dsn, "doctor"), autocommit=True) as connection:
        counted = (await reports.fleet(connection)).jobs
        open_breakers = await breakers.not_closed(connection)
    waiting, running, dead = (
        sum(count for (_, state), count in counted.items() if state in states)
        for states in (("queued", "later"), ("placed", "running"), ("dead",))
    )
    lines = [ok("jobs", f"{waiting} wait, {running} on backends")]
    if dead:
        lines.append(warning("jobs", f"{dead} gave up after all their tries", "see `veilrun jobs list --dead`"))
    for breaker in open_breakers:
        cure = f'mend it, then `veilrun backends reset {breaker.backend} "{breaker.bucket}"`'
        lines.append(warning("jobs", f"on {breaker.backend}, {reason(breaker)}", cure))
    return lines


def _first_line(error: OperationalError) -> str:
    return str(error).strip().partition("\n")[0]
