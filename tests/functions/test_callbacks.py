"""Result webhooks: signed, tried again, told once too often rather than not at all."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from db import callbacks, endings, retention
from runtime.functions.callbacks import PAUSES_SECONDS, SPREAD
from tests.functions.conftest import picture
from tests.functions.service import FLUX, Service, eventually


@dataclass
class Receiver:
    """Somebody's server. answers: statuses in turn, the last one for ever."""

    url: str = ""
    answers: list[int] = field(default_factory=lambda: [204])
    headers: dict[str, str] = field(default_factory=dict)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        self.got.append(({name.lower(): value for name, value in request.headers.items()}, await request.read()))
        self.paths.append(request.path)
        status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return web.Response(status=status, headers=self.headers)

    async def had(self, count: int) -> None:
        async def has() -> bool:
            return len(self.got) >= count

        await eventually(has)


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/{path:.*}", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    receiver.url = f"http://127.0.0.1:{port}/hook?key=secret"
    try:
        yield receiver
    finally:
        await runner.cleanup()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


async def asked(service: Service, token: str, url: str, **more: Any) -> int:
    answer = await service.ask(token, body=FLUX | {"callback_url": url} | more)
    assert answer.status == 202, answer.body
    job_id: int = answer.json["id"]
    return job_id


async def settled(service: Service, state: str) -> list[tuple[Any, ...]]:
    """The tries, once the webhook is so."""
    await eventually(lambda: service.query("select 1 from callbacks where state = %s", state))
    return await service.query("select number, status, error from callback_tries order by number")


async def due_now(service: Service) -> None:
    """Let the pause be over."""
    await eventually(lambda: service.query("select 1 from callback_tries"))
    await service.query("update callbacks set run_at = now()")


async def test_a_result_is_told_signed_as_standard_webhooks_has_it(service: Service, receiver: Receiver) -> None:
    issued = await service.issued()
    job_id = await asked(service, issued.text, receiver.url)
    (made,) = await service.finish(job_id, picture())
    await receiver.had(1)

    headers, body = receiver.got[0]
    content = Webhook(issued.signing_secret).verify(body, headers)
    assert content["type"] == "job.succeeded"
    assert content["data"]["id"] == job_id
    assert content["data"]["artifacts"][0]["id"] == made
    assert content["data"]["arguments"] is None
    assert b"astronaut" not in body
    assert content["timestamp"] == content["data"]["ended_at"].replace("Z", "+00:00")
    assert headers["content-type"] == "application/json"
    other = "whsec_" + base64.b64encode(b"x" * 32).decode()
    with pytest.raises(WebhookVerificationError):
        Webhook(other).verify(body, headers)
    assert await settled(service, "delivered") == [(1, 204, None)]


async def test_an_end_without_a_result_is_told_too(service: Service, token: str, receiver: Receiver) -> None:
    failed, cancelled = [await asked(service, token, receiver.url) for _ in range(2)]
    await service.finish(failed, state="dead", error="WorkerLost")
    await service.post(f"/jobs/{cancelled}/cancel", token)
    await receiver.had(2)

    bodies = b"".join(body for _, body in receiver.got)
    assert b'"job.failed"' in bodies
    assert b'"worker_lost"' in bodies
    assert b'"job.cancelled"' in bodies


async def test_nothing_is_told_of_a_job_that_is_not_over(service: Service, token: str, receiver: Receiver) -> None:
    await asked(service, token, receiver.url)
    await asyncio.sleep(0.5)  # two sweeps

    assert receiver.got == []


async def test_what_was_not_taken_is_sent_again_as_the_same_message(service: Service, receiver: Receiver) -> None:
    issued = await service.issued()
    receiver.answers = [500, 204]
    await service.finish(await asked(service, issued.text, receiver.url), picture())
    await due_now(service)
    await receiver.had(2)

    (first, _), (second, body) = receiver.got
    assert first["webhook-id"] == second["webhook-id"]
    Webhook(issued.signing_secret).verify(body, second)
    assert await settled(service, "delivered") == [(1, 500, None), (2, 204, None)]


async def test_pauses_grow_and_are_spread(service: Service, token: str, receiver: Receiver) -> None:
    receiver.answers = [500]
    await service.finish(await asked(service, token, receiver.url), picture())
    for number, pause in enumerate(PAUSES_SECONDS, 1):
        await eventually(lambda number=number: service.query("select 1 from callback_tries where number = %s", number))
        ((left,),) = await eventually(
            lambda number=number: service.query(
                "select extract(epoch from run_at - now())::float8 from callbacks where attempts = %s", number
            )
        )
        assert pause * (1 - SPREAD) - 2 < left <= pause * (1 + SPREAD), number
        await service.query("update callbacks set run_at = now()")

    tries = await settled(service, "failed")
    assert len(tries) == len(PAUSES_SECONDS) + 1 == len(receiver.got)
    assert list(PAUSES_SECONDS) == sorted(PAUSES_SECONDS)


