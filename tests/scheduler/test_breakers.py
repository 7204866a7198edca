"""What is held against a backend, when a breaker opens and closes, and what the scheduler makes of it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from psycopg import AsyncConnection

from db import breakers, views
from db.breakers import Breaker, Failure
from db.pool import Pool, open_pool
from runtime.api import VeilrunError
from runtime.chat.errors import NotSent
from runtime.comfyui import (
    BackendMisconfigured,
    BackendUnreachable,
    GraphProblem,
    GraphProblems,
    Interrupted,
    LoadTimeout,
    NodeFailed,
    NoOutput,
    OutOfMemory,
    OutputDamaged,
    OutputMissing,
    OutputTooLarge,
    PathAway,
    PromptLost,
    QueueTimeout,
    RunTimeout,
    SentPictureLost,
    UnexpectedAnswer,
    UploadRefused,
    WorkflowRejected,
)
from runtime.registry import PluginFailed, Registry, load_registry
from runtime.scheduler.breakers import fitting_backends, is_backends_fault, reason
from runtime.scheduler.schedule import place_jobs
from runtime.scheduler.sync import sync_registry
from tests.scheduler.test_schedule import job_of, queue

MEMORY = OutOfMemory("gpu-a", "sampler", "KSampler", "OutOfMemoryError", "")
LACKING = GraphProblem("vae", "VAELoader", "vae_name", "missing_model", "model file ae.safetensors is missing")
REFUSED_FILE = GraphProblem("vae", "VAELoader", "vae_name", "value_not_in_list", "…", received="ae.safetensors")
REFUSED_WORD = GraphProblem("sampler", "KSampler", "scheduler", "value_not_in_list", "…", received="odd")
OFF_STEP = GraphProblem("latent", "EmptyLatentImage", "width", "off_step", "…", received=1001)

THE_BACKENDS = [
    LoadTimeout("gpu-a", 60),
    PromptLost("gpu-a", had_begun=True),
    OutputMissing("gpu-a", "out.png"),
    OutputDamaged("gpu-a", "out.png"),
    GraphProblems("gpu-a", (LACKING,)),
    WorkflowRejected("gpu-a", (OFF_STEP, REFUSED_FILE)),
]
PERHAPS_THE_JOBS = [
    NodeFailed("gpu-a", "sampler", "KSampler", "ValueError", "an astronaut"),
    RunTimeout("gpu-a", 60),
    UnexpectedAnswer("gpu-a", "POST /prompt", 500),
]
NOT_THE_BACKENDS = [
    MEMORY,
    WorkflowRejected("gpu-a", (REFUSED_WORD,)),
    GraphProblems("gpu-a", (OFF_STEP,)),
    NoOutput("gpu-a", ("save",)),
    OutputTooLarge("gpu-a", "out.mp4", 1),
    UploadRefused("gpu-a", "too large"),
    Interrupted("gpu-a"),
    PromptLost("gpu-a"),
    QueueTimeout("gpu-a", 60),
    BackendUnreachable("gpu-a", "no connection"),
    BackendMisconfigured("gpu-a", "redirects"),
    PathAway("gpu-a", "anon does not run"),
    SentPictureLost("gpu-a"),
    PluginFailed("extra", "build_workflow", "LookupError"),
    NotSent("no connection"),
]


@pytest.mark.parametrize("error", THE_BACKENDS, ids=lambda error: type(error).__name__)
def test_what_no_job_can_do_by_itself_is_the_backends_fault(error: VeilrunError):
    assert is_backends_fault(error) is True


@pytest.mark.parametrize("error", PERHAPS_THE_JOBS, ids=lambda error: type(error).__name__)
def test_what_a_picture_or_a_plugin_can_cause_too_is_only_perhaps_the_backends_fault(error: VeilrunError):
    assert is_backends_fault(error) is False


@pytest.mark.parametrize("error", NOT_THE_BACKENDS, ids=lambda error: type(error).__name__)
def test_what_is_wrong_anywhere_or_with_all_of_the_backend_is_not_held_against_the_command_there(error: VeilrunError):
    assert is_backends_fault(error) is None


def test_memory_counts_when_it_did_not_suffice_after_it_was_freed():
    assert is_backends_fault(MEMORY, last_error="PromptLost") is None
    assert is_backends_fault(MEMORY, last_error="OutOfMemory") is False


YAML = """\
version: 1
access: {default: public}
backends:
  - {name: gpu-a, url: "http://127.0.0.1:9", vram_gb: 32, labels: [fast], lookahead: 1}
  - {name: gpu-b, url: "http://127.0.0.1:19", vram_gb: 32, lookahead: 1}
  - {name: gpu-c, url: "http://127.0.0.1:29", vram_gb: 16}
  - {name: gpu-d, url: "http://127.0.0.1:39", vram_gb: 32, pin: [flux --dev]}
