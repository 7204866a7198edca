"""Whether the broker answers, and carries wake-ups rather than keeping them."""

from collections.abc import Iterator
from contextlib import closing

from db.errors import DatabaseError
from runtime.doctor.aside import aside
from runtime.doctor.database import find_database
from runtime.doctor.deployment import Deployment
from runtime.doctor.line import Line, fault, ok, warning
from runtime.settings import Settings
from runtime.worker.broker import BrokerUnsupported, make_broker
from runtime.worker.wakeups import BrokerAway, Condition

SUBJECT = "broker"
MANY = 100
"""So many wake-ups that nobody takes: no worker listens, or all are busy."""

MEANWHILE = "until then jobs start a sweep later, and nothing is lost"


async def check_broker(deployment: Deployment) -> list[Line]:
    """The server that BROKER_URL names, with what waits there."""
    settings = deployment.settings
    try:
        dsn = await aside(lambda: find_database(settings))
    except DatabaseError:
        dsn = None
    if settings.broker_url == "postgresql" and dsn is None:
        return [ok(SUBJECT, "the database: looked at when that runs")]
    try:
        condition = await aside(lambda: _condition(settings, dsn or ""))
    except BrokerUnsupported as error:
        return [fault(SUBJECT, "BROKER_URL cannot be used", str(error))]
    except BrokerAway as error:
        return [fault(SUBJECT, str(error), f"start it, or correct BROKER_URL; {MEANWHILE}")]
    return list(condition_lines(condition))


def condition_lines(condition: Condition) -> Iterator[Line]:
    """What there is to say of a broker that answers."""
    waiting = sum(condition.waiting.values())
    counts = ", ".join(f"{count} for {name}" for name, count in sorted(condition.waiting.items()))
    text = f"{condition.server}, wake-ups that nobody took yet: {counts or 'none, no queue is there yet'}"
    if waiting >= MANY:
        yield warning(SUBJECT, text, "start a worker; more of them, if all are busy")
    else:
        yield ok(SUBJECT, text)
    for said, cure in condition.faults:
        yield fault(SUBJECT, said, cure)
    for said, cure in condition.doubts:
        yield warning(SUBJECT, said, cure)


def _condition(settings: Settings, dsn: str) -> Condition:
    with closing(make_broker(settings.broker_url, dsn)) as broker:
        return broker.condition()
