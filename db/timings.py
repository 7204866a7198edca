"""What runs and loads took, learned from tries that went well, and when what is waited for is expected."""

from collections.abc import Mapping
from dataclasses import dataclass

from psycopg import AsyncConnection

from db.events import CHANNEL
from db.leases import HELD, Lease
from db.placement import DEVICE

KEPT = 20
"""How many of the newest runs, and loads, of one kind make its mean."""

MOVED_SECONDS, MOVED_SHARE = 5.0, 0.2
"""An end that is expected so much sooner or later, or by this share of the time until then, is the same still."""

_NEWEST = "(excluded.recent || {table}.recent)[1:%(kept)s]"

# One run that was far off, whichever way, is left out.
_MEAN = f"""(select case when count(*) < 3 then avg(one) else (sum(one) - min(one) - max(one)) / (count(*) - 2) end
             from unnest({_NEWEST}) as one)"""

BEGAN = f"""
    with begun as (
        update jobs set began_at = coalesce(began_at, now() - make_interval(secs => %(ago_seconds)s))
        where {HELD} and not exists (
            select from attempts
            where job_id = jobs.id and attempts.prompt_id = jobs.prompt_id and was_warm is not null)
        returning id, fence, backend, model_set),
    before as (
        select name, warm_model_set from backends join begun on name = begun.backend for update of backends),
    warmed as (
        update backends set used_at = now(),
            warm_since = case when begun.model_set in ('', before.warm_model_set) then warm_since else now() end,
            warm_model_set = coalesce(nullif(begun.model_set, ''), before.warm_model_set)
        from begun join before on before.name = begun.backend where backends.name = before.name)
    update attempts set was_warm = begun.model_set = '' or begun.model_set is not distinct from before.warm_model_set
    from begun join before on before.name = begun.backend
    where attempts.job_id = begun.id and attempts.fence = begun.fence
"""


async def began(connection: AsyncConnection, lease: Lease, *, ago_seconds: float = 0.0) -> None:
    """The backend has begun with the job, so long ago: it has the job's weights now, and the try was warm if it had
    them before. Told again, or without the lease, it changes nothing.
    """
    values = {"job_id": lease.job_id, "fence": lease.fence, "owner": lease.owner, "ago_seconds": ago_seconds}
    await connection.execute(BEGAN, values)


LEARN = f"""
    with tried as (
        select jobs.id, attempts.fence, bucket, jobs.model_set, {DEVICE} as device,
            coalesce(attempts.was_warm, (
                select earlier.was_warm from attempts as earlier
                where earlier.job_id = jobs.id and earlier.prompt_id = attempts.prompt_id
                  and earlier.was_warm is not null
                order by earlier.number desc limit 1)) as was_warm
        from jobs join attempts on attempts.job_id = jobs.id and attempts.fence = %(fence)s
        join backends on backends.name = attempts.backend
        where jobs.id = %(job_id)s),
    known as (
        select run_times.seconds from run_times join tried using (bucket, device)
        where run_times.size_class = %(size_class)s and runs > 0),
    taken as (
        select from run_times join tried using (bucket, device)
        where run_times.size_class = %(size_class)s for update of run_times skip locked),
    is_free as (
        select exists (select from taken) or not exists (
            select from run_times join tried using (bucket, device)
            where run_times.size_class = %(size_class)s) as to_learn),
    split as (
        select tried.*, known.seconds is not null as is_known,
            case when was_warm then null when known.seconds is not null then greatest(%(seconds)s - known.seconds, 0)
                else %(load_seconds)s::float8 end as load
        from tried left join known on true where was_warm is not null),
    noted as (
        update attempts set was_warm = split.was_warm, load_seconds = split.load,
            run_seconds = %(seconds)s - coalesce(split.load, 0)
        from split where attempts.job_id = split.id and attempts.fence = split.fence),
    ran as (
        insert into run_times (bucket, device, size_class, seconds, runs, recent)
        select bucket, device, %(size_class)s, %(seconds)s - coalesce(load, 0), case when was_warm then 1 else 0 end,
            case when was_warm then array[%(seconds)s::float8] else '{{}}' end
        from split, is_free where to_learn and (was_warm or (load is not null and not is_known))
        on conflict (bucket, device, size_class) do update set
            runs = run_times.runs + excluded.runs,
            recent = {_NEWEST.format(table="run_times")},
            seconds = case when excluded.runs = 0 then excluded.seconds else {_MEAN.format(table="run_times")} end
        where excluded.runs > 0 or run_times.runs = 0)
    insert into load_times (model_set, device, seconds, recent)
    select model_set, device, load, array[load] from split where load is not null
    on conflict (model_set, device) do update set
        loads = load_times.loads + 1,
        recent = {_NEWEST.format(table="load_times")},
        seconds = {_MEAN.format(table="load_times")}
"""


