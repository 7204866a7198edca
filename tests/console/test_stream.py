"""Pages that keep themselves up to date."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from tests.console.stage import DEADLINE, MARKER, Stage
from webhooks.console import stream
from webhooks.console.shared import Shared

PAGES = ("", "backends", "backends/gpu-a", "queue", "jobs", "dead", "plugins")


class Follower:
    """An open page that listens."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def event(self) -> tuple[str, Any]:
        """(kind, content) of the next event."""
        kind = ""
        async with asyncio.timeout(DEADLINE):
            while line := await self.response.content.readline():
                text = line.decode().rstrip("\n")
                if text.startswith("event: "):
                    kind = text.removeprefix("event: ")
                if text.startswith("data: "):
                    return kind, json.loads(text.removeprefix("data: "))
        raise EOFError

    async def until(self, word: str) -> dict[str, str]:
        """The parts of the first event that says `word`."""
        while True:
            kind, content = await self.event()
            if kind == "page" and word in json.dumps(content["parts"]):
                return dict(content["parts"])


@contextlib.asynccontextmanager
async def following(stage: Stage, path: str, secret: str) -> AsyncIterator[Follower]:
    headers = {"Accept": "text/event-stream", "Cookie": f"veilrun-console={secret}"}
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(sock_read=DEADLINE)) as session,
        session.get(f"{stage.console}/{path}", headers=headers) as response,
    ):
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert response.headers["Cache-Control"] == "no-store"
        yield Follower(response)


async def test_a_page_hears_of_what_changes_and_of_nothing_else(stage: Stage) -> None:
    await stage.fill()
    async with following(stage, "queue", await stage.session()) as page:
        _, first = await page.event()
        assert set(first["parts"]) == {"nav", "main"}

        number = await stage.job("wan", placement="waiting for gpu-a, which is busy")
        parts = await page.until(f"jobs/{number}")
        assert "waiting for gpu-a, which is busy" in parts["main"]

        await stage.execute("update jobs set placement = 'waiting for gpu-c' where id = %s", number)
        parts = await page.until("waiting for gpu-c")
        assert set(parts) == {"main"}  # the navigation counts as many as before


async def test_events_never_hold_what_users_wrote(stage: Stage) -> None:
    numbers = await stage.fill()
    secret = await stage.session()
    single = [f"jobs/{of_state[0]}" for of_state in numbers.values()]
    for path in (*PAGES, *single):
        async with following(stage, path, secret) as page:
            kind, content = await page.event()
            assert kind == "page"
            assert content["parts"]["main"]
            assert MARKER not in json.dumps(content)


async def test_a_page_is_closed_when_its_session_is_revoked(stage: Stage, monkeypatch) -> None:
    monkeypatch.setattr(stream, "CHECK_SECONDS", 0.1)
    async with following(stage, "", await stage.session()) as page:
        await page.event()
        await stage.execute("delete from console_sessions")
        while (heard := await page.event())[0] == "page":
            pass
        assert heard == ("over", {})
        assert await page.response.content.read() in (b"", b"\n")


async def test_a_page_hears_that_its_job_is_forgotten(stage: Stage) -> None:
    number = await stage.job(state="delivered")
    async with following(stage, f"jobs/{number}", await stage.session()) as page:
        await page.event()
        await stage.execute("delete from jobs")
        while (heard := await page.event())[0] == "page":
            pass
        assert heard == ("gone", {})


async def test_a_page_outlasts_a_database_that_is_away(stage: Stage) -> None:
    async with following(stage, "", await stage.session()) as page:
        await page.event()
        await stage.execute("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()")
        number = await stage.job()
        assert await page.until(f"jobs/{number}")
        await stage.pool.close()
        while (heard := await page.event())[0] == "page":
            pass
        assert heard == ("away", {})


async def test_the_server_stops_though_pages_are_open(stage: Stage) -> None:
    async with following(stage, "", await stage.session()) as page:
        await page.event()
        stage.server.should_exit = True
        with contextlib.suppress(EOFError, aiohttp.ClientPayloadError):
            while True:
                await page.event()


async def test_pages_beyond_a_number_are_not_kept_up_to_date(stage: Stage, monkeypatch) -> None:
    monkeypatch.setattr(stream, "MOST_STREAMS", 1)
    secret = await stage.session()
    async with following(stage, "", secret) as page:
        await page.event()
        headers = {"Accept": "text/event-stream", "Cookie": f"veilrun-console={secret}"}
        async with aiohttp.ClientSession() as session, session.get(f"{stage.console}/", headers=headers) as refused:
            assert (refused.status, refused.headers["Retry-After"]) == (503, "30")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_what_many_want_is_made_once_a_second() -> None:
    clock, made = Clock(), 0
    shared = Shared(1.0, clock)

    async def make() -> int:
        nonlocal made
        made += 1
        await asyncio.sleep(0)
        return made

    assert await asyncio.gather(*(shared.get("snapshot", make) for _ in range(50))) == [1] * 50
    clock.now += 0.9
    assert await shared.get("snapshot", make) == 1
    clock.now += 0.2
    assert await asyncio.gather(*(shared.get("snapshot", make) for _ in range(50))) == [2] * 50
    shared.forget()
    assert await shared.get("snapshot", make) == 3


async def test_what_could_not_be_made_is_tried_again() -> None:
    shared, outcomes = Shared(60.0), [ConnectionError(), 5]

    async def make() -> object:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    with contextlib.suppress(ConnectionError):
        await shared.get("x", make)
    assert await shared.get("x", make) == 5