plugins:
  flux: {enabled: true}
  sd3: {enabled: true}
"""
NAMES = ("gpu-a", "gpu-b", "gpu-c", "gpu-d")


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    path = tmp_path / "registry.yaml"
    path.write_text(YAML, encoding="utf-8")
    return load_registry(path)


@pytest.fixture
async def pool(database, registry: Registry) -> AsyncIterator[Pool]:
    """All four backends are ready."""
    async with open_pool(database.dsn, "test") as opened:
        await sync_registry(opened, registry)
        async with opened.connection() as connection:
            for name in NAMES:
                await views.report(connection, name, health="ready", missing={})
        yield opened


def test_only_backends_with_the_card_the_labels_and_no_other_pin_fit_a_command(registry: Registry):
    assert fitting_backends(registry, "flux", None) == ("gpu-a", "gpu-b")
    assert fitting_backends(registry, "flux", "dev") == ("gpu-a", "gpu-b", "gpu-d")
    assert fitting_backends(registry, "gone", None) == ()
    assert fitting_backends(registry, "flux", "gone") == ()


def test_a_command_fits_where_another_with_the_same_weights_is_pinned(registry: Registry):
    dev, sd3 = registry.commands["flux"].command.affinity_of("dev"), registry.commands["sd3"]
    alike = replace(sd3, command=replace(sd3.command, affinity=replace(sd3.command.affinity, model_set=dev.model_set)))

    assert "gpu-d" not in fitting_backends(registry, "sd3", None)
    assert "gpu-d" in fitting_backends(replace(registry, commands={**registry.commands, "sd3": alike}), "sd3", None)


CERTAIN = Failure("gpu-a", "flux", "LoadTimeout", is_certain=True, others=())
PERHAPS = Failure("gpu-a", "flux", "NodeFailed", is_certain=False, others=("gpu-b",))


async def fail(pool: Pool, *failures: Failure) -> None:
    for failure in failures:
        async with pool.connection() as connection:
            await breakers.failed(connection, failure)


async def not_closed(pool: Pool) -> list[Breaker]:
    async with pool.connection() as connection:
        return await breakers.not_closed(connection)


async def execute(pool: Pool, statement: str) -> None:
    async with pool.connection() as connection:
        await connection.execute(statement)


async def wait_over(pool: Pool) -> None:
    """As if the time for which breakers stay open had passed."""
    await execute(
        pool, "update breakers set opened_at = opened_at - (retry_at - now()), retry_at = now() where retry_at > now()"
    )


async def seconds_open(pool: Pool) -> float | None:
    found = await not_closed(pool)
    return round((found[0].retry_at - found[0].opened_at).total_seconds()) if found else None


async def test_the_third_failure_in_a_row_opens_it(pool: Pool):
    await fail(pool, CERTAIN, CERTAIN)
    assert await not_closed(pool) == []

    await fail(pool, CERTAIN)

    (breaker,) = await not_closed(pool)
    assert (breaker.backend, breaker.bucket, breaker.failures, breaker.error) == ("gpu-a", "flux", 3, "LoadTimeout")
    assert not breaker.is_probing
    assert await seconds_open(pool) == 30


async def test_a_success_in_between_begins_the_row_anew(pool: Pool):
    await fail(pool, CERTAIN, CERTAIN)
    async with pool.connection() as connection:
        await breakers.worked(connection, "gpu-a", "flux")
    await fail(pool, CERTAIN, CERTAIN)

    assert await not_closed(pool) == []


async def test_failures_far_apart_are_no_row(pool: Pool):
    await fail(pool, CERTAIN, CERTAIN)
    await execute(pool, "update breakers set failed_at = now() - interval '61 minutes'")
    await fail(pool, CERTAIN, CERTAIN)

    assert await not_closed(pool) == []


async def test_each_failed_probe_doubles_the_time_up_to_a_quarter_of_an_hour(pool: Pool):
    await fail(pool, CERTAIN, CERTAIN, CERTAIN)
    times = [await seconds_open(pool)]
    for _ in range(6):
        await wait_over(pool)
        await fail(pool, CERTAIN)
        times.append(await seconds_open(pool))

    assert times == [30, 60, 120, 240, 480, 900, 900]


async def test_a_job_that_was_there_when_it_opened_changes_nothing_by_failing_and_closes_it_by_working(pool: Pool):
    await fail(pool, CERTAIN, CERTAIN, CERTAIN)
    before = await not_closed(pool)
    await fail(pool, CERTAIN)
    assert await not_closed(pool) == before

    async with pool.connection() as connection:
        await breakers.worked(connection, "gpu-a", "flux")

    assert await not_closed(pool) == []


async def test_failures_of_several_machines_at_once_are_all_counted(pool: Pool):
    await asyncio.gather(*(fail(pool, CERTAIN) for _ in range(3)))

    assert [breaker.failures for breaker in await not_closed(pool)] == [3]


async def test_a_doubtful_failure_opens_it_while_another_backend_may_do_better(pool: Pool):
    await fail(pool, PERHAPS, PERHAPS, PERHAPS)

    assert [breaker.backend for breaker in await not_closed(pool)] == ["gpu-a"]


@pytest.mark.parametrize(
    "trouble",
    [
        "update backends set health = 'away' where name = 'gpu-b'",
        "update backends set drained_at = now() where name = 'gpu-b'",
        """update backends set missing = '{"flux": "ae.safetensors is missing"}' where name = 'gpu-b'""",
        "insert into breakers (backend, bucket, failures, error) values ('gpu-b', 'flux', 1, 'NodeFailed')",
    ],
    ids=["away", "drained", "lacks something", "fails as well"],
)
async def test_a_doubtful_failure_opens_nothing_where_no_other_backend_does_better(pool: Pool, trouble: str):
    await execute(pool, trouble)

    await fail(pool, *[PERHAPS] * 5)

    assert await not_closed(pool) == []


async def test_a_command_that_is_broken_everywhere_is_kept_from_no_more_than_one_backend_and_soon_from_none(pool: Pool):
    on_b = replace(PERHAPS, backend="gpu-b", others=("gpu-a",))
    await fail(pool, PERHAPS, PERHAPS, PERHAPS)
    await fail(pool, *[on_b] * 5)
    assert [breaker.backend for breaker in await not_closed(pool)] == ["gpu-a"]

    await wait_over(pool)
    await fail(pool, PERHAPS)

    assert await not_closed(pool) == [], "users are told what is wrong, rather than to wait"


async def test_an_old_failure_elsewhere_does_not_speak_against_that_backend(pool: Pool):
    await fail(pool, replace(PERHAPS, backend="gpu-b", others=("gpu-a",)))
    await execute(pool, "update breakers set failed_at = now() - interval '2 hours'")

    await fail(pool, PERHAPS, PERHAPS, PERHAPS)

    assert [breaker.backend for breaker in await not_closed(pool)] == ["gpu-a"]


async def test_a_breaker_is_half_opened_at_once_when_its_backend_comes_back(pool: Pool):
    await fail(pool, CERTAIN, CERTAIN, CERTAIN)

    async with pool.connection() as connection:
        await breakers.probe_now(connection, "gpu-a")

    assert [breaker.is_probing for breaker in await not_closed(pool)] == [True]


async def test_an_operator_closes_one_or_all_of_a_backend(pool: Pool):
    dev = replace(CERTAIN, bucket="flux --dev")
    await fail(pool, *[CERTAIN] * 3, *[dev] * 3, replace(CERTAIN, backend="gpu-b"))

    async with pool.connection() as connection:
        assert await breakers.reset(connection, "gpu-a", "wan") == []
        assert await breakers.reset(connection, "gpu-a", "flux") == ["flux"]
        assert await breakers.reset(connection, "gpu-a") == ["flux --dev"]

    assert await not_closed(pool) == []


def test_the_reason_says_what_happened_and_until_when_in_a_form_that_does_not_change_by_the_second():
    noon = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    breaker = Breaker("gpu-a", "flux --dev", 3, "LoadTimeout", noon, noon + timedelta(seconds=30), is_probing=False)

    assert reason(breaker) == (
        "flux --dev failed there 3 times in a row (LoadTimeout) and is tried again at 10:00:30 UTC"
    )
    assert reason(replace(breaker, is_probing=True)) == (
        "flux --dev failed there 3 times in a row (LoadTimeout); the next job shows whether it works again"
    )


async def backends_of(pool: Pool, numbers: Sequence[int]) -> list[str | None]:
    return [(await job_of(pool, number)).backend for number in numbers]


async def test_a_job_goes_elsewhere_while_its_command_is_tripped_and_other_commands_go_on(pool: Pool, registry):
    await fail(pool, CERTAIN, CERTAIN, CERTAIN)
    numbers = [await queue(pool, "flux"), await queue(pool, "flux"), await queue(pool, "flux")]
    other = await queue(pool, "sd3")

    await place_jobs(pool, registry)

    assert await backends_of(pool, numbers) == ["gpu-b", "gpu-b", None]
    assert (await job_of(pool, other)).state == "placed"


async def test_a_job_that_is_tripped_everywhere_waits_with_the_reason(pool: Pool, registry):
    await fail(pool, *[CERTAIN] * 3, *[replace(CERTAIN, backend="gpu-b")] * 3)
    number = await queue(pool, "flux")

    assert await place_jobs(pool, registry) == []

    job = await job_of(pool, number)
    assert job.state == "queued", "it is not hopeless"
    assert job.placement is not None
    assert "gpu-a: flux failed there 3 times in a row (LoadTimeout) and is tried again at " in job.placement


async def test_a_half_open_breaker_lets_one_job_at_a_time_try(pool: Pool, registry):
    await fail(pool, *[CERTAIN] * 3, *[replace(CERTAIN, backend="gpu-b")] * 3)
    async with pool.connection() as connection:
        await breakers.probe_now(connection, "gpu-a")
    numbers = [await queue(pool, "flux") for _ in range(3)]

    await place_jobs(pool, registry)
    await place_jobs(pool, registry)
    assert await backends_of(pool, numbers) == ["gpu-a", None, None]

    await end_well(pool, numbers[0])
    await place_jobs(pool, registry)

    assert await backends_of(pool, numbers) == ["gpu-a", "gpu-a", "gpu-a"]


async def end_well(pool: Pool, number: int) -> None:
    async with pool.connection() as connection:
        await connection.execute("update jobs set state = 'collected' where id = %s", (number,))
        await breakers.worked(connection, "gpu-a", "flux")


async def test_a_rolled_back_end_counts_nothing(pool: Pool, database):
    async with await AsyncConnection.connect(database.dsn) as connection:
        for _ in range(3):
            await breakers.failed(connection, CERTAIN)
        await connection.rollback()

    assert await not_closed(pool) == []


async def test_jobs_of_the_command_that_wait_there_are_asked_back_when_it_opens(pool: Pool, registry):
    registry = replace(registry, backends=(replace(registry.backends[0], lookahead=3),))
    await sync_registry(pool, registry)
    numbers = [await queue(pool, command) for command in ("flux", "flux", "sd3", "flux")]
    await place_jobs(pool, registry)
    assert await backends_of(pool, numbers) == ["gpu-a"] * 4
    async with pool.connection() as connection:
        await connection.execute("update jobs set state = 'running', prompt_id = 'p'")

    await fail(pool, CERTAIN, CERTAIN)
    assert await asked_back(pool) == []
    await fail(pool, CERTAIN)

    assert await asked_back(pool) == [numbers[1], numbers[3]], "not the one in front, and not those of other commands"


async def asked_back(pool: Pool) -> list[int]:
    async with pool.connection() as connection:
        cursor = await connection.execute("select id from jobs where recall_requested order by id")
        return [number for (number,) in await cursor.fetchall()]
