"""Whether the database answers and has the schema of this version."""

import asyncio

from psycopg import OperationalError

from db import migrate
from db.embedded import running_database
from db.errors import DatabaseError
from runtime.doctor.deployment import Deployment
from runtime.doctor.line import Line, fault, ok, warning

SUBJECT = "database"
SECONDS = 5


async def check_database(deployment: Deployment) -> list[Line]:
    """The operator's database, or the embedded one if it runs now; it is not started here."""
    settings = deployment.settings
    try:
        dsn = settings.database_url or await asyncio.to_thread(running_database, settings.state_dir)
    except DatabaseError as error:
        return [fault(SUBJECT, str(error), "set DATABASE_URL, or another VEILRUN_STATE_DIR")]
    if dsn is None:
        return [ok(SUBJECT, "embedded, and not running now: `veilrun up` starts it")]
    try:
        status = await asyncio.to_thread(migrate.status, _bounded(dsn))
    except OperationalError as error:
        reason = str(error).strip().partition("\n")[0]
        return [fault(SUBJECT, f"it does not answer: {reason}", "start it, or correct DATABASE_URL")]
    except DatabaseError as error:
        return [fault(SUBJECT, str(error), "run the veilrun that belongs to the schema")]
    if status.pending:
        return [warning(SUBJECT, f"{len(status.pending)} migrations are pending", "run `veilrun db migrate`")]
    return [ok(SUBJECT, f"{len(status.applied)} migrations, none pending")]


def _bounded(dsn: str) -> str:
    """The address with a bound on connecting, unless it brings one."""
    if "connect_timeout=" in dsn:
        return dsn
    return f"{dsn}{'&' if '?' in dsn else '?'}connect_timeout={SECONDS}"
