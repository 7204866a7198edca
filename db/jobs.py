"""Jobs as rows: queue one, read it, cancel it. Who may work on one: `db.leases`; where it runs: `db.placement`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

from psycopg import AsyncConnection
from psycopg.rows import class_row, scalar_row
from psycopg.types.json import Jsonb

from db import events

State: TypeAlias = Literal["queued", "placed", "running", "collected", "delivered", "failed", "cancelled", "dead"]
OPEN_STATES: tuple[State, ...] = ("queued", "placed", "running")

TURN_SECONDS = 60.0
"""How much later a job ranks for each job that its user has open already. That is what makes users take turns:
somebody's second job lets pass who comes within a minute with a first one, and nobody who comes after that."""

PRIORITY_SECONDS = 6.0
"""How much earlier a job ranks for each step of priority, which goes from -10 to 10: that is a turn at most."""


def owner_of_token(token_id: int) -> int:
    """The number under which a token waits and is limited, as users are under theirs: no user has one below zero."""
    return -token_id


@dataclass(frozen=True, slots=True)
class NewJob:
    """What dispatch knows of a job. `arguments` holds every parameter's value, the seed included.

    token_id: whose token asked for it over HTTP; a job has a user, or a token, or nobody. traceparent: see
    `runtime.tracing`.
    dedupe_key: a second job with the same key is not queued, ever; unique_key: not while that one is open.
    delay_seconds: earliest start from now. size_class: see `runtime.scheduler.size_class`.
    """

    command_id: int
    command: str
    arguments: Mapping[str, Any]
    variant: str | None = None
    model_set: str = ""
    size_class: str = ""
    max_attempts: int = 3
    chat_id: int | None = None
    user_id: int | None = None
    token_id: int | None = None
    traceparent: str | None = None
    message_id: int | None = None
    thread_id: int | None = None
    media_group_id: str | None = None
    language: str | None = None
    dedupe_key: str | None = None
    unique_key: str | None = None
    priority: int = 0
    delay_seconds: float = 0.0

    @property
    def owner(self) -> int | None:
        """In whose name it waits, as `jobs.owner` says: turns and limits of a token are like those of a user."""
        return self.user_id if self.token_id is None else owner_of_token(self.token_id)


@dataclass(frozen=True, slots=True)
class Job:
    """A row of `jobs`. due_seconds: until it may start, as of when it was read; below 0: since then.

    expected_seconds: the same until its run is expected to be over, None = nobody can say.
    """

    id: int
    state: State
    command_id: int
    command: str
    variant: str | None
    arguments: Mapping[str, Any] = field(repr=False)
    model_set: str
    chat_id: int | None
    user_id: int | None
    token_id: int | None
    traceparent: str | None
    owner: int | None
    message_id: int | None
    thread_id: int | None
    media_group_id: str | None
    language: str | None
    priority: int
    run_at: datetime
    due_seconds: float
    rank_at: datetime
    expected_at: datetime | None
    expected_seconds: float | None
    promised_at: datetime | None
    attempt: int
    max_attempts: int
    fence: int
    cancel_requested: bool
    backend: str | None
    placement: str | None
    prompt_id: str | None
    progress: Mapping[str, Any] | None
    error: str | None
    error_detail: str | None
    status_message_id: int | None
    created_at: datetime
    placed_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    recall_requested: bool

    @property
    def is_over(self) -> bool:
        """No worker will touch it again."""
        return self.state not in OPEN_STATES


COLUMNS = """id, state, command_id, command, variant, arguments, model_set, chat_id, user_id, token_id, owner,
    traceparent,    message_id, thread_id, media_group_id, language, priority, run_at,
    extract(epoch from run_at - now())::float8 as due_seconds, rank_at,
    expected_at, extract(epoch from expected_at - now())::float8 as expected_seconds, promised_at,
    attempt, max_attempts, fence, cancel_requested, backend, placement,
    prompt_id, progress, error, error_detail, status_message_id, created_at, placed_at, started_at, ended_at,
    recall_requested"""

