"""How each machine sees each backend. A backend takes jobs as long as one machine reaches it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg import AsyncConnection
from psycopg.rows import class_row, scalar_row
from psycopg.types.json import Jsonb

from db.leases import Wakeup

VIEW_SECONDS = 90.0
"""For so long a view counts: more than the time from one check to the next. A machine that died is believed so long."""

CHANNEL = "veilrun_backends"
"""Payload: `{"doubted": backend, "machine": who lost sight of it}`."""

HERE = "here"
"""The name of the one machine, where nobody says that there are more."""

STORE = """
    insert into backend_views (backend, machine, health, reason)
    select name, %(machine)s, %(health)s, %(reason)s from backends where name = %(name)s
    on conflict (backend, machine) do update
        set health = excluded.health, reason = excluded.reason, checked_at = excluded.checked_at
"""
FORGET = "delete from backend_views where backend = %(name)s and checked_at < now() - make_interval(secs => %(view)s)"
CONCLUDE = """
    update backends set health = best.health, health_reason = best.reason, checked_at = now(),
        comfyui_version = coalesce(%(comfyui_version)s, comfyui_version), missing = coalesce(%(missing)s, missing),
        round_trip_seconds = case when best.health = 'away' then null when %(health)s = 'away' then round_trip_seconds
                                  else %(round_trip_seconds)s end,
        warm_model_set = case when best.health = 'ready' then warm_model_set end
    from (select health, reason from backend_views where backend = %(name)s
          order by health = 'ready' desc, checked_at desc limit 1) as best
    where name = %(name)s and backends.health <> 'drained'
"""


async def report(
    connection: AsyncConnection,
    name: str,
    *,
    machine: str = HERE,
    health: Literal["ready", "away"],
    reason: str | None = None,
    comfyui_version: str | None = None,
    missing: Mapping[str, str] | None = None,
    round_trip_seconds: float | None = None,
) -> None:
    """Store what a check by this machine found, and what follows for the backend: ready if any machine sees it so,
    else away, for the newest reason. One that left the registry stays as it is.
    """
    values = {
        "name": name,
        "machine": machine,
        "health": health,
        "reason": reason,
        "comfyui_version": comfyui_version,
        "missing": Jsonb(dict(missing)) if missing is not None else None,
        "round_trip_seconds": round_trip_seconds,
        "view": VIEW_SECONDS,
    }
    await connection.execute("select from backends where name = %s for update", (name,))  # one conclusion at a time
    for statement in (STORE, FORGET, CONCLUDE):
        await connection.execute(statement, values)


async def doubt(connection: AsyncConnection, name: str, machine: str) -> None:
    """Let the other machines look at the backend at once: this one lost sight of it."""
    await connection.execute(
        "select pg_notify(%s, jsonb_build_object('doubted', %s::text, 'machine', %s::text)::text)",
        (CHANNEL, name, machine),
    )


ELSEWHERE = """
    select extract(epoch from now() - coalesce(woken_at, now()))::double precision from jobs
    where id = %(job_id)s and fence = %(fence)s and state = 'placed' and not (backend = any(%(reached)s))
      and exists (select from backend_views as seen
                  where seen.backend = jobs.backend and machine <> %(machine)s and health = 'ready'
                    and checked_at > now() - make_interval(secs => %(view)s))
"""


async def elsewhere(
    connection: AsyncConnection, wakeup: Wakeup, *, machine: str, reached: Sequence[str]
) -> float | None:
    """Whether the placed job is for another machine: its backend is none of `reached`, and another one sees it.

    Then the seconds since somebody was told of the job first, else None: also if the wake-up is stale, or if no machine
    reaches the backend.
    """
    values = {
        "job_id": wakeup.job_id,
        "fence": wakeup.fence,
        "machine": machine,
        "reached": list(reached),
        "view": VIEW_SECONDS,
    }
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(ELSEWHERE, values)
        seconds: float | None = await cursor.fetchone()
        return seconds


async def is_seen_elsewhere(connection: AsyncConnection, name: str, machine: str) -> bool:
    """Whether another machine reaches the backend."""
    cursor = await connection.execute(
        """select from backend_views where backend = %s and machine <> %s and health = 'ready'
           and checked_at > now() - make_interval(secs => %s) limit 1""",
        (name, machine, VIEW_SECONDS),
    )
    return await cursor.fetchone() is not None


@dataclass(frozen=True, slots=True)
class View:
    """What one machine found at its last check of one backend."""

    backend: str
    machine: str
    health: Literal["ready", "away"]
    reason: str | None
    checked_at: datetime


async def views(connection: AsyncConnection) -> list[View]:
    """The views that count, by backend and machine."""
    async with connection.cursor(row_factory=class_row(View)) as cursor:
        await cursor.execute(
            """select backend, machine, health, reason, checked_at from backend_views
               where checked_at > now() - make_interval(secs => %s) order by backend, machine""",
            (VIEW_SECONDS,),
        )
        return await cursor.fetchall()
