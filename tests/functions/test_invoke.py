"""Asking for a job: from a JSON body or a form, by the same intake as a command in a chat."""

import asyncio
import base64
import hashlib

import aiohttp

from db import artifacts
from tests.functions.conftest import picture
from tests.functions.service import FLUX, Service, eventually


async def test_an_invocation_becomes_a_job_that_says_where_it_is(service: Service, token: str) -> None:
    answer = await service.ask(token, body={"arguments": {"prompt": "an astronaut", "size": [512, 256], "seed": 7}})

    assert answer.status == 202
    assert answer.headers["Location"] == f"/v1/jobs/{answer.json['id']}" == answer.json["url"]
    assert answer.json["state"] == "queued"
    assert answer.json["position"] == 1
    assert answer.json["arguments"] == {"prompt": "an astronaut", "size": [512, 256], "n": 1, "steps": 4, "seed": 7}
    job = await service.job(answer.json["id"])
    assert (job.user_id, job.chat_id, job.owner) == (None, None, -(job.token_id or 0))
    assert (job.model_set, job.max_attempts) == ("flux-schnell", 3)
    assert service.placed == 1


async def test_what_is_left_out_is_filled_in_and_a_seed_is_told(service: Service, token: str) -> None:
    seeds = {(await service.ask(token)).json["arguments"]["seed"] for _ in range(3)}

    assert len(seeds) == 3


async def test_a_variant_brings_its_own_defaults_and_weights(service: Service, token: str) -> None:
    answer = await service.ask(token, body=FLUX | {"variant": "dev"})

    assert answer.json["variant"] == "dev"
    assert answer.json["arguments"]["steps"] == 20
    assert (await service.job(answer.json["id"])).model_set == "flux-dev"


async def test_a_command_is_known_by_its_alias_too(service: Service, token: str) -> None:
    answer = await service.ask(token, "f")

    assert answer.json["command"] == "flux"


async def test_a_picture_comes_with_the_request(service: Service, token: str) -> None:
    sent = picture()
    body = {"arguments": {"prompt": "make it red"}, "images": [{"base64": base64.b64encode(sent).decode()}]}

    answer = await service.ask(token, "qwen", body)

    assert answer.status == 202
    async with service.pool.connection() as connection:
        (given,) = await artifacts.inputs(connection, answer.json["id"])
        assert await artifacts.content(connection, given.id) == sent
    assert (given.media_type, given.width, given.height) == ("image/png", 64, 48)


async def test_a_picture_that_was_sent_before_is_named_by_its_number(service: Service, token: str) -> None:
    sent = await service.post("/artifacts", token, data=picture(), headers={"Content-Type": "image/png"})
    body = {"arguments": {"prompt": "make it red"}, "images": [{"artifact_id": sent.json["id"]}]}

    answer = await service.ask(token, "qwen", body)

    assert (sent.status, sent.headers["Location"]) == (201, f"/v1/artifacts/{sent.json['id']}")
    assert answer.status == 202


async def test_a_result_is_the_next_ones_picture(service: Service, token: str) -> None:
    first = (await service.ask(token)).json["id"]
    (made,) = await service.finish(first, picture())

    answer = await service.ask(token, "qwen", {"arguments": {"prompt": "red"}, "images": [{"artifact_id": made}]})

    assert answer.status == 202
    assert await service.query("select artifact_id from job_inputs where job_id = %s", answer.json["id"]) == [(made,)]


async def test_a_form_says_the_same_with_files(service: Service, token: str) -> None:
    form = aiohttp.FormData()
    form.add_field("prompt", "make it red")
    form.add_field("seed", "7")
    form.add_field("image", picture("red"), filename="a.png")
    form.add_field("image", picture("blue"), filename="b.png")

    answer = await service.post("/functions/qwen", token, data=form)

    assert answer.status == 202
    assert answer.json["arguments"] == {"prompt": "make it red", "steps": 4, "seed": 7}
    assert await service.query("select count(*) from job_inputs") == [(2,)]


async def test_values_of_a_form_are_written_as_in_a_chat(service: Service, token: str) -> None:
    form = aiohttp.FormData({"prompt": "an astronaut", "size": "512x256", "variant": "dev", "delay_seconds": "60"})
    form._is_multipart = True  # aiohttp would send urlencoded fields otherwise

    answer = await service.post("/functions/flux", token, data=form)

    assert answer.json["arguments"]["size"] == [512, 256]
    assert answer.json["variant"] == "dev"
    assert answer.json["not_before"] is not None


async def test_characters_that_no_prompt_needs_are_taken_out_as_in_a_chat(service: Service, token: str) -> None:
    answer = await service.ask(token, body={"arguments": {"prompt": "an\u202e astro\u0000naut\u200b"}})

    assert answer.json["arguments"]["prompt"] == "an astronaut"