INSERT = """
    with fresh as materialized (
        select now() + make_interval(secs => %(delay_seconds)s) as run_at,
               make_interval(secs => %(turn_seconds)s) as turn),
    beside as materialized (
        select id, state, priority, rank_at from jobs, fresh
        where owner = %(owner)s and state in ('queued', 'placed', 'running')
          and jobs.run_at <= fresh.run_at + turn and greatest(rank_at, now()) >= fresh.run_at - turn),
    own as materialized (
        select run_at, run_at + turn * (select count(*) from beside)
            - make_interval(secs => %(priority)s * %(priority_seconds)s) as rank_at from fresh),
    passed as materialized (
        select id, rank_at from jobs
        where id in (select beside.id from beside, own
                     where state = 'queued' and priority < %(priority)s and beside.rank_at < own.rank_at)
          and state = 'queued'
        for update skip locked),
    inserted as (
        insert into jobs (command_id, command, variant, arguments, model_set, size_class, max_attempts, chat_id,
                          user_id, token_id, message_id, thread_id, media_group_id, language, dedupe_key, unique_key,
                          priority, input_count, traceparent, run_at, is_due, rank_at)
        select %(command_id)s, %(command)s, %(variant)s, %(arguments)s, %(model_set)s, %(size_class)s,
            %(max_attempts)s, %(chat_id)s, %(user_id)s, %(token_id)s, %(message_id)s, %(thread_id)s,
            %(media_group_id)s, %(language)s, %(dedupe_key)s, %(unique_key)s, %(priority)s, %(input_count)s,
            %(traceparent)s, run_at,
            %(delay_seconds)s <= 0, least(rank_at, (select min(rank_at) from passed))
        from own
        on conflict do nothing
        returning id),
    pushed as (
        update jobs set rank_at = next.rank_at
        from (select passed.id,
                  lead(passed.rank_at, 1, own.rank_at) over (order by passed.rank_at, passed.id) as rank_at
              from passed, own) as next, inserted
        where jobs.id = next.id)
    select id from inserted
"""

INSERT_INPUTS = """
    insert into job_inputs (job_id, position, artifact_id)
    select %s, ordinality - 1, artifact_id from unnest(%s::bigint[]) with ordinality as given (artifact_id, ordinality)
"""


async def insert(connection: AsyncConnection, job: NewJob, inputs: Sequence[int] = ()) -> int | None:
    """Queue `job` with the artifacts `inputs`, in order. The new id, or None if its dedupe or unique key is taken.

    Its place is a turn later for each job that the user has open around the time when it may start. Among those that
    wait it goes before the ones of lower priority: it takes the first of their places, each of them that of the next,
    and the last the place that it would have had. So the user's jobs together stand where they would have stood anyway.
    Hold `db.admission.lock_owner` if others may queue jobs of this user or token meanwhile.
    """
    values = {name: getattr(job, name) for name in NewJob.__slots__} | {"arguments": Jsonb(dict(job.arguments))}
    values |= {"turn_seconds": TURN_SECONDS, "priority_seconds": PRIORITY_SECONDS, "input_count": len(inputs)}
    values |= {"owner": job.owner}
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(INSERT, values)
        job_id: int | None = await cursor.fetchone()
        if job_id is None:
            return None
        if inputs:
            await cursor.execute(INSERT_INPUTS, (job_id, list(inputs)))
    await events.record(connection, job_id, "queued", {"command": job.command})
    return job_id


async def get(connection: AsyncConnection, job_id: int) -> Job | None:
    """The job, or None if there is none (or it has expired)."""
    async with connection.cursor(row_factory=class_row(Job)) as cursor:
        await cursor.execute(f"select {COLUMNS} from jobs where id = %s", (job_id,))
        return await cursor.fetchone()


LIST = f"""
    select {COLUMNS} from jobs
    where (%(states)s::text[] is null or state = any(%(states)s))
      and (%(chat_id)s::bigint is null or chat_id = %(chat_id)s)
      and (%(user_id)s::bigint is null or user_id = %(user_id)s)
      and (%(command)s::text is null or command = %(command)s)
    order by id desc limit %(limit)s
"""


async def newest(
    connection: AsyncConnection,
    *,
    states: Sequence[State] | None = None,
    chat_id: int | None = None,
    user_id: int | None = None,
    command: str | None = None,
    limit: int = 50,
) -> list[Job]:
    """The newest jobs first, narrowed to those states, chat, user and command that are given."""
    wanted = {
        "states": list(states) if states else None,
        "chat_id": chat_id,
        "user_id": user_id,
        "command": command,
        "limit": limit,
    }
    async with connection.cursor(row_factory=class_row(Job)) as cursor:
        await cursor.execute(LIST, wanted)
        return await cursor.fetchall()


async def add_input(connection: AsyncConnection, job_id: int, artifact_id: int, *, at_most: int) -> bool:
    """Append one more input to a job that waits still and has fewer than `at_most`. False if it was not added."""
    async with connection.cursor() as cursor:
        await cursor.execute(
            """with added as (
                   insert into job_inputs (job_id, position, artifact_id)
                   select job.id, count(given.position), %(artifact_id)s
                   from (select id from jobs where id = %(job_id)s and state = 'queued' for update) as job
                   left join job_inputs as given on given.job_id = job.id
                   group by job.id having count(given.position) < %(at_most)s returning job_id)
               update jobs set input_count = input_count + 1 from added where jobs.id = added.job_id
               returning jobs.id""",
            {"job_id": job_id, "artifact_id": artifact_id, "at_most": at_most},
        )
        return await cursor.fetchone() is not None  # in pipeline mode there is no rowcount yet


async def of_media_group(connection: AsyncConnection, chat_id: int, media_group_id: str) -> Job | None:
    """The job that an album in this chat asked for, if one did."""
    async with connection.cursor(row_factory=class_row(Job)) as cursor:
        await cursor.execute(
            f"select {COLUMNS} from jobs where chat_id = %s and media_group_id = %s order by id desc limit 1",
            (chat_id, media_group_id),
        )
        return await cursor.fetchone()


