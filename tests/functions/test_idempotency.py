"""A request that is sent twice has one effect, if it says that it is the same."""

import asyncio

import aiohttp

from db import retention
from tests.functions.service import FLUX, Service

KEY = {"Idempotency-Key": "order-12"}
SEEDED = {"arguments": {"prompt": "an astronaut", "steps": 4}}


async def test_the_same_key_and_the_same_request_are_the_same_job(service: Service, token: str) -> None:
    first, second = [await service.ask(token, headers=KEY) for _ in range(2)]

    assert first.json["id"] == second.json["id"]
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert await service.query("select count(*) from jobs") == [(1,)]


async def test_it_is_the_same_request_also_as_a_form_and_by_an_alias(service: Service, token: str) -> None:
    first = await service.ask(token, body=SEEDED, headers=KEY)
    form = aiohttp.FormData({"steps": "4", "prompt": "an astronaut"})
    form._is_multipart = True

    second = await service.post("/functions/f", token, data=form, headers=KEY)

    assert second.json["id"] == first.json["id"]


async def test_the_key_of_another_request_is_refused(service: Service, token: str) -> None:
    await service.ask(token, headers=KEY)

    answer = await service.ask(token, body=SEEDED, headers=KEY)

    assert (answer.status, answer.code) == (409, "idempotency_key_reused")


async def test_many_at_once_become_one_job(service: Service, token: str) -> None:
    answers = await asyncio.gather(*(service.ask(token, headers=KEY) for _ in range(12)))

    assert {answer.status for answer in answers} == {202}
    assert len({answer.json["id"] for answer in answers}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1


async def test_a_request_that_was_refused_leaves_its_key_free(service: Service) -> None:
    token = await service.token(open_jobs=1)
    before = (await service.ask(token)).json["id"]
    assert (await service.ask(token, headers=KEY)).status == 429
    await service.post(f"/jobs/{before}/cancel", token)

    assert (await service.ask(token, headers=KEY)).status == 202


async def test_keys_of_two_tokens_do_not_meet(service: Service, token: str) -> None:
    other = await service.token()

    first, second = await service.ask(token, headers=KEY), await service.ask(other, headers=KEY)

    assert first.json["id"] != second.json["id"]


async def test_a_key_outlives_its_job_and_is_forgotten_after_a_day(service: Service, token: str) -> None:
    job = (await service.ask(token, headers=KEY)).json["id"]
    await service.finish(job)
    await service.query("update jobs set ended_at = now() - interval '2 hours'")
    async with service.pool.connection() as connection:
        await retention.forget_expired(connection, 1.0)

    spent = await service.ask(token, headers=KEY)
    assert (spent.status, spent.code) == (409, "idempotency_key_spent")

    await service.query("update idempotency_keys set created_at = now() - interval '25 hours'")
    async with service.pool.connection() as connection:
        await retention.forget_expired(connection, 1.0)
    assert (await service.ask(token, headers=KEY)).status == 202


async def test_a_key_that_is_none_is_refused(service: Service, token: str) -> None:
    for key in ("", "a b", "x" * 256):
        answer = await service.ask(token, body=FLUX, headers={"Idempotency-Key": key})

        assert (answer.status, answer.code) == (422, "invalid"), key
