"""Each database gives its deployment a name of its own."""

from db import migrate
from db.deployment import deployment_id
from tests.conftest import Database


async def test_the_name_stays_and_no_other_database_has_it(database: Database, empty_database: Database) -> None:
    migrate.upgrade(empty_database.dsn)

    async with await database.connect() as here, await empty_database.connect() as elsewhere:
        names = [await deployment_id(here), await deployment_id(here), await deployment_id(elsewhere)]

    assert names[0] == names[1]
    assert names[0] != names[2]
