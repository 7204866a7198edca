"""Who may work on a job, and until when. All times are the database's; the fence settles every race.

A worker claims a placed job and holds it by heartbeats. What it writes at the end is guarded by fence and owner, so a
worker that froze past its lease changes nothing. An expired lease puts the job back on its slot, with its prompt id, so
that the next worker finds the prompt that the backend is rendering already.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from psycopg import AsyncConnection
from psycopg.rows import class_row, scalar_row
from psycopg.types.json import Jsonb

from db import deliveries, events
from db.jobs import COLUMNS, Job


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on one job. `owner` is unique per process start; `seconds` is how long a heartbeat lasts."""

    job_id: int
    fence: int
    owner: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Wakeup:
    """What a Dramatiq message for `execute` carries."""

    job_id: int
    fence: int


CLAIM = f"""
    with claimed as (
        update jobs set state = 'running', attempt = attempt + 1, fence = fence + 1, lease_owner = %(owner)s,
            lease_until = now() + make_interval(secs => %(seconds)s), started_at = coalesce(started_at, now()),
            prompt_id = coalesce(prompt_id, %(prompt_id)s),
            command_id = coalesce((%(versions)s ->> command)::bigint, command_id)
        where id = (select id from jobs where id = %(job_id)s and state = 'placed' and fence = %(fence)s
                    for update)
        returning {COLUMNS}),
    opened as (
        insert into attempts (job_id, number, fence, command_id, backend, prompt_id, worker)
        select id, attempt, fence, command_id, backend, prompt_id, %(owner)s from claimed)
    select {COLUMNS} from claimed
"""


async def claim(
    connection: AsyncConnection,
    wakeup: Wakeup,
    *,
    owner: str,
    seconds: float,
    prompt_id: str,
    versions: Mapping[str, int],
) -> tuple[Job, Lease] | None:
    """Take the placed job for `owner`; None if the wake-up was stale, doubled or late: then there is nothing to do.

    On the disk when committed, and with it the placement, which did not wait for that: the prompt is posted next, and a
    crash of the database server must not make the job one that nobody began.
    prompt_id: under which the prompt will be posted, unless the job has one, which an earlier worker may have posted.
    versions: command -> its row in `commands`, the version that this process runs.
    """
    values = {"job_id": wakeup.job_id, "fence": wakeup.fence, "owner": owner, "seconds": seconds}
    async with connection.cursor(row_factory=class_row(Job)) as cursor:
        await cursor.execute(CLAIM, {**values, "prompt_id": prompt_id, "versions": Jsonb(dict(versions))})
        job = await cursor.fetchone()
    if job is None:
        return None
    await events.record(connection, job.id, "running", {"attempt": job.attempt, "backend": job.backend})
    return job, Lease(job.id, job.fence, owner, seconds)


HELD = "id = %(job_id)s and fence = %(fence)s and lease_owner = %(owner)s and state = 'running'"


def _values(lease: Lease, **more: Any) -> dict[str, Any]:
    return {"job_id": lease.job_id, "fence": lease.fence, "owner": lease.owner, "seconds": lease.seconds, **more}


@dataclass(frozen=True, slots=True)
class Asked:
    """What is wanted of whoever works on a job: that it be stopped for good, or go back into the queue."""

    cancel_requested: bool
    recall_requested: bool


async def heartbeat(connection: AsyncConnection, lease: Lease) -> Asked | None:
    """Extend the lease. None: it is lost, stop working; else what was asked for."""
    async with connection.cursor(row_factory=class_row(Asked)) as cursor:
        await cursor.execute(
            f"""update jobs set lease_until = now() + make_interval(secs => %(seconds)s)
                where {HELD} returning cancel_requested, recall_requested""",
            _values(lease),
        )
        return await cursor.fetchone()


async def free_slot(connection: AsyncConnection, lease: Lease) -> None:
    """The backend is done with the job's prompt: let the next job have its place while this one is collected."""
    await connection.execute(
        f"update slots set job_id = null where job_id = (select id from jobs where {HELD})", _values(lease)
    )


RELEASE = """,
    freed as (update slots set job_id = null from released where slots.job_id = released.id),
    closed as (update attempts set ended_at = now(), outcome = %(outcome)s, error = %(error)s
               from released where attempts.job_id = released.id and attempts.fence = %(fence)s)
    select state from released
"""

