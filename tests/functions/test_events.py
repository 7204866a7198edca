"""A job's life as it happens."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import aiohttp

from db import events
from tests.functions.conftest import picture
from tests.functions.service import Service, eventually, parsed_events
from webhooks.functions.sharing import MOST_STREAMS_OF_ONE


@contextlib.asynccontextmanager
async def following(service: Service, token: str, job_id: int, **headers: str) -> AsyncIterator[aiohttp.ClientResponse]:
    headers = {"Authorization": f"Bearer {token}", **headers}
    async with service.session.get(f"{service.url}/jobs/{job_id}/events", headers=headers) as answer:
        yield answer


async def until(answer: aiohttp.ClientResponse, words: bytes) -> bytes:
    """What comes up to these words."""
    read = b""
    async with asyncio.timeout(10):
        while words not in read:
            read += await answer.content.readany()
    return read


async def test_a_job_is_told_from_its_beginning_to_its_end(service: Service, token: str) -> None:
    job_id = (await service.ask(token)).json["id"]

    async with following(service, token, job_id) as answer:
        read = await until(answer, b'"queued"')
        await service.query("update jobs set state = 'running', progress = '{\"fraction\": 0.5}'")
        async with service.pool.connection() as connection:
            await events.record(connection, job_id, "running", {"attempt": 1, "backend": "gpu-a"})
        read += await until(answer, b"progress")
        await service.finish(job_id, picture())
        read += await answer.read()

    assert answer.headers["Content-Type"].startswith("text/event-stream")
    found = parsed_events(read.decode())
    assert [one["event"] for one in found if one["event"] != "progress"] == ["state", "state", "state", "end"]
    states = [json.loads(one["data"]) for one in found if one["event"] == "state"]
    assert [one["state"] for one in states] == ["queued", "running", "succeeded"]
    assert (states[1]["attempt"], states[1]["backend"]) == (1, "gpu-a")
    assert json.loads(found[-1]["data"])["artifacts"][0]["kind"] == "image"
    assert [json.loads(one["data"])["fraction"] for one in found if one["event"] == "progress"] == [0.5]


async def test_whoever_comes_back_goes_on_after_the_last_event(service: Service, token: str) -> None:
    job_id = (await service.ask(token)).json["id"]
    async with following(service, token, job_id) as answer:
        (first,) = parsed_events((await until(answer, b'"queued"')).decode())
    await service.finish(job_id, picture())

    async with following(service, token, job_id, **{"Last-Event-ID": first["id"]}) as answer:
        found = parsed_events((await answer.read()).decode())
    async with following(service, token, job_id, **{"Last-Event-ID": found[-1]["id"]}) as answer:
        seen_all = answer.status

    assert [one["event"] for one in found] == ["state", "end"]
    assert seen_all == 204


async def test_a_failure_has_a_code(service: Service, token: str) -> None:
    job_id = (await service.ask(token)).json["id"]
    await service.finish(job_id, state="failed", error="RunTimeout")

    async with following(service, token, job_id) as answer:
        found = parsed_events((await answer.read()).decode())

    assert json.loads(found[-2]["data"])["error"] == "run_timeout"
    assert json.loads(found[-1]["data"])["error"]["code"] == "run_timeout"


async def test_a_silent_stream_says_that_it_is_there(service: Service, token: str) -> None:
    job_id = (await service.ask(token)).json["id"]

    async with following(service, token, job_id) as answer:
        assert b": alive\n\n" in await until(answer, b": alive")


async def test_a_stream_ends_with_its_token(service: Service, token: str) -> None:
    job_id = (await service.ask(token)).json["id"]

    async with following(service, token, job_id) as answer:
        await until(answer, b'"queued"')
        await service.query("update tokens set revoked_at = now()")
        async with asyncio.timeout(10):
            await answer.read()


async def test_a_stream_ends_when_the_server_is_about_to_stop(service: Service, token: str) -> None:
    job_id = (await service.ask(token)).json["id"]

    async with following(service, token, job_id) as answer:
        await until(answer, b'"queued"')
        service.is_ending = True
        async with asyncio.timeout(5):
            await answer.read()


async def test_a_token_has_so_many_streams_at_a_time(service: Service, token: str) -> None:
    job_id = (await service.ask(token)).json["id"]

    async with contextlib.AsyncExitStack() as stack:
        for _ in range(MOST_STREAMS_OF_ONE):
            answer = await stack.enter_async_context(following(service, token, job_id))
            await until(answer, b'"queued"')
        refused = await service.get(f"/jobs/{job_id}/events", token)
        asked = await service.ask(token, params={"wait": "30"})
        upload = await service.post("/artifacts", token, data=b"a" * 2**19, headers={"Content-Type": "image/png"})

    assert (refused.status, refused.code) == (429, "too_many_streams")
    assert (upload.status, upload.code) == (429, "too_many_streams")
    assert asked.status == 202  # it is a job all the same, only nobody waits for it

    async def is_open_again() -> bool:
        async with following(service, token, job_id) as answer:
            return answer.status == 200

    await eventually(is_open_again)


async def test_whoever_leaves_costs_no_connection_to_the_database(service: Service, token: str) -> None:
    job_id = (await service.ask(token)).json["id"]

    async with following(service, token, job_id) as answer:
        await until(answer, b'"queued"')
        async with service.holding_up("events") as until_somebody_waits:
            await until_somebody_waits()
            answer.close()
            await service.get("/")  # by then the server has seen it

    assert await service.lost_connections() == 0
