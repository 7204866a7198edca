"""What is told of jobs, and stopping them."""

from runtime.comfyui.errors import BackendError
from runtime.functions.job_errors import CODES, code_of
from runtime.media.errors import MediaError
from runtime.transport.errors import ConnectFailed
from tests.functions.conftest import picture
from tests.functions.service import FLUX, Service


async def test_a_job_that_waits_says_why_and_how_long(service: Service, token: str) -> None:
    first, second = [(await service.ask(token)).json["id"] for _ in range(2)]
    await service.query(
        "update jobs set placement = 'waiting for gpu-a', expected_at = now() + interval '90 seconds' where id = %s",
        second,
    )

    job = (await service.get(f"/jobs/{second}", token)).json

    assert (job["state"], job["position"], job["reason"]) == ("queued", 2, "waiting for gpu-a")
    assert 80 < job["eta_seconds"] <= 90
    assert job["artifacts"] == []
    assert job["url"] == f"/v1/jobs/{second}" != f"/v1/jobs/{first}"


async def test_a_job_for_later_says_when(service: Service, token: str) -> None:
    job = (await service.ask(token, body=FLUX | {"delay_seconds": 3600})).json

    assert job["not_before"] > job["created_at"]
    assert job["position"] is None


async def test_a_job_that_runs_says_how_far_it_is(service: Service, token: str) -> None:
    job_id = (await service.ask(token)).json["id"]
    await service.query(
        """update jobs set state = 'running', attempt = 1, backend = 'gpu-a', started_at = now(),
               progress = '{"phase": "running", "fraction": 0.5, "title": "Sampler", "step": 2, "steps": 4}'"""
    )

    job = (await service.get(f"/jobs/{job_id}", token)).json

    assert (job["state"], job["backend"], job["attempt"]) == ("running", "gpu-a", 1)
    assert job["progress"] == {"fraction": 0.5, "node": "Sampler", "step": 2, "steps": 4, "is_loading": False}


async def test_a_job_that_succeeded_says_what_it_made_and_until_when(service: Service, token: str) -> None:
    job_id = (await service.ask(token)).json["id"]
    made = await service.finish(job_id, picture("red"), picture("blue"))

    job = (await service.get(f"/jobs/{job_id}", token)).json

    assert job["state"] == "succeeded"
    assert [(one["id"], one["url"]) for one in job["artifacts"]] == [(n, f"/v1/artifacts/{n}") for n in made]
    assert job["expires_at"] > job["ended_at"]
    assert (await service.job(job_id)).state == "delivered"


async def test_a_job_that_failed_says_why_in_a_code(service: Service, token: str) -> None:
    for state in ("failed", "dead"):
        job_id = (await service.ask(token)).json["id"]
        await service.finish(job_id, state=state, error="OutOfMemory")

        job = (await service.get(f"/jobs/{job_id}", token)).json

        assert (job["state"], job["error"]) == ("failed", {"code": "out_of_memory", "message": "It did not work."})


def test_every_error_that_ends_a_job_has_a_code() -> None:
    def below(kind: type) -> set[type]:
        return {kind}.union(*(below(one) for one in kind.__subclasses__()))

    ends = below(BackendError) | below(MediaError) | below(ConnectFailed)
    bases = {"BackendError", "BackendTimeout", "MediaError"}

    assert [one.__name__ for one in ends if code_of(one.__name__) == "internal" and one.__name__ not in bases] == []
    assert {code_of(name) for name in ("Unexpected", None)} == {"internal"}
    assert "internal" in CODES


async def test_jobs_are_listed_page_by_page(service: Service, token: str) -> None:
    asked = [(await service.ask(token)).json["id"] for _ in range(5)]

    first = (await service.get("/jobs?limit=2", token)).json
    second = (await service.get(first["next"].removeprefix("/v1"), token)).json
    third = (await service.get(second["next"].removeprefix("/v1"), token)).json

    pages = [[job["id"] for job in page["jobs"]] for page in (first, second, third)]
    assert pages == [asked[:2:-1], asked[2:0:-1], asked[:1]]
    assert third["next"] is None
    assert all(job["arguments"] is None for job in first["jobs"])


async def test_the_list_can_be_narrowed(service: Service, token: str) -> None:
    flux, sd3 = [(await service.ask(token, command)).json["id"] for command in ("flux", "sd3")]
    await service.finish(flux, picture())

    done = (await service.get("/jobs?state=succeeded", token)).json["jobs"]
    waiting = (await service.get("/jobs?command=sd3", token)).json["jobs"]

    assert [(job["id"], len(job["artifacts"])) for job in done] == [(flux, 1)]
    assert [job["id"] for job in waiting] == [sd3]


async def test_a_job_that_waits_is_cancelled_at_once(service: Service, token: str) -> None:
    job_id = (await service.ask(token)).json["id"]

    answer = await service.post(f"/jobs/{job_id}/cancel", token)

    assert (answer.status, answer.json["state"]) == (200, "cancelled")
    assert service.placed == 2
    again = await service.post(f"/jobs/{job_id}/cancel", token)
    assert (again.status, again.code) == (409, "job_over")


async def test_a_job_that_runs_is_being_stopped(service: Service, token: str) -> None:
    job_id = (await service.ask(token)).json["id"]
    await service.query("update jobs set state = 'running'")

    answer = await service.post(f"/jobs/{job_id}/cancel", token)

    assert (answer.status, answer.json["state"], answer.json["cancel_requested"]) == (202, "running", True)


async def test_what_is_not_there_is_a_problem_as_well(service: Service, token: str) -> None:
    for method, path, status, code in [
        ("GET", "/jobs/99", 404, "not_found"),
        ("GET", "/jobs/0", 422, "invalid"),
        ("GET", f"/jobs/{2**70}", 422, "invalid"),
        ("GET", "/jobs/x", 422, "invalid"),
        ("GET", "/jobs?limit=101", 422, "invalid"),
        ("GET", "/jobs/x%0Ay", 422, "invalid"),
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/no%0Athing", 404, "not_found"),
        ("GET", "/", 404, "not_found"),
        ("DELETE", "/jobs", 405, "method_not_allowed"),
        ("POST", "/functions/flix", 404, "unknown_command"),
    ]:
        answer = await service.call(method, path, token)

        assert (answer.status, answer.code) == (status, code), path


async def test_a_database_that_is_away_is_not_now(service: Service, token: str) -> None:
    await service.pool.close()

    answer = await service.get("/jobs", token)

    assert (answer.status, answer.code) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
