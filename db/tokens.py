"""Tokens of callers over HTTP: made, looked up by their hash, counted, revoked. The text of a token is never here."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import class_row, scalar_row

BURST_SECONDS = 60.0
"""A token may spend the requests of so much time at once, then at an even pace."""


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token to be known from now on. hash: SHA-256 of its text; prefix: the beginning of it, for people.

    commands: the names of those it may invoke, None = all. Bounds, None = none: requests a minute, jobs that are not
    over, jobs asked for on one day (UTC). seconds: how long it is valid, None = until it is revoked.
    signing_secret: the key of its result webhooks' signatures.
    """

    name: str
    prefix: str
    hash: bytes = field(repr=False)
    signing_secret: bytes = field(repr=False)
    scopes: Sequence[str]
    commands: Sequence[str] | None = None
    per_minute: int | None = None
    open_jobs: int | None = None
    per_day: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """A row of `tokens`. is_expired: as of when it was read. jobs_of_day: asked for today (UTC)."""

    id: int
    name: str
    prefix: str
    hash: bytes = field(repr=False)
    scopes: Sequence[str]
    commands: Sequence[str] | None
    per_minute: int | None
    open_jobs: int | None
    per_day: int | None
    jobs_of_day: int
    created_at: datetime
    expires_at: datetime | None
    is_expired: bool
    revoked_at: datetime | None
    last_used_at: datetime | None


COLUMNS = """id, name, prefix, hash, scopes, commands, per_minute, open_jobs, per_day,
    case when day = (now() at time zone 'utc')::date then jobs_of_day else 0 end as jobs_of_day, created_at, expires_at,
    coalesce(expires_at <= now(), false) as is_expired, revoked_at, last_used_at"""

IS_VALID = "revoked_at is null and (expires_at is null or expires_at > now())"


async def create(connection: AsyncConnection, token: NewToken) -> int:
    """Let the token be known. Its number."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(
            """insert into tokens (name, prefix, hash, signing_secret, scopes, commands, per_minute, open_jobs, per_day,
                   expires_at)
               values (%(name)s, %(prefix)s, %(hash)s, %(signing_secret)s, %(scopes)s, %(commands)s, %(per_minute)s,
                   %(open_jobs)s, %(per_day)s, now() + make_interval(secs => %(seconds)s))
               returning id""",
            _values(token),
        )
        token_id: int = await cursor.fetchone()  # type: ignore[assignment]  # an insert returns its row
        return token_id


def _values(token: NewToken) -> dict[str, Any]:
    values = {name: getattr(token, name) for name in NewToken.__slots__}
    values["scopes"] = list(token.scopes)
    values["commands"] = None if token.commands is None else list(token.commands)
    return values


async def every(connection: AsyncConnection) -> list[Token]:
    """All tokens, revoked and expired ones too, oldest first."""
    async with connection.cursor(row_factory=class_row(Token)) as cursor:
        await cursor.execute(f"select {COLUMNS} from tokens order by id")
        return await cursor.fetchall()


async def is_any_valid(connection: AsyncConnection) -> bool:
    """Whether anybody at all may come over HTTP."""
    cursor = await connection.execute(f"select exists (select from tokens where {IS_VALID})")
    row = await cursor.fetchone()
    return bool(row and row[0])


async def revoke(connection: AsyncConnection, token_id: int) -> bool:
    """Let it be of no use from now on. False if there is no such token that was not revoked before."""
    cursor = await connection.execute(
        "update tokens set revoked_at = now() where id = %s and revoked_at is null returning id", (token_id,)
    )
    return await cursor.fetchone() is not None


@dataclass(frozen=True, slots=True)
class Used:
    """A token that was shown with a request. wait_seconds: until it may come again, 0 = this request is within its
    pace and counts."""

    token: Token
    wait_seconds: float


USE = f"""
    with found as (
        select {COLUMNS},
            greatest(coalesce(rate_at, now()), now()) + make_interval(secs => 60.0 / per_minute) as next_at
        from tokens where hash = %(hash)s for update),
    shown as (
        select *, greatest(coalesce(extract(epoch from next_at - now()), 0) - %(burst)s, 0)::float8 as wait_seconds
        from found),
    counted as (
        update tokens set last_used_at = now(), rate_at = next_at from shown
        where tokens.id = shown.id and wait_seconds = 0 and shown.revoked_at is null and not is_expired)
    select * from shown
"""


async def use(connection: AsyncConnection, digest: bytes) -> Used | None:
    """The token with this hash, whose request counts if it is valid and within its pace; None if there is none."""
    async with connection.cursor() as cursor:
        await cursor.execute(USE, {"hash": digest, "burst": BURST_SECONDS})
        row = await cursor.fetchone()
    if row is None:
        return None
    *columns, _, wait_seconds = row
    return Used(Token(*columns), wait_seconds)


async def jobs_of_day(connection: AsyncConnection, token_id: int) -> tuple[int, float]:
    """How many jobs it has asked for today, and the seconds that today has left (UTC)."""
    cursor = await connection.execute(
        """select case when day = (now() at time zone 'utc')::date then jobs_of_day else 0 end,
               extract(epoch from date_trunc('day', now() at time zone 'utc') + interval '1 day'
                   - now() at time zone 'utc')::float8
           from tokens where id = %s""",
        (token_id,),
    )
    row = await cursor.fetchone()
    return (row[0], row[1]) if row else (0, 0.0)


async def count_job(connection: AsyncConnection, token_id: int) -> None:
    """One more job of today. Last in its transaction: requests of the token wait for the row."""
    await connection.execute(
        """update tokens set day = (now() at time zone 'utc')::date,
               jobs_of_day = case when day = (now() at time zone 'utc')::date then jobs_of_day + 1 else 1 end
           where id = %s""",
        (token_id,),
    )