async def learn(
    connection: AsyncConnection, lease: Lease, *, seconds: float, size_class: str, load_seconds: float | None = None
) -> None:
    """The try of this lease took the backend so long, loading included, and did all its work.

    A warm run counts as a run of that size. Of a cold one, what it took more than warm ones is a load; as long as there
    was no warm one it is split by load_seconds, its load as estimated from the pace of its steps.

    Who learns of a run of the same kind in this moment is not waited for: this one is left out of the mean.
    """
    values = {
        "job_id": lease.job_id,
        "fence": lease.fence,
        "seconds": seconds,
        "size_class": size_class,
        "load_seconds": None if load_seconds is None else min(load_seconds, seconds),
        "kept": KEPT,
    }
    await connection.execute(LEARN, values)


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds by (command with variant, device, size class), and by (model set, device)."""

    runs: Mapping[tuple[str, str, str], float]
    loads: Mapping[tuple[str, str], float]


async def read(connection: AsyncConnection) -> Measured:
    """Everything that was learned."""
    runs = await connection.execute("select bucket, device, size_class, seconds from run_times")
    loads = await connection.execute("select model_set, device, seconds from load_times")
    return Measured(
        {(bucket, device, size): seconds async for bucket, device, size, seconds in runs},
        {(model_set, device): seconds async for model_set, device, seconds in loads},
    )


EXPECT = """
    with moved as (
        update jobs set expected_at = now() + make_interval(secs => given.seconds)
        from unnest(%(ids)s::bigint[], %(seconds)s::float8[]) as given (number, seconds)
        where jobs.id = given.number and state in ('queued', 'placed', 'running') and began_at is null
        returning id, status_message_id)
    select pg_notify(%(channel)s, jsonb_build_object('job', id, 'kind', 'expected')::text)
    from moved where status_message_id is not null
"""


async def expect(connection: AsyncConnection, ends: Mapping[int, float | None]) -> None:
    """Store in how many seconds the run of each of these jobs is expected to be over; None: nobody can say.

    One that has begun is left alone: its worker sees how it gets on. Who shows a status message is told.
    """
    if ends:
        values = {"ids": list(ends), "seconds": list(ends.values()), "channel": CHANNEL}
        await connection.execute(EXPECT, values)


EXPECT_RUNNING = f"""
    update jobs set expected_at = now() + make_interval(secs => %(left)s)
    where {HELD} and (expected_at is null or abs(extract(epoch from expected_at - now()) - %(left)s)
                                             > greatest(%(least)s, %(share)s * %(left)s))
"""


async def expect_running(connection: AsyncConnection, lease: Lease, left_seconds: float) -> None:
    """The run of this lease is seen to need so long still. What was expected before stays if it is about the same."""
    values = {"job_id": lease.job_id, "fence": lease.fence, "owner": lease.owner, "left": left_seconds}
    await connection.execute(EXPECT_RUNNING, {**values, "least": MOVED_SECONDS, "share": MOVED_SHARE})
