"""Who may do what over HTTP, and how much of it."""

import hashlib

from runtime.functions.tokens import SCOPES, issue
from tests.functions.conftest import picture
from tests.functions.service import FLUX, Service


async def test_only_the_hash_of_a_token_is_stored(service: Service, token: str) -> None:
    ((prefix, stored, row),) = await service.query("select prefix, hash, tokens::text from tokens")

    assert len(token) == len("veilrun_") + 64
    assert stored == hashlib.sha256(token.encode()).digest()
    assert token.startswith(prefix)
    assert len(prefix) == 14
    assert token[14:] not in row


def test_no_two_tokens_are_the_same_and_none_shows_in_a_repr() -> None:
    first, second = issue("a"), issue("a")

    assert first.text != second.text
    assert first.row.signing_secret != second.row.signing_secret
    assert first.text not in repr(first)
    assert first.signing_secret not in repr(first)
    assert repr(first.row.hash) not in repr(first)


async def test_without_any_token_there_is_nothing(service: Service) -> None:
    assert (await service.get("/openapi.json")).code == "not_found"
    assert (await service.get("/functions")).code == "token_missing"


SHOWN = [
    ("", "token_missing"),
    ("Basic dTpw", "token_missing"),
    ("Bearer ", "token_missing"),
    ("Bearer nonsense", "token_invalid"),
    ("Bearer veilrun_" + "0" * 64, "token_invalid"),
    ("Bearer veilrun_" + "0" * 6400, "token_invalid"),
]


async def test_a_request_without_a_valid_token_is_refused(service: Service) -> None:
    for header, code in SHOWN:
        answer = await service.post("/functions/flux", json=FLUX, headers={"Authorization": header} if header else {})

        assert (answer.status, answer.code) == (401, code), header
        assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="veilrun"')


async def test_a_token_that_was_revoked_or_has_expired_is_refused(service: Service) -> None:
    revoked, expired = await service.token(), await service.token(seconds=-1)
    await service.query("update tokens set revoked_at = now() where id = 1")

    assert "revoked" in (await service.get("/functions", revoked)).json["detail"]
    assert "expired" in (await service.get("/functions", expired)).json["detail"]
    assert await service.query("select 1 from tokens where last_used_at is not null") == []


async def test_when_a_token_was_used_last_is_known(service: Service, token: str) -> None:
    await service.get("/functions", token)

    assert await service.query("select now() - last_used_at < interval '1 minute' from tokens") == [(True,)]


async def test_a_scope_is_needed_for_each_thing(service: Service) -> None:
    needed = {
        ("POST", "/functions/flux"): "invoke",
        ("POST", "/artifacts"): "invoke",
        ("GET", "/functions"): "read",
        ("GET", "/jobs"): "read",
        ("GET", "/jobs/1"): "read",
        ("GET", "/jobs/1/events"): "read",
        ("GET", "/artifacts/1"): "read",
        ("POST", "/jobs/1/cancel"): "cancel",
    }
    for scope in SCOPES:
        token = await service.token(scopes=[scope])
        for (method, path), wanted in needed.items():
            answer = await service.call(method, path, token)

            assert (answer.json.get("code") == "scope_missing") == (wanted != scope), (scope, path)
            assert wanted == scope or answer.status == 403


async def test_a_token_may_be_for_some_commands_only(service: Service) -> None:
    token = await service.token(commands=["flux"])

    assert [one["name"] for one in (await service.get("/functions", token)).json["functions"]] == ["flux"]
    assert (await service.ask(token, "f")).status == 202
    refused = await service.ask(token, "sd3")
    assert (refused.status, refused.code) == (403, "command_not_allowed")


async def test_what_belongs_to_one_token_is_not_there_for_another(service: Service, token: str) -> None:
    other = await service.token()
    job = (await service.ask(token)).json["id"]
    (made,) = await service.finish(job, picture())
    sent = (await service.post("/artifacts", token, data=picture(), headers={"Content-Type": "image/png"})).json["id"]

    for method, path in [
        ("GET", f"/jobs/{job}"),
        ("GET", f"/jobs/{job}/events"),
        ("POST", f"/jobs/{job}/cancel"),
        ("GET", f"/artifacts/{made}"),
        ("GET", f"/artifacts/{sent}"),
    ]:
        assert (await service.call(method, path, other)).code == "not_found", path
    assert (await service.get("/jobs", other)).json == {"jobs": [], "next": None}
    stolen = await service.ask(other, "qwen", FLUX | {"images": [{"artifact_id": made}]})
    assert stolen.status == 422


async def test_requests_come_at_the_pace_of_the_token(service: Service) -> None:
    token = await service.token(per_minute=3)

    answers = [await service.get("/functions", token) for _ in range(4)]

    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert answers[3].code == "rate_limited"
    assert 15 <= int(answers[3].headers["Retry-After"]) <= 20
    await service.query("update tokens set rate_at = rate_at - interval '20 seconds'")
    assert [(await service.get("/functions", token)).status for _ in range(2)] == [200, 429]


async def test_a_token_has_so_many_open_jobs(service: Service) -> None:
    token = await service.token(open_jobs=2)
    first = (await service.ask(token)).json["id"]
    await service.ask(token, "sd3")

    refused = await service.ask(token)
    assert (refused.status, refused.code) == (429, "too_many_jobs")
    assert int(refused.headers["Retry-After"]) >= 1

    await service.post(f"/jobs/{first}/cancel", token)
    assert (await service.ask(token)).status == 202


async def test_a_token_has_so_many_jobs_a_day(service: Service) -> None:
    token = await service.token(per_day=2)
    for _ in range(2):
        await service.finish((await service.ask(token)).json["id"], picture())

    refused = await service.ask(token)

    assert (refused.status, refused.code) == (429, "too_many_jobs")
    assert 0 < int(refused.headers["Retry-After"]) <= 86_400
    await service.query("update tokens set day = day - 1")
    assert (await service.ask(token)).status == 202
    assert await service.query("select jobs_of_day from tokens") == [(1,)]
