"""What the scheduler reads and writes: waiting jobs, backends and their slots."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from psycopg import AsyncConnection
from psycopg.rows import class_row, scalar_row
from psycopg.types.json import Jsonb

from db import deliveries, events
from db.breakers import NOT_CLOSED, Breaker

LOCK = 0x7665696C_0001  # any fixed number: one scheduler at a time

FROZEN_SECONDS = 5
"""A scheduler that says nothing for so long amid a decision, which takes milliseconds, has been stopped."""

DEVICE = r"""coalesce(nullif(backends.device, ''),
    nullif(regexp_replace(backends.devices -> 0 ->> 'name', '^[a-z]+:[0-9]+ | : [A-Za-z]+$', '', 'g'), 'cpu'),
    backends.name)"""
"""What a backend computes on: as the registry says, else as its server tells ("cuda:0 NVIDIA GeForce RTX 4090 :
cudaMallocAsync"), else a name that it shares with no other."""


@dataclass(frozen=True, slots=True)
class BackendRow:
    """A backend as configured. `slots` = 1 running + look-ahead."""

    name: str
    device: str
    vram_gb: float
    slots: int


@dataclass(frozen=True, slots=True)
class BackendState:
    """A backend as last seen. missing: command (with variant, `flux --dev`) -> why it cannot run there.

    device: see DEVICE.
    """

    name: str
    device: str
    vram_gb: float
    health: Literal["unknown", "ready", "away", "drained"]
    health_reason: str | None
    comfyui_version: str | None
    warm_model_set: str | None
    warm_since: datetime | None
    missing: Mapping[str, str]
    checked_at: datetime | None
    round_trip_seconds: float | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job that may start, as of `seen_at`, the database's clock. near: backends that hold an input of it.

    user_id: whose turn it takes, a user's or a token's (`jobs.owner`).
    """

    id: int
    command: str
    variant: str | None
    model_set: str
    size_class: str
    user_id: int | None
    queued_at: datetime
    rank_at: datetime
    recalls: int
    near: Sequence[str]
    expected_at: datetime | None
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class SlotRow:
    """A place in a backend's pipeline; `job_id` None = free, and then nothing else is told."""

    backend: str
    position: int
    job_id: int | None
    command: str | None
    variant: str | None
    model_set: str | None
    size_class: str | None
    user_id: int | None
    placed_at: datetime | None
    rank_at: datetime | None
    began_at: datetime | None
    is_cold: bool | None
    recalls: int | None
    is_leaving: bool | None
    expected_at: datetime | None


async def sync_backends(connection: AsyncConnection, backends: Sequence[BackendRow]) -> None:
    """Make tables `backends` and `slots` follow the registry. A slot in use stays until its job has left it."""
    await connection.execute("select pg_advisory_xact_lock(%s)", (LOCK,))
    names = [backend.name for backend in backends]
    await connection.execute("delete from slots where job_id is null and not (backend = any(%s))", (names,))
    await connection.execute(
        """update backends set health = 'drained', health_reason = 'not in the registry' where not (name = any(%s))""",
        (names,),
    )
    for backend in backends:
        await connection.execute(
            """insert into backends (name, device, vram_gb) values (%s, %s, %s)
               on conflict (name) do update set device = excluded.device, vram_gb = excluded.vram_gb,
                   health = case when backends.health_reason = 'not in the registry' then 'unknown'
                                 else backends.health end,
                   health_reason = nullif(backends.health_reason, 'not in the registry')""",
            (backend.name, backend.device, backend.vram_gb),
        )
        await connection.execute(
            """insert into slots (backend, position) select %s, generate_series(0, %s - 1) on conflict do nothing""",
            (backend.name, backend.slots),
        )
        await connection.execute(
            "delete from slots where backend = %s and position >= %s and job_id is null", (backend.name, backend.slots)
        )


async def backends(connection: AsyncConnection) -> list[BackendState]:
    """Every backend ever configured, by name."""
    async with connection.cursor(row_factory=class_row(BackendState)) as cursor:
        await cursor.execute(BACKENDS)
        return await cursor.fetchall()


DUE = "update jobs set is_due = true where state = 'queued' and not is_due and run_at <= now()"

# The buckets are found one by one along the index, and of each only the first jobs are read: neither the number of jobs
# that wait nor that of all jobs ever makes a difference.
WAITING = """
    with recursive buckets as (
        (select bucket from jobs where state = 'queued' and is_due order by bucket limit 1)
        union all
        select (select jobs.bucket from jobs where state = 'queued' and is_due and jobs.bucket > buckets.bucket
                order by jobs.bucket limit 1)
        from buckets where buckets.bucket is not null)
    select first.id, command, variant, model_set, size_class, owner as user_id, run_at as queued_at, rank_at, recalls,
        array(select distinct artifacts.backend from job_inputs join artifacts on artifacts.id = artifact_id
              where job_inputs.job_id = first.id and artifacts.backend is not null) as near,
        expected_at, now() as seen_at
    from buckets cross join lateral (
        select id, command, variant, model_set, size_class, owner, run_at, rank_at, recalls, expected_at from jobs
        where state = 'queued' and is_due and jobs.bucket = buckets.bucket
        order by rank_at, id
        limit %(window)s + (select least(count(*), %(window)s) from slots where job_id is null)) as first
    order by rank_at, first.id
"""
SLOTS = """
    select slots.backend, position, jobs.id as job_id, command, variant, model_set, size_class, owner as user_id,
        placed_at, rank_at, began_at, is_cold, recalls, cancel_requested or recall_requested as is_leaving, expected_at
    from slots left join jobs on jobs.id = slots.job_id and jobs.state in ('placed', 'running')
    order by position, slots.backend
"""
BACKENDS = f"""
    select name, {DEVICE} as device, vram_gb, case when drained_at is not null then 'drained' else health end as health,
        case when drained_at is not null then drain_reason else health_reason end as health_reason, comfyui_version,
        warm_model_set, warm_since, missing, checked_at, round_trip_seconds
    from backends order by name
"""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a decision needs. waiting: the first jobs of each command variant, in the order of the queue.
    breakers: those that are not closed.

    The window is per command, so that a crowd before one GPU hides no job that could run on another.
    """

    waiting: Sequence[Waiting]
    slots: Sequence[SlotRow]
    backends: Sequence[BackendState]
    breakers: Sequence[Breaker] = ()


async def snapshot(connection: AsyncConnection, window: int) -> Snapshot:
    """Let no other scheduler decide until this transaction ends, and read what there is to decide.

    window: how many jobs of each command variant are read, beside one for each free slot, up to twice that.

    Raises: psycopg.errors.LockNotAvailable if somebody else has been deciding for twice FROZEN_SECONDS.

    The transaction does not wait for the disk: a decision that is lost with the database server is made again, and one
    that was acted upon is not lost, since the claim waits.
    """
    waiting = connection.cursor(row_factory=class_row(Waiting))
    slots = connection.cursor(row_factory=class_row(SlotRow))
    backends = connection.cursor(row_factory=class_row(BackendState))
    breakers = connection.cursor(row_factory=class_row(Breaker))
    async with connection.pipeline():
        await connection.execute("set local synchronous_commit = off")
        await connection.execute(f"set local lock_timeout = '{2 * FROZEN_SECONDS}s'")
        await connection.execute("select pg_advisory_xact_lock(%s)", (LOCK,))
        await connection.execute(DUE)
        await waiting.execute(WAITING, {"window": window})
        await slots.execute(SLOTS)
        await backends.execute(BACKENDS)
        await breakers.execute(NOT_CLOSED)
        return Snapshot(
            await waiting.fetchall(), await slots.fetchall(), await backends.fetchall(), await breakers.fetchall()
        )


END_FROZEN = """
    select pg_terminate_backend(pid) from pg_locks join pg_stat_activity using (pid)
    where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())
      and classid = %(lock)s >> 32 and objid = %(lock)s & 4294967295 and granted
      and wait_event_type = 'Client'
      and greatest(query_start, state_change) < now() - make_interval(secs => %(seconds)s)