async def of_message(connection: AsyncConnection, chat_id: int, message_id: int, states: Sequence[State]) -> list[Job]:
    """The jobs in these states that this chat message asked for, or whose progress it shows, newest first."""
    async with connection.cursor(row_factory=class_row(Job)) as cursor:
        await cursor.execute(
            f"""select {COLUMNS} from jobs where chat_id = %(chat)s and state = any(%(states)s)
                  and (message_id = %(message)s or status_message_id = %(message)s) order by id desc""",
            {"chat": chat_id, "message": message_id, "states": list(states)},
        )
        return await cursor.fetchall()


COUNTED = 100
"""Places in the queue are counted so far; whoever is further behind is at COUNTED + 1, which stands for all of them."""

BUCKETS = """
    with recursive buckets as (
        (select bucket from jobs where state = 'queued' and is_due order by bucket limit 1)
        union all
        select (select jobs.bucket from jobs where state = 'queued' and is_due and jobs.bucket > buckets.bucket
                order by jobs.bucket limit 1)
        from buckets where buckets.bucket is not null)
"""
"""The buckets in which jobs wait, found one by one along the index, whose end is null: no backlog is read for that."""

POSITION = f"""{BUCKETS}
    select least(sum(ahead.count), %(most)s)::int
    from jobs as me cross join buckets cross join lateral (
        select count(*) from (
            select from jobs as other
            where other.state = 'queued' and other.is_due and other.bucket = buckets.bucket
              and (other.rank_at, other.id) <= (me.rank_at, me.id)
            limit %(most)s) as first) as ahead
    where me.id = %(job_id)s and me.state = 'queued' and me.is_due group by me.id
"""


async def position(connection: AsyncConnection, job_id: int) -> int | None:
    """Place in the queue, 1 = next, COUNTED + 1 = beyond COUNTED; None if the job does not wait for a GPU: not any
    more, or not yet."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(POSITION, {"job_id": job_id, "most": COUNTED + 1})
        found: int | None = await cursor.fetchone()
        return found


CANCEL = """
    update jobs set
        cancel_requested = true,
        state = case when begun then state else 'cancelled' end,
        ended_at = case when begun then ended_at else now() end,
        fence = case when begun then fence else fence + 1 end,
        is_hook_owed = not begun
    from (select id as begun_id, state = 'running' or (state = 'placed' and prompt_id is not null) as begun
          from jobs where id = %s for update) as before
    where id = begun_id and state in ('queued', 'placed', 'running')
    returning state
"""


async def cancel(connection: AsyncConnection, job_id: int) -> State | None:
    """Stop the job: at once if it waits ('cancelled'), else through its worker; None: it is over.

    'running': its worker stops it. 'placed': a worker that was lost or ended may have posted its prompt, which the next
    one takes off the backend; until then the job keeps its slot.
    """
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(CANCEL, (job_id,))
        state: State | None = await cursor.fetchone()
        if state == "cancelled":
            await cursor.execute("update slots set job_id = null where job_id = %s", (job_id,))
    if state is not None:
        await events.record(connection, job_id, "cancelled" if state == "cancelled" else "cancel_requested", {})
    return state


async def mark_delivered(connection: AsyncConnection, job_id: int) -> None:
    """The result is in the chat."""
    cursor = await connection.execute(
        "update jobs set state = 'delivered' where id = %s and state = 'collected'", (job_id,)
    )
    if cursor.rowcount:
        await events.record(connection, job_id, "delivered", {})


async def mark_kept(connection: AsyncConnection, job_id: int) -> None:
    """The result of a job that was asked for over HTTP is where it is fetched from: nothing is to be sent."""
    await connection.execute("update jobs set state = 'delivered' where id = %s and state = 'collected'", (job_id,))
    await events.record(connection, job_id, "delivered", {})


async def mark_undelivered(connection: AsyncConnection, job_id: int, error: str) -> None:
    """The result cannot be sent to the chat, ever."""
    cursor = await connection.execute(
        "update jobs set state = 'failed', error = %s where id = %s and state = 'collected'", (error, job_id)
    )
    if cursor.rowcount:
        await events.record(connection, job_id, "failed", {"error": error})


async def set_status_message(connection: AsyncConnection, job_id: int, message_id: int | None) -> None:
    """Remember which chat message shows the job's progress; None when it is gone."""
    await connection.execute("update jobs set status_message_id = %s where id = %s", (message_id, job_id))


async def swap_status_message(connection: AsyncConnection, job_id: int, message_id: int | None) -> int | None:
    """As `set_status_message`; tells which message it was until now."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(
            """with old as (select id, status_message_id from jobs where id = %s for update)
               update jobs set status_message_id = %s from old where jobs.id = old.id
               returning old.status_message_id""",
            (job_id, message_id),
        )
        found: int | None = await cursor.fetchone()
        return found
