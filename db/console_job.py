"""One job as the operators' console shows it: everything but what its user wrote, sent or got."""

from dataclasses import dataclass
from datetime import datetime

from psycopg import AsyncConnection
from psycopg.rows import class_row

from db.jobs import State


@dataclass(frozen=True, slots=True)
class Detail:
    """A job without its arguments. plugin, plugin_version: of the version of the command that it is to run, or ran.

    error: class name. input_count: of pictures that it works on.
    """

    id: int
    state: State
    command: str
    variant: str | None
    bucket: str
    plugin: str
    plugin_version: str
    model_set: str
    size_class: str
    user_id: int | None
    chat_id: int | None
    token_id: int | None
    priority: int
    attempt: int
    max_attempts: int
    recalls: int
    is_due: bool
    cancel_requested: bool
    input_count: int
    backend: str | None
    placement: str | None
    error: str | None
    phase: str | None
    fraction: float | None
    step: int | None
    steps: int | None
    created_at: datetime
    run_at: datetime
    placed_at: datetime | None
    began_at: datetime | None
    ended_at: datetime | None
    expected_at: datetime | None


DETAIL = """
    select jobs.id, state, command, variant, bucket, plugin, plugin_version, model_set, size_class, user_id, chat_id,
        jobs.token_id, priority, attempt, max_attempts, recalls, is_due, cancel_requested, input_count,
        backend, placement, error,
        progress ->> 'phase' as phase, (progress ->> 'fraction')::float8 as fraction,
        (progress ->> 'step')::int as step, (progress ->> 'steps')::int as steps,
        created_at, run_at, placed_at, began_at, ended_at, expected_at
    from jobs join commands on commands.id = command_id where jobs.id = %s
"""


async def detail(connection: AsyncConnection, job_id: int) -> Detail | None:
    """The job, or None if there is none (or it has expired)."""
    async with connection.cursor(row_factory=class_row(Detail)) as cursor:
        await cursor.execute(DETAIL, (job_id,))
        return await cursor.fetchone()


async def argument_kinds(connection: AsyncConnection, job_id: int) -> dict[str, str]:
    """Which parameters the job has a value for: name -> `string`, `number`, `array`, … Values stay where they are."""
    cursor = await connection.execute(
        """select key, jsonb_typeof(value) from jobs, jsonb_each(arguments)
           where id = %s and jsonb_typeof(arguments) = 'object' order by key""",
        (job_id,),
    )
    return {name: kind async for name, kind in cursor}


@dataclass(frozen=True, slots=True)
class Message:
    """A message that the job owes or owed to its chat."""

    kind: str
    state: str
    attempts: int
    created_at: datetime
    ended_at: datetime | None


async def messages(connection: AsyncConnection, job_id: int) -> list[Message]:
    """What its chat gets of it, oldest first."""
    async with connection.cursor(row_factory=class_row(Message)) as cursor:
        await cursor.execute(
            "select kind, state, attempts, created_at, ended_at from deliveries where job_id = %s order by id",
            (job_id,),
        )
        return await cursor.fetchall()
