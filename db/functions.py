"""What callers over HTTP see of jobs: their own, page by page, and what their idempotency keys stand for."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg import AsyncConnection
from psycopg.rows import class_row

from db.artifacts import COLUMNS as ARTIFACT_COLUMNS
from db.artifacts import Artifact
from db.events import Event
from db.jobs import COLUMNS, Job, State
from db.tokens import IS_VALID


async def job(connection: AsyncConnection, token_id: int, job_id: int) -> Job | None:
    """The job, if it is the token's and the token is valid still; None also if it has expired."""
    async with connection.cursor(row_factory=class_row(Job)) as cursor:
        await cursor.execute(
            f"""select {COLUMNS} from jobs where id = %s and token_id = %s
                  and exists (select from tokens where tokens.id = token_id and {IS_VALID})""",
            (job_id, token_id),
        )
        return await cursor.fetchone()


async def page(
    connection: AsyncConnection,
    token_id: int,
    *,
    before: int | None,
    states: Sequence[State] | None,
    command: str | None,
    limit: int,
) -> list[Job]:
    """The token's jobs, newest first, of those with a smaller number than `before`."""
    async with connection.cursor(row_factory=class_row(Job)) as cursor:
        await cursor.execute(
            f"""select {COLUMNS} from jobs
                where token_id = %(token)s and (%(before)s::bigint is null or id < %(before)s)
                  and (%(states)s::text[] is null or state = any(%(states)s))
                  and (%(command)s::text is null or command = %(command)s)
                order by id desc limit %(limit)s""",
            {
                "token": token_id,
                "before": before,
                "states": None if states is None else list(states),
                "command": command,
                "limit": limit,
            },
        )
        return await cursor.fetchall()


async def outputs(connection: AsyncConnection, job_ids: Sequence[int]) -> Mapping[int, Sequence[Artifact]]:
    """What each of these jobs made, in order."""
    found: defaultdict[int, list[Artifact]] = defaultdict(list)
    async with connection.cursor(row_factory=class_row(Artifact)) as cursor:
        await cursor.execute(
            f"select {ARTIFACT_COLUMNS} from artifacts where job_id = any(%s) order by position", (list(job_ids),)
        )
        async for artifact in cursor:
            if artifact.job_id is not None:
                found[artifact.job_id].append(artifact)
    return found


async def events_after(connection: AsyncConnection, job_id: int, event_id: int) -> list[Event]:
    """What happened to the job after this event, oldest first."""
    async with connection.cursor(row_factory=class_row(Event)) as cursor:
        await cursor.execute(
            "select id, job_id, kind, data, at from events where job_id = %s and id > %s order by id",
            (job_id, event_id),
        )
        return await cursor.fetchall()


@dataclass(frozen=True, slots=True)
class Kept:
    """What a key stands for. request: digest of what was asked for; job_id: None = the job is not kept any more."""

    request: bytes
    job_id: int | None


async def kept(connection: AsyncConnection, token_id: int, key: str) -> Kept | None:
    """What the token's key stands for, exactly while `db.admission.lock_owner` is held; None: nothing (any more)."""
    async with connection.cursor(row_factory=class_row(Kept)) as cursor:
        await cursor.execute(
            "select request, job_id from idempotency_keys where token_id = %s and key = %s", (token_id, key)
        )
        return await cursor.fetchone()


async def keep(connection: AsyncConnection, token_id: int, key: str, kept: Kept) -> None:
    """From now on the key stands for this."""
    await connection.execute(
        "insert into idempotency_keys (token_id, key, request, job_id) values (%s, %s, %s, %s)",
        (token_id, key, kept.request, kept.job_id),
    )
