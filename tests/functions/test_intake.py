"""A job by HTTP goes the way of one from a chat: limits, plugins, turns; and what goes wrong there is told."""

import pytest

from db import jobs
from db.jobs import TURN_SECONDS, NewJob
from db.placement import snapshot
from runtime.dispatch.refusals import PluginsSlow
from runtime.functions.invoke import refusal_for
from tests.functions.service import FLUX, PLUGINS, REGISTRY, Service

GUARD = """
    class Odd(Parameter):
        usage = "--odd"

        def parse(self, text, option):
            raise RuntimeError("about " + text)

    @hookimpl
    def register_commands():
        return [command("strange", parameters=(Prompt(), Odd("odd")))]

    @hookimpl
    def before_invoke(invocation):
        if invocation.arguments["prompt"] == "forbidden":
            raise Veto("not here")
        if invocation.arguments["prompt"] == "breaks":
            raise RuntimeError("breaks")
        assert invocation.user_id is None and invocation.chat_id is None
        return invocation.amended(prompt=invocation.arguments["prompt"] + ", in oil")
"""


def limited(words: str) -> str:
    return REGISTRY.replace("version: 1\n", f"version: 1\nlimits: {words}\n")


def prompted(prompt: str) -> dict[str, object]:
    return {"arguments": {"prompt": prompt}}


async def test_a_plugin_amends_refuses_or_breaks(make_service, shelf, capsys: pytest.CaptureFixture[str]) -> None:
    shelf.install("guard", GUARD)
    service: Service = await make_service(REGISTRY.replace("{flux:", "{guard: {enabled: true}, flux:"))
    token = await service.token()

    amended = await service.ask(token, body=prompted("a cat"))
    vetoed = await service.ask(token, body=prompted("forbidden"))
    broken = await service.ask(token, body=prompted("breaks"))
    odd = await service.ask(token, "strange", {"arguments": {"prompt": "a cat", "odd": "secret words"}})

    assert amended.json["arguments"]["prompt"] == "a cat, in oil"
    assert (vetoed.status, vetoed.code, vetoed.json["detail"]) == (403, "vetoed", "not here")
    assert (broken.status, broken.code) == (503, "plugin_failed")
    assert "guard" in broken.json["detail"]
    assert (odd.status, odd.code) == (500, "internal")
    assert await service.query("select count(*) from jobs") == [(1,)]
    logged = "".join(capsys.readouterr())
    assert "RuntimeError" in logged
    assert not [words for words in ("a cat", "forbidden", "secret", "about") if words in logged]


async def test_a_command_has_so_many_unfinished_jobs_of_one_token(service: Service, token: str) -> None:
    assert (await service.ask(token, "wan")).status == 202  # which comes with per_user: 1

    refused = await service.ask(token, "wan")

    assert (refused.status, refused.code) == (429, "too_many_jobs")
    assert "Retry-After" in refused.headers
    assert (await service.ask(await service.token(), "wan")).status == 202


async def test_a_token_has_so_many_jobs_waiting_as_a_user(make_service) -> None:
    service: Service = await make_service(limited("{queued_per_user: 1}"))
    token = await service.token()

    assert [(await service.ask(token)).status for _ in range(2)] == [202, 429]


async def test_a_full_queue_is_not_now(make_service) -> None:
    service: Service = await make_service(limited("{queued: 2}"))
    answers = [await service.ask(await service.token()) for _ in range(3)]

    assert [answer.status for answer in answers] == [202, 202, 503]
    assert answers[2].code == "queue_full"
    assert int(answers[2].headers["Retry-After"]) >= 1


async def test_the_same_request_again_is_named_where_a_command_is_unique(make_service) -> None:
    unique = PLUGINS.replace("flux: {enabled: true}", "flux: {enabled: true, limits: {unique: true}}")
    service: Service = await make_service(REGISTRY.replace(PLUGINS, unique))
    token = await service.token()
    first = (await service.ask(token)).json["id"]

    twin = await service.ask(token)

    assert (twin.status, twin.code, twin.json["job_id"]) == (409, "duplicate", first)
    assert (await service.ask(await service.token())).status == 202
    assert (await service.ask(token, body=FLUX | {"variant": "dev"})).status == 202


async def test_tokens_and_users_take_turns(service: Service) -> None:
    greedy, modest = await service.token(), await service.token()
    first, second = [(await service.ask(greedy)).json["id"] for _ in range(2)]
    third = (await service.ask(modest)).json["id"]
    async with service.pool.connection() as connection:
        row = NewJob(service.live.command_ids["flux"], "flux", {"prompt": "a dog"}, user_id=1, chat_id=1)
        fourth = await jobs.insert(connection, row)  # user 1 and token 1 are two

    async with service.pool.connection() as connection:
        waiting = (await snapshot(connection, 10)).waiting
    one, two = await service.job(first), await service.job(second)

    assert [job.id for job in waiting] == [first, third, fourth, second]
    assert [job.user_id for job in waiting] == [-1, -2, 1, -1]
    assert (two.rank_at - one.rank_at).total_seconds() == pytest.approx(TURN_SECONDS, abs=5)


def test_a_plugin_that_dawdles_is_not_now() -> None:
    refused = refusal_for(PluginsSlow())

    assert (refused.status, refused.code) == (503, "plugin_failed")
    assert refused.retry_seconds
