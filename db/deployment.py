"""Who this deployment is: all processes on one database, and nobody else's."""

from uuid import UUID

from psycopg import AsyncConnection


async def deployment_id(connection: AsyncConnection) -> UUID:
    """A random name that stays with the database."""
    cursor = await connection.execute("select id from deployment")
    row = await cursor.fetchone()
    assert row is not None, "the migration writes the row"
    return UUID(str(row[0]))
