"""What is forgotten, and when."""

from dataclasses import dataclass

from psycopg import AsyncConnection


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How many rows of each table were deleted."""

    updates: int
    jobs: int
    artifacts: int
    deliveries: int


async def forget_expired(connection: AsyncConnection, hours: float) -> Forgotten:
    """Delete what is over and older than `hours`; updates only after a day, for as long as Telegram repeats them, and
    idempotency keys. Result webhooks go with their jobs.

    A job that waits, for later as well, is not over, and what it is to work on is kept with it.
    """

    async def delete(statement: str, age: float) -> int:
        return (await connection.execute(statement, (age,))).rowcount

    older = "< now() - make_interval(secs => %s * 3600)"
    artifacts = await delete(
        f"""delete from artifacts where created_at {older} and not exists
              (select from job_inputs join jobs on jobs.id = job_id
               where artifact_id = artifacts.id and state in ('queued', 'placed', 'running'))""",
        hours,
    )
    jobs = await delete(
        f"""delete from jobs where coalesce(ended_at, created_at) {older}
              and state not in ('queued', 'placed', 'running')""",
        hours,
    )
    deliveries = await delete(
        f"delete from deliveries where ended_at {older} and state not in ('pending', 'sending')", hours
    )
    await delete(f"delete from idempotency_keys where created_at {older}", max(hours, 24.0))
    updates = await delete(f"delete from updates where ended_at {older} and state <> 'pending'", max(hours, 24.0))
    return Forgotten(updates=updates, jobs=jobs, artifacts=artifacts, deliveries=deliveries)
