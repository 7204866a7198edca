"""The feed of what happens to jobs: rows for the record, notifications for whoever listens right now."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

CHANNEL = "veilrun_jobs"
"""Payload: `{"job": id, "kind": str, ...}`, under PostgreSQL's limit of 8000 bytes."""


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the feed."""

    id: int
    job_id: int
    kind: str
    data: Mapping[str, Any]
    at: datetime


RECORD = """
    with recorded as (insert into events (job_id, kind, data) values (%(job)s, %(kind)s, %(data)s))
    select pg_notify(%(channel)s, %(payload)s)
"""


async def record(connection: AsyncConnection, job_id: int, kind: str, data: Mapping[str, Any]) -> None:
    """Write the event and notify listeners when the transaction commits. `data` holds no prompt and no medium."""
    payload = json.dumps({"job": job_id, "kind": kind, **data})
    values = {"job": job_id, "kind": kind, "data": Jsonb(dict(data)), "channel": CHANNEL, "payload": payload}
    await connection.execute(RECORD, values)


async def progress(connection: AsyncConnection, job_id: int, fence: int, state: Mapping[str, Any]) -> None:
    """Store how far a running job is and notify listeners; not kept in the feed."""
    payload = json.dumps({"job": job_id, "kind": "progress", **state})
    await connection.execute(
        """with stored as (update jobs set progress = %s
                           where id = %s and fence = %s and state = 'running' returning id)
           select pg_notify(%s, %s) from stored""",
        (Jsonb(dict(state)), job_id, fence, CHANNEL, payload),
    )


async def of_job(connection: AsyncConnection, job_id: int) -> list[Event]:
    """What happened to the job, oldest first."""
    async with connection.cursor(row_factory=class_row(Event)) as cursor:
        await cursor.execute("select id, job_id, kind, data, at from events where job_id = %s order by id", (job_id,))
        return await cursor.fetchall()
