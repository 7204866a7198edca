"""Updates in the table: stored once, taken in order, one lane at a time, done or set aside."""

import pytest

from db import updates
from db.updates import LaneBusy, StoredUpdate


def update(number: int, order_key: int | None = 5, bot_id: int = 1, body: bytes = b"{}") -> StoredUpdate:
    return StoredUpdate(bot_id, number, order_key, body)


@pytest.fixture
async def connection(database):
    connection = await database.connect()
    yield connection
    await connection.close()


@pytest.fixture
async def rival(database):
    connection = await database.connect()
    yield connection
    await connection.close()


async def row(connection, number: int) -> tuple[object, ...]:
    cursor = await connection.execute(
        "select state, attempts, error, body, ended_at is not null from updates where update_id = %s", (number,)
    )
    return await cursor.fetchone()


async def test_storing_tells_which_updates_are_new(connection) -> None:
    assert await updates.store(connection, [update(1), update(2), update(2)]) == {(1, 1), (1, 2)}
    assert await updates.store(connection, [update(2, body=b"other"), update(3), update(3, bot_id=2)]) == {
        (1, 3),
        (2, 3),
    }
    assert (await row(connection, 2))[3] == b"{}"


async def test_storing_nothing_is_nothing(connection) -> None:
    assert await updates.store(connection, []) == set()


async def test_a_body_is_kept_byte_for_byte(connection) -> None:
    body = bytes(range(256))
    await updates.store(connection, [update(1, body=body)])

    async with connection.transaction():
        taken = await updates.take(connection, (1, 5))

    assert taken is not None
    assert taken == update(1, body=body)


async def test_the_oldest_of_the_lane_is_taken_first(connection) -> None:
    await updates.store(connection, [update(3), update(2), update(1, order_key=6), update(1, bot_id=2)])

    async with connection.transaction():
        taken = await updates.take(connection, (1, 5))

    assert taken is not None
    assert taken.update_id == 2


async def test_updates_that_name_no_chat_are_a_lane_of_their_own(connection) -> None:
    await updates.store(connection, [update(1, order_key=0), update(2, order_key=None)])

    async with connection.transaction():
        taken = await updates.take(connection, (1, None))

    assert taken is not None
    assert (taken.update_id, taken.lane) == (2, (1, None))


async def test_an_empty_lane_gives_nothing(connection) -> None:
    async with connection.transaction():
        assert await updates.take(connection, (1, 5)) is None


async def test_a_lane_that_another_process_works_in_is_busy(connection, rival) -> None:
    await updates.store(connection, [update(1), update(2), update(3, order_key=6)])

    async with connection.transaction():
        await updates.take(connection, (1, 5))
        async with rival.transaction():
            with pytest.raises(LaneBusy):
                await updates.take(rival, (1, 5))
        async with rival.transaction():
            other = await updates.take(rival, (1, 6))
        assert other is not None
        assert other.update_id == 3

    async with rival.transaction():
        free = await updates.take(rival, (1, 5))
    assert free is not None
    assert free.update_id == 1


async def test_what_took_effect_is_blanked_and_not_taken_again(connection) -> None:
    await updates.store(connection, [update(1, body=b"my prompt"), update(2)])

    async with connection.transaction():
        taken = await updates.take(connection, (1, 5))
        assert taken is not None
        await updates.mark_done(connection, taken)

    assert await row(connection, 1) == ("done", 0, None, b"", True)
    async with connection.transaction():
        left = await updates.take(connection, (1, 5))
    assert left is not None
    assert left.update_id == 2
    assert await updates.store(connection, [update(1)]) == set()


async def test_an_effect_that_is_rolled_back_leaves_the_update_pending(connection) -> None:
    await updates.store(connection, [update(1, body=b"my prompt")])

    async with connection.transaction(force_rollback=True):
        taken = await updates.take(connection, (1, 5))
        assert taken is not None
        await updates.mark_done(connection, taken)

    assert await row(connection, 1) == ("pending", 0, None, b"my prompt", False)


async def test_an_update_is_set_aside_after_its_last_try_and_keeps_its_body(connection) -> None:
    await updates.store(connection, [update(1, body=b"poison"), update(2)])

    assert not await updates.count_failure(connection, update(1), "KeyError", most=3)
    assert not await updates.count_failure(connection, update(1), "KeyError", most=3)
    assert await row(connection, 1) == ("pending", 2, "KeyError", b"poison", False)
    assert await updates.count_failure(connection, update(1), "ValueError", most=3)

    assert await row(connection, 1) == ("failed", 3, "ValueError", b"poison", True)
    async with connection.transaction():
        left = await updates.take(connection, (1, 5))
    assert left is not None
    assert left.update_id == 2


async def test_a_failure_of_what_is_over_counts_nothing(connection) -> None:
    await updates.store(connection, [update(1)])
    await updates.mark_done(connection, update(1))

    assert not await updates.count_failure(connection, update(1), "KeyError", most=1)
    assert (await row(connection, 1))[:2] == ("done", 0)


async def test_lanes_with_old_pending_updates_are_found_oldest_first(connection) -> None:
    await updates.store(connection, [update(1, 5), update(2, 6), update(3, None), update(4, 7), update(5, 5)])
    await connection.execute("update updates set received_at = now() - make_interval(secs => 10 * update_id)")
    await updates.mark_done(connection, update(4, 7))

    assert await updates.pending_lanes(connection, 0) == [(1, 5), (1, None), (1, 6)]
    assert await updates.pending_lanes(connection, 15) == [(1, 5), (1, None), (1, 6)]
    assert await updates.pending_lanes(connection, 45) == [(1, 5)]
    assert await updates.pending_lanes(connection, 60) == []
    assert await updates.pending_lanes(connection, 0, limit=1) == [(1, 5)]


def test_an_update_shows_no_content() -> None:
    assert "secret" not in repr(update(1, body=b"a secret prompt"))
