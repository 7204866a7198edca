"""Backends as their operator sees and steers them. How the scheduler sees them: `db.placement`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg import AsyncConnection
from psycopg.rows import class_row, scalar_row
from psycopg.types.json import Jsonb

from db import recalls
from db.placement import LOCK


async def names(connection: AsyncConnection) -> list[str]:
    """Every backend that there is or was."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute("select name from backends order by name")
        return await cursor.fetchall()


async def drain(connection: AsyncConnection, name: str, reason: str | None) -> list[int] | None:
    """Place nothing new there until `resume`; what runs there ends well. None: there is no such backend.

    The jobs that wait there behind another one are asked to come back: their numbers. Those that have begun by the time
    their workers hear of it stay. It waits for a decision of the scheduler that is being made, so that nothing
    comes after.
    """
    await connection.execute("select pg_advisory_xact_lock(%s)", (LOCK,))
    recalled = await recalls.ask_back(connection, name)  # jobs before backends, as a worker locks them that claims one
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(
            """update backends set drained_at = coalesce(drained_at, now()), drain_reason = %s
               where name = %s returning true""",
            (reason, name),
        )
        if await cursor.fetchone() is None:
            return None
    return recalled


async def resume(connection: AsyncConnection, name: str) -> bool | None:
    """Let jobs be placed there again. False: it was not drained. None: there is no such backend."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(
            """with known as (select drained_at from backends where name = %(name)s for update),
                    resumed as (update backends set drained_at = null, drain_reason = null where name = %(name)s)
               select drained_at is not null from known""",
            {"name": name},
        )
        was_drained: bool | None = await cursor.fetchone()
        return was_drained


async def busy_with(connection: AsyncConnection, name: str) -> list[int]:
    """The jobs that run there, wait there or have their results fetched from there."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(
            "select id from jobs where backend = %s and state in ('placed', 'running') order by id", (name,)
        )
        return await cursor.fetchall()


@dataclass(frozen=True, slots=True)
class Listed:
    """A backend with everything that is known of it.

    health: of its server, whether drained or not. devices: its cards, `{"name": …, "vram_gb": …}`, as it tells itself.
    doubt: what of that does not fit the registry. running, waiting, collecting: jobs by number; at most one runs.
    used_at: when it was last seen with a job. released_at: when it was told to let go of its weights.
    """

    name: str
    device: str
    vram_gb: float
    health: Literal["unknown", "ready", "away", "drained"]
    health_reason: str | None
    drained_at: datetime | None
    drain_reason: str | None
    warm_model_set: str | None
    running: Sequence[int]
    waiting: Sequence[int]
    collecting: Sequence[int]
    missing: Mapping[str, str]
    devices: Sequence[Mapping[str, Any]]
    doubt: str | None
    round_trip_seconds: float | None
    comfyui_version: str | None
    checked_at: datetime | None
    used_at: datetime | None
    released_at: datetime | None


LIST = """
    with work as (
        select jobs.backend,
            array_agg(jobs.id order by began_at is null, placed_at, jobs.id)
                filter (where slots.job_id is not null) as held,
            array_agg(jobs.id order by jobs.id) filter (where slots.job_id is null) as collecting
        from jobs left join slots on slots.job_id = jobs.id
        where jobs.state in ('placed', 'running') group by jobs.backend)
    select name, device, vram_gb, health, health_reason, drained_at, drain_reason, warm_model_set,
        coalesce(held[:1], '{}') as running, coalesce(held[2:], '{}') as waiting,
        coalesce(collecting, '{}') as collecting, missing, devices, doubt, round_trip_seconds, comfyui_version,
        checked_at, used_at, released_at
    from backends left join work on work.backend = name
    order by name
"""


async def listed(connection: AsyncConnection) -> list[Listed]:
    """Every backend that there is or was, by name."""
    async with connection.cursor(row_factory=class_row(Listed)) as cursor:
        await cursor.execute(LIST)
        return await cursor.fetchall()


async def tell_devices(
    connection: AsyncConnection, name: str, devices: Sequence[Mapping[str, Any]], doubt: str | None
) -> None:
    """Store which cards the server says it has, and what of it does not fit the registry."""
    await connection.execute(
        "update backends set devices = %s, doubt = %s where name = %s", (Jsonb(list(devices)), doubt, name)
    )


IDLE = """
    select name from backends
    join unnest(%(names)s::text[], %(seconds)s::float8[]) as given (wanted, seconds) on wanted = name
    where health = 'ready' and used_at < now() - make_interval(secs => seconds)
      and (released_at is null or released_at < used_at)
"""


async def idle(connection: AsyncConnection, seconds: Mapping[str, float]) -> list[str]:
    """Those of the backends that have had no job of ours for so many seconds, and still hold weights of ours.

    It notes of the others that they are in use: call it several times within the shortest of these times.
    """
    await connection.execute(
        """update backends set used_at = now()
           where name = any(%s)
             and exists (select from jobs where backend = name and state in ('placed', 'running'))""",
        (list(seconds),),
    )
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(IDLE, {"names": list(seconds), "seconds": list(seconds.values())})
        return await cursor.fetchall()


async def release(connection: AsyncConnection, name: str, seconds: float) -> datetime | None:
    """Take it upon oneself to let the backend go of its weights, which count as gone now. When that was.

    None: somebody else did, or a job came. No job is placed there while the transaction lasts.
    """
    await connection.execute("select pg_advisory_xact_lock(%s)", (LOCK,))
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(
            """update backends set released_at = now(), warm_model_set = null
               where name = %s and used_at < now() - make_interval(secs => %s)
                 and (released_at is null or released_at < used_at)
                 and not exists (select from jobs where backend = name and state in ('placed', 'running'))
               returning released_at""",
            (name, seconds),
        )
        released_at: datetime | None = await cursor.fetchone()
        return released_at


async def not_released(connection: AsyncConnection, name: str, released_at: datetime) -> None:
    """It could not be told: somebody has to try again."""
    await connection.execute(
        "update backends set released_at = null where name = %s and released_at = %s", (name, released_at)
    )


async def forget_weights(connection: AsyncConnection, name: str) -> None:
    """The backend has nothing loaded any more."""
    await connection.execute("update backends set warm_model_set = null where name = %s", (name,))
