"""What is used is kept, what is not is closed in the end."""

import asyncio

import pytest
from structlog.testing import capture_logs

from runtime.scheduler.on_demand import OnDemand

DEADLINE = 5


class Thing:
    """Tells when it was closed."""

    def __init__(self, error: Exception | None = None) -> None:
        self.closed = asyncio.Event()
        self._error = error

    async def close(self) -> None:
        self.closed.set()
        if self._error is not None:
            raise self._error


async def closed(*things: Thing) -> None:
    async with asyncio.timeout(DEADLINE):
        for thing in things:
            await thing.closed.wait()


async def test_a_key_has_one_thing_and_two_keys_have_two() -> None:
    things: OnDemand[str, Thing] = OnDemand(Thing)

    with things.use("a") as first, things.use("b") as other, things.use("a") as second:
        assert first is second
        assert first is not other
    with things.use("a") as third:
        assert third is first


async def test_what_is_idle_for_a_while_is_closed_and_opened_anew_when_wanted() -> None:
    things: OnDemand[str, Thing] = OnDemand(Thing, idle_seconds=0.01)
    with things.use("a") as first:
        pass

    await closed(first)

    assert len(things) == 0
    with things.use("a") as second:
        assert second is not first


async def test_what_is_in_use_is_not_idle_however_often_others_leave_it() -> None:
    things: OnDemand[str, Thing] = OnDemand(Thing, idle_seconds=0)

    with things.use("a") as thing:
        with things.use("a"):
            pass
        with things.use("b") as other:
            pass
        await closed(other)

        assert not thing.closed.is_set()


async def test_used_again_in_time_it_stays() -> None:
    things: OnDemand[str, Thing] = OnDemand(Thing, idle_seconds=0.02)
    with things.use("a") as thing:
        pass
    with things.use("a"), things.use("b") as other:
        await asyncio.sleep(0.04)  # the time at which it would have been closed

        assert not thing.closed.is_set()
    await closed(thing, other)


async def test_of_too_many_those_go_first_that_were_used_longest_ago_and_none_that_is_in_use() -> None:
    things: OnDemand[str, Thing] = OnDemand(Thing, kept=2)
    with things.use("busy") as busy:
        with things.use("old") as old:
            pass
        with things.use("new") as new:
            pass

        await closed(old)
        with things.use("a"), things.use("b"):
            await closed(new)

            assert not busy.closed.is_set()
            assert len(things) == 3, "a job is never refused its own"


async def test_all_are_closed_at_the_end() -> None:
    things: OnDemand[str, Thing] = OnDemand(Thing)
    with things.use("a") as used:
        pass
    with things.use("b") as in_use:
        await things.close()

    assert used.closed.is_set()
    assert in_use.closed.is_set()
    assert len(things) == 0


async def test_a_close_that_fails_is_told() -> None:
    things: OnDemand[str, Thing] = OnDemand(lambda: Thing(RuntimeError()), idle_seconds=0)
    with capture_logs() as logs:
        with things.use("a") as thing:
            pass
        await closed(thing)
        await asyncio.sleep(0)

    assert [line["error"] for line in logs] == ["RuntimeError"]
    with things.use("b"), pytest.raises(RuntimeError):
        await things.close()