async def test_each_thing_that_is_wrong_is_named(service: Service, token: str) -> None:
    answer = await service.ask(token, body={"arguments": {"prompt": "a", "steps": 99, "stpes": 4}, "wait": 3})

    assert (answer.status, answer.code) == (422, "invalid")
    assert [fault["at"] for fault in answer.json["errors"]] == ["wait", "arguments.steps", "arguments.stpes"]
    assert await service.query("select count(*) from jobs") == [(0,)]


UNUSABLE = [
    ([{"artifact_id": 999}], 422, "there is no artifact 999"),
    ([{"base64": base64.b64encode(b"<svg/>").decode()}], 415, "neither a picture"),
    ([{"base64": base64.b64encode(picture()[:30]).decode()}], 422, "damaged"),
]


async def test_a_picture_that_cannot_be_used_is_refused(service: Service, token: str) -> None:
    for images, status, words in UNUSABLE:
        answer = await service.ask(token, "qwen", {"arguments": {"prompt": "red"}, "images": images})

        assert answer.status == status, words
        assert words in answer.json["detail"]
    assert await service.query("select count(*) from artifacts") == [(0,)]


FIELD = b'--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nan astronaut\r\n'
UNREADABLE = [
    ("application/json", b"{", 400, "malformed"),
    ("application/json", b"\xff", 400, "malformed"),
    ("application/json", b'{"arguments": {"prompt": "\\ud800"}}', 400, "malformed"),
    ("application/json", b"[" * 100_000, 400, "malformed"),
    ("application/json", b'{"arguments": {"prompt": "a", "seed": NaN}}', 400, "malformed"),
    ("application/json", b"1" * 10_000, 400, "malformed"),
    ("multipart/form-data; boundary=x", b"nonsense", 400, "malformed"),
    ("multipart/form-data; boundary=x", FIELD + b"--x\r\nContent-Disposition: form-data; name=", 400, "malformed"),
    ("multipart/form-data; boundary=x", FIELD, 400, "malformed"),
    ("multipart/form-data", b"", 400, "malformed"),
    ("text/plain", b"an astronaut", 415, "unsupported_type"),
    ("", b"", 415, "unsupported_type"),
]


async def test_a_body_that_cannot_be_read_is_refused(service: Service, token: str) -> None:
    for content_type, body, status, code in UNREADABLE:
        answer = await service.post("/functions/flux", token, data=body, headers={"Content-Type": content_type})

        assert (answer.status, answer.code) == (status, code), body[:50]


async def test_a_body_is_not_read_beyond_its_bound(make_service) -> None:
    service = await make_service(http_body_mb=1)
    token = await service.token()
    read = 0

    async def endless():
        nonlocal read
        while read < 2**26:
            read += 2**16
            yield b"a" * 2**16

    told = await service.post(
        "/functions/flux", token, data=b"a" * (2**20 + 1), headers={"Content-Type": "application/json"}
    )
    async with service.session.post(
        f"{service.url}/functions/flux",
        data=endless(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "multipart/form-data; boundary=x"},
    ) as answer:
        status = answer.status

    assert (told.status, told.code) == (413, "too_large")
    assert status in (400, 413)
    assert read < 2**24


async def test_wait_gives_the_result_when_it_is_there_in_time(service: Service, token: str) -> None:
    asking = asyncio.create_task(service.ask(token, params={"wait": "20"}))
    ((job_id,),) = await eventually(lambda: service.query("select id from jobs"))
    (made,) = await service.finish(job_id, picture())

    answer = await asking

    assert answer.status == 200
    assert answer.json["state"] == "succeeded"
    assert answer.json["artifacts"][0]["id"] == made
    assert answer.json["artifacts"][0]["sha256"] == hashlib.sha256(picture()).hexdigest()


async def test_wait_gives_the_job_when_time_is_over(service: Service, token: str) -> None:
    answer = await service.ask(token, params={"wait": "0.2"})

    assert (answer.status, answer.json["state"]) == (202, "queued")


async def test_wait_is_bounded(service: Service, token: str) -> None:
    for wait in ("61", "-1", "nan", "soon"):
        answer = await service.ask(token, params={"wait": wait})

        assert (answer.status, answer.code) == (422, "invalid"), wait


async def test_a_server_that_is_about_to_stop_lets_nobody_wait(service: Service, token: str) -> None:
    asking = asyncio.create_task(service.ask(token, params={"wait": "50"}))
    await eventually(lambda: service.query("select id from jobs"))
    service.is_ending = True

    assert (await asyncio.wait_for(asking, 5)).status == 202