async def test_a_receiver_is_left_in_peace_as_long_as_it_wants(
    service: Service, token: str, receiver: Receiver
) -> None:
    receiver.answers, receiver.headers = [429], {"Retry-After": "1000"}
    await service.finish(await asked(service, token, receiver.url), picture())
    await eventually(lambda: service.query("select 1 from callback_tries"))

    ((left,),) = await service.query("select extract(epoch from run_at - now())::float8 from callbacks")
    assert 990 < left <= 1000


async def test_a_receiver_that_is_gone_is_not_told_again(service: Service, token: str, receiver: Receiver) -> None:
    receiver.answers = [410]
    await service.finish(await asked(service, token, receiver.url), picture())

    assert await settled(service, "failed") == [(1, 410, None)]


async def test_no_redirect_is_followed(service: Service, token: str, receiver: Receiver) -> None:
    receiver.answers, receiver.headers = [307], {"Location": "/elsewhere"}
    await service.finish(await asked(service, token, receiver.url), picture())
    await eventually(lambda: service.query("select 1 from callback_tries where status = 307"))

    assert receiver.paths == ["/hook"]


async def test_a_receiver_that_nobody_reaches_is_tried_again(service: Service, token: str, receiver: Receiver) -> None:
    await service.finish(await asked(service, token, "http://127.0.0.1:9/"), picture())

    await eventually(lambda: service.query("select 1 from callback_tries where error = 'ClientConnectorError'"))
    assert await service.query("select state from callbacks") == [("open",)]


async def test_a_name_that_stands_for_this_machine_is_refused_when_it_is_connected_to(make_service) -> None:
    service: Service = await make_service(callbacks="public")
    token = await service.token()
    literal = await service.ask(token, body=FLUX | {"callback_url": "https://127.0.0.1/"})
    await service.finish(await asked(service, token, "https://localhost/"), picture())

    assert (literal.status, literal.code) == (422, "invalid")
    await eventually(lambda: service.query("select 1 from callback_tries where error = 'NotPublic'"))


async def test_one_who_died_while_sending_is_followed_by_another(
    service: Service, token: str, receiver: Receiver
) -> None:
    job_id = await asked(service, token, receiver.url)
    await service.query("update callbacks set attempts = 1, run_at = now() + interval '1 minute'")  # as a claim does
    await service.finish(job_id, picture())
    await asyncio.sleep(0.5)
    assert receiver.got == []

    await service.query("update callbacks set run_at = now()")
    await receiver.had(1)

    assert await settled(service, "delivered") == [(2, 204, None)]


async def test_a_job_that_is_replayed_is_told_of_again(service: Service, token: str, receiver: Receiver) -> None:
    job_id = await asked(service, token, receiver.url)
    await service.finish(job_id, state="dead", error="WorkerLost")
    await settled(service, "delivered")
    async with service.pool.connection() as connection:
        assert await endings.replay(connection, job_id) == "queued"
    await service.finish(job_id, picture())
    await receiver.had(2)

    assert receiver.got[0][0]["webhook-id"] != receiver.got[1][0]["webhook-id"]
    assert b"job.succeeded" in receiver.got[1][1]


async def test_webhooks_of_a_token_end_with_it_and_are_forgotten_with_their_jobs(service: Service, token: str) -> None:
    job_id = await asked(service, token, "http://127.0.0.1:9/")
    async with service.pool.connection() as connection:
        await callbacks.drop(connection, 1)
    await service.finish(job_id, picture())
    assert await service.query("select state from callbacks") == [("failed",)]

    await service.query("update jobs set ended_at = now() - interval '2 days'")
    async with service.pool.connection() as connection:
        await retention.forget_expired(connection, 24.0)

    assert await service.query("select 1 from callbacks") == []


async def test_where_webhooks_are_off_none_may_be_asked_for(make_service) -> None:
    service: Service = await make_service(callbacks="off")
    token = await service.token()

    refused = await service.ask(token, body=FLUX | {"callback_url": "https://example.org"})

    assert (refused.status, refused.code) == (422, "invalid")
    document = (await service.get("/openapi.json", token)).body
    assert b'"callback_url"' not in document
    assert b'"callbacks"' not in document
