"""Counts over the tables, for metrics."""

from collections.abc import Mapping
from dataclasses import dataclass

from psycopg import AsyncConnection


@dataclass(frozen=True, slots=True)
class Fleet:
    """How many jobs there are by (command, state), backends by health, and how long the oldest waiting job waits.

    'later' is the state of those that wait and may not start yet.
    round_trips: seconds that a small request took at the last check, for each backend that answers.
    """

    jobs: Mapping[tuple[str, str], int]
    backends: Mapping[str, int]
    oldest_queued_seconds: float
    round_trips: Mapping[str, float]


async def fleet(connection: AsyncConnection) -> Fleet:
    """The state of everything, as counts."""
    jobs = await connection.execute(
        "select command, case when state = 'queued' and not is_due then 'later' else state end as state, count(*)"
        " from jobs group by 1, 2"
    )
    counted = {(command, state): count async for command, state, count in jobs}
    backends = await connection.execute(
        "select case when drained_at is null then health else 'drained' end, count(*) from backends group by 1"
    )
    healths = {health: count async for health, count in backends}
    measured = await connection.execute(
        "select name, round_trip_seconds from backends where health = 'ready' and round_trip_seconds is not null"
    )
    round_trips = {name: seconds async for name, seconds in measured}
    oldest = await connection.execute(
        "select coalesce(extract(epoch from now() - min(run_at)), 0)::float8 from jobs"
        " where state = 'queued' and run_at <= now()"
    )
    row = await oldest.fetchone()
    return Fleet(counted, healths, row[0] if row else 0.0, round_trips)
