"""Wake-ups for backends that this machine does not reach, while another one does: sent on, and not followed."""

import structlog

from db import views
from db.leases import Wakeup
from runtime.worker.sweeper import STALE_SECONDS
from runtime.worker.workplace import Workplace

log = structlog.get_logger("veilrun.execute")

FIRST_SECONDS = 0.1


async def pass_on(workplace: Workplace, wakeup: Wakeup) -> bool:
    """Whether the job is for another machine; then its wake-up is sent again soon, for that one to take.

    Any worker may get it, this one too: each round waits twice as long as the one before. What nobody took in time
    for the next sweep is left to the sweepers, which begin anew.

    Raises: psycopg.OperationalError if the database is away.
    """
    health = workplace.health
    if health.is_reaching_all:
        return False
    async with workplace.pool.connection() as connection:
        waited = await views.elsewhere(connection, wakeup, machine=health.machine, reached=health.reached)
    if waited is None:
        return False
    pause = max(waited, FIRST_SECONDS)
    log.info("wake-up passed on", job=wakeup.job_id, pause_seconds=round(pause, 1))
    if waited + pause < STALE_SECONDS:
        workplace.after(pause, lambda: workplace.wake([wakeup]))
    return True