END = f"""
    with released as (
        update jobs set state = %(outcome)s, error = %(error)s, error_detail = %(detail)s, ended_at = now(),
            lease_owner = null, lease_until = null, progress = null, recall_requested = false
        where {HELD} and lease_until > now() returning id, state){RELEASE}
"""


async def end(
    connection: AsyncConnection,
    lease: Lease,
    state: Literal["collected", "failed", "cancelled", "dead"],
    *,
    error: str | None = None,
    detail: str | None = None,
) -> bool:
    """End the job in the caller's transaction. False: fenced out, so the caller rolls back everything it wrote.

    error: class name of what went wrong; detail: one line for the user, without prompt or media.
    """
    cursor = await connection.execute(END, _values(lease, outcome=state, error=error, detail=detail))
    await events.record(connection, lease.job_id, state, {"error": error} if error else {})
    return await cursor.fetchone() is not None


REQUEUE = f"""
    with released as (
        update jobs set state = case when cancel_requested then 'cancelled' else 'queued' end,
            ended_at = case when cancel_requested then now() end,
            run_at = now() + make_interval(secs => %(delay)s), is_due = %(delay)s <= 0, backend = null,
            began_at = null, recall_requested = false,
            prompt_id = null, woken_at = null, lease_owner = null, lease_until = null, progress = null,
            max_attempts = max_attempts + case when %(counts)s then 0 else 1 end,
            fence = fence + 1, error = %(error)s, error_detail = %(detail)s
        where {HELD} and lease_until > now() returning id, state){RELEASE}
"""


async def requeue(
    connection: AsyncConnection, lease: Lease, *, error: str, detail: str, delay_seconds: float, counts: bool = True
) -> Literal["queued", "cancelled"] | None:
    """Give the job back for another try on any backend, after a delay; it is over instead if its user cancelled it.

    counts: whether the try that ended is one of those that the job has.
    None: fenced out, as for `end`.
    """
    values = _values(lease, outcome="requeued", error=error, detail=detail, delay=delay_seconds, counts=counts)
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(REQUEUE, values)
        state: Literal["queued", "cancelled"] | None = await cursor.fetchone()
    if state is not None:
        await events.record(connection, lease.job_id, state, {"error": error, "delay_seconds": delay_seconds})
    return state


RECALL = f"""
    with released as (
        update jobs set state = case when cancel_requested then 'cancelled' else 'queued' end,
            ended_at = case when cancel_requested then now() end, is_due = true, backend = null, began_at = null,
            recall_requested = false, recalls = recalls + 1, prompt_id = null, woken_at = null, lease_owner = null,
            lease_until = null, progress = null, max_attempts = max_attempts + 1, fence = fence + 1
        where {HELD} and lease_until > now() returning id, state){RELEASE}
"""


async def recall(connection: AsyncConnection, lease: Lease) -> Literal["queued", "cancelled"] | None:
    """Put the job back into its old place in the queue; it is over instead if its user cancelled it.

    Its prompt is on no backend. It costs the job none of its tries. None: fenced out, as for `end`.
    """
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(RECALL, _values(lease, outcome="recalled", error=None))
        state: Literal["queued", "cancelled"] | None = await cursor.fetchone()
    if state is not None:
        await events.record(connection, lease.job_id, state, {"recalled": True})
    return state


async def stay(connection: AsyncConnection, lease: Lease, *, has_begun: bool) -> None:
    """The job was asked back, and stays where it is. has_begun: because it runs there or has run."""
    await connection.execute(
        f"""update jobs set recall_requested = false,
                began_at = case when %(has_begun)s then coalesce(began_at, now()) else began_at end
            where {HELD} and recall_requested""",
        _values(lease, has_begun=has_begun),
    )


HAND_BACK = f"""
    with released as (
        update jobs set state = 'placed', max_attempts = max_attempts + 1, fence = fence + 1, woken_at = now(),
            lease_owner = null, lease_until = null
        where {HELD} and lease_until > now() returning id as job_id, fence),
    closed as (update attempts set ended_at = now(), outcome = 'handed back'
               from released where attempts.job_id = released.job_id and attempts.fence = %(fence)s)
    select job_id, fence from released
"""


