"""Who may look at the operators' console: links that sign in once, and the sessions that they begin.

A digest is the SHA-256 of a secret; the secret itself is never stored.
"""

from dataclasses import dataclass

from psycopg import AsyncConnection
from psycopg.rows import class_row, scalar_row

SEEN_SECONDS = 60.0
"""How exactly it is known when a session was last used."""


async def add_link(connection: AsyncConnection, digest: bytes, seconds: float) -> None:
    """A link that signs in for so long. What has expired is forgotten on this occasion."""
    await connection.execute("delete from console_links where expires_at < now()")
    await connection.execute("delete from console_sessions where expires_at < now()")
    await connection.execute(
        "insert into console_links (digest, expires_at) values (%s, now() + make_interval(secs => %s))",
        (digest, seconds),
    )


SIGN_IN = """
    with used as (delete from console_links where digest = %(link)s returning expires_at)
    insert into console_sessions (digest, expires_at)
    select %(session)s, now() + make_interval(secs => %(seconds)s) from used where expires_at > now()
    returning true
"""


async def sign_in(connection: AsyncConnection, link: bytes, session: bytes, seconds: float) -> bool:
    """Use the link up and begin a session that lasts so long at most. False: there is no such link, or not any more."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(SIGN_IN, {"link": link, "session": session, "seconds": seconds})
        return await cursor.fetchone() is True


@dataclass(frozen=True, slots=True)
class Session:
    """One that lasts. left_seconds: until it ends, however much it is used."""

    left_seconds: float


LOOK = """
    with lasting as (
        select digest, seen_at, extract(epoch from expires_at - now())::float8 as left_seconds from console_sessions
        where digest = %(digest)s and expires_at > now() and seen_at > now() - make_interval(secs => %(idle)s)),
    seen as (
        update console_sessions set seen_at = now() from lasting
        where console_sessions.digest = lasting.digest
          and lasting.seen_at < now() - make_interval(secs => %(exact)s))
    select left_seconds from lasting
"""


async def look(connection: AsyncConnection, digest: bytes, *, idle_seconds: float) -> Session | None:
    """The session, which counts as used now; None if it is over, was ended, or was not used for so long."""
    async with connection.cursor(row_factory=class_row(Session)) as cursor:
        await cursor.execute(LOOK, {"digest": digest, "idle": idle_seconds, "exact": SEEN_SECONDS})
        return await cursor.fetchone()


async def sign_out(connection: AsyncConnection, digest: bytes) -> None:
    """End one session."""
    await connection.execute("delete from console_sessions where digest = %s", (digest,))


async def revoke(connection: AsyncConnection) -> int:
    """End every session, and make every link worthless. How many sessions that were."""
    await connection.execute("delete from console_links")
    return (await connection.execute("delete from console_sessions")).rowcount