"""


async def end_frozen(connection: AsyncConnection) -> bool:
    """Whether a scheduler was found that stopped amid its decision. The decision is undone, so that others can decide.

    A process that is frozen answers nothing, and its server waits for it without a limit: it has none amid a pipeline.
    """
    cursor = await connection.execute(END_FROZEN, {"lock": LOCK, "seconds": FROZEN_SECONDS})
    return await cursor.fetchone() is not None


PLACE = """
    with slot as (select slots.backend from slots
                  where slots.backend = %(backend)s and position = %(position)s
                    and not exists (select from jobs where jobs.id = job_id and state in ('placed', 'running'))
                  for update),
    placed as (update jobs set state = 'placed', fence = fence + 1, backend = slot.backend, placement = %(reason)s,
                   placed_at = now(), woken_at = now(), is_cold = %(is_cold)s
               from slot where id = %(job_id)s and state = 'queued' returning id, fence),
    taken as (update slots set job_id = placed.id from placed
              where backend = %(backend)s and position = %(position)s),
    recorded as (insert into events (job_id, kind, data) select id, 'placed', %(data)s from placed)
    select fence, pg_notify(%(channel)s, %(payload)s) from placed
"""


async def place(
    connection: AsyncConnection, job_id: int, backend: str, position: int, reason: str, *, is_cold: bool = False
) -> int | None:
    """Give the free slot to the waiting job. The fence of its wake-up, or None if the job does not wait any more.

    is_cold: its weights have to be loaded there.
    """
    values = {
        "job_id": job_id,
        "backend": backend,
        "position": position,
        "reason": reason,
        "is_cold": is_cold,
        "data": Jsonb({"backend": backend}),
        "channel": events.CHANNEL,
        "payload": json.dumps({"job": job_id, "kind": "placed", "backend": backend}),
    }
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(PLACE, values)
        fence: int | None = await cursor.fetchone()
        return fence


async def give_up(connection: AsyncConnection, job_id: int, error: str, detail: str) -> bool:
    """End a job that waits as failed. False if it does not wait any more. `detail` is one line for the user."""
    async with connection.cursor() as cursor:
        await cursor.execute(
            """update jobs set state = 'failed', fence = fence + 1, error = %s, error_detail = %s, ended_at = now(),
                   is_hook_owed = true
               where id = %s and state = 'queued' returning chat_id""",
            (error, detail, job_id),
        )
        row = await cursor.fetchone()
    if row is None:
        return False
    await events.record(connection, job_id, "failed", {"error": error})
    if row[0] is not None:
        await deliveries.owe(connection, row[0], "failure", {}, job_id, is_woken=False)
    return True


async def explain(connection: AsyncConnection, reasons: Mapping[int, str]) -> None:
    """Store why each of these jobs still waits."""
    if reasons:
        await connection.execute(
            """update jobs set placement = given.reason
               from unnest(%s::bigint[], %s::text[]) as given (id, reason)
               where jobs.id = given.id and jobs.state = 'queued' and jobs.placement is distinct from given.reason""",
            (list(reasons), list(reasons.values())),
        )


@dataclass(frozen=True, slots=True)
class CommandRow:
    """One version of a command, for the command -> workflow mapping."""

    name: str
    aliases: tuple[str, ...]
    plugin: str
    plugin_version: str
    summary: str
    workflow_digest: str
    workflow: Mapping[str, Any] = field(repr=False)


async def sync_commands(connection: AsyncConnection, commands: Sequence[CommandRow]) -> Mapping[str, int]:
    """Make the mapping follow the registry: name -> id of the enabled row. Older versions stay, disabled."""
    await connection.execute("select pg_advisory_xact_lock(%s)", (LOCK,))
    ids: dict[str, int] = {}
    async with connection.cursor(row_factory=scalar_row) as cursor:
        for command in commands:
            await cursor.execute(
                """insert into commands (name, aliases, plugin, plugin_version, summary, workflow_digest, workflow)
                   values (%s, %s, %s, %s, %s, %s, %s)
                   on conflict (name, plugin, plugin_version, workflow_digest) do update
                       set aliases = excluded.aliases, summary = excluded.summary, enabled = true, synced_at = now()
                   returning id""",
                (
                    command.name,
                    list(command.aliases),
                    command.plugin,
                    command.plugin_version,
                    command.summary,
                    command.workflow_digest,
                    Jsonb(dict(command.workflow)),
                ),
            )
            ids[command.name] = await cursor.fetchone()  # type: ignore[assignment]
        await cursor.execute(
            "update commands set enabled = false where enabled and not (id = any(%s))", (list(ids.values()),)
        )
    return ids


async def is_offered(connection: AsyncConnection, command: str, variant: str | None) -> bool:
    """Whether the command, in this variant, is enabled by the process that read its registry last."""
    cursor = await connection.execute(
        "select from commands where name = %s and enabled and workflow ? %s limit 1", (command, variant or "")
    )
    return await cursor.fetchone() is not None