async def hand_back(connection: AsyncConnection, lease: Lease) -> Wakeup | None:
    """Leave the job on its slot, with its prompt, to the next worker. The wake-up to send; None: lease lost already.

    It costs the job none of its tries.
    """
    async with connection.cursor(row_factory=class_row(Wakeup)) as cursor:
        await cursor.execute(HAND_BACK, _values(lease))
        wakeup = await cursor.fetchone()
    if wakeup is not None:
        await events.record(connection, lease.job_id, "placed", {"handed_back": True})
    return wakeup


@dataclass(frozen=True, slots=True)
class Reaped:
    """A job whose worker was lost: back on its slot ('placed'), also if it was cancelled, so that the next worker stops
    its prompt; after its last try, and FREE_LOSSES more, cancelled as was asked, or dead."""

    id: int
    state: Literal["placed", "cancelled", "dead"]
    chat_id: int | None


FREE_LOSSES = 3
"""So often a job may lose its worker without losing a try: seldom is it the job that ends a worker."""

REAP = """
    with lost as (
        select id, case when (select count(*) from attempts where job_id = jobs.id and outcome = 'lost') < %(free)s
                        then max_attempts + 1 else max_attempts end as tries
        from jobs where state = 'running' and lease_until < now() order by lease_until limit %(limit)s
        for update skip locked)
    update jobs set
        max_attempts = tries,
        state = case when attempt < tries then 'placed' when cancel_requested then 'cancelled' else 'dead' end,
        ended_at = case when attempt < tries then null else now() end,
        error = case when attempt < tries then error else 'WorkerLost' end,
        error_detail = case when attempt < tries then error_detail
                            else 'It was started ' || attempt || ' times, and the program ended each time.' end,
        fence = fence + 1, woken_at = null, lease_owner = null, lease_until = null, progress = null,
        is_hook_owed = attempt >= tries
    from lost where jobs.id = lost.id
    returning jobs.id, state, chat_id
"""


async def expire(connection: AsyncConnection, owners: Sequence[str]) -> None:
    """These processes are no more: what they worked on is taken back by the next `reap`."""
    await connection.execute(
        "update jobs set lease_until = '-infinity' where state = 'running' and lease_owner = any(%s)", (list(owners),)
    )


async def reap(connection: AsyncConnection, limit: int = 100) -> list[Reaped]:
    """Take jobs back from workers that stopped their heartbeat. The chat of a dead one is owed a message."""
    async with connection.cursor(row_factory=class_row(Reaped)) as cursor:
        await cursor.execute(REAP, {"limit": limit, "free": FREE_LOSSES})
        reaped = await cursor.fetchall()
    for job in reaped:
        await connection.execute(
            """update attempts set ended_at = now(), outcome = 'lost', error = 'WorkerLost'
               where job_id = %s and ended_at is null""",
            (job.id,),
        )
        if job.state != "placed":
            await connection.execute("update slots set job_id = null where job_id = %s", (job.id,))
        if job.state == "dead" and job.chat_id is not None:
            await deliveries.owe(connection, job.chat_id, "failure", {}, job.id, is_woken=False)
        await events.record(connection, job.id, job.state, {"error": "WorkerLost"})
    return reaped


async def due_wakeups(connection: AsyncConnection, stale_seconds: float, limit: int = 100) -> list[Wakeup]:
    """Placed jobs whose wake-up was never sent or seems lost; each is marked as woken now."""
    async with connection.cursor(row_factory=class_row(Wakeup)) as cursor:
        await cursor.execute(
            """update jobs set woken_at = now()
               where id in (select id from jobs where state = 'placed'
                              and (woken_at is null or woken_at < now() - make_interval(secs => %s))
                            order by woken_at nulls first limit %s for update skip locked)
               returning id as job_id, fence""",
            (stale_seconds, limit),
        )
        return await cursor.fetchall()


async def not_woken(connection: AsyncConnection, wakeups: Sequence[Wakeup]) -> None:
    """Nobody could be told of these jobs: let the next sweep that can try at once."""
    await connection.execute(
        """update jobs set woken_at = null from unnest(%s::bigint[], %s::bigint[]) as untold (id, fence)
           where jobs.id = untold.id and jobs.fence = untold.fence and state = 'placed'""",
        ([wakeup.job_id for wakeup in wakeups], [wakeup.fence for wakeup in wakeups]),
    )
