"""Several machines on one database: work is shared, and what one machine cannot reach is left to those that can."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientSession, web

from db import views
from runtime.anon.address import HiddenAddress
from runtime.anon.state import AnonState, write_state
from runtime.cli.machine import WEB, WORKER, listening
from runtime.leaks.socks import Relay, ScriptedSocks
from runtime.machine_name import machine_name
from runtime.sandbox.comfyui import SandboxComfyUI
from runtime.sandbox.telegram import SandboxTelegram
from tests.conftest import Database
from tests.e2e.deployment import TOKEN, deployed, registry_text
from tests.scale.servers import free_port
from tests.worker.yard import REGISTRY, Yard, eventually, open_yard

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

SERVICE = HiddenAddress.of(bytes(range(32)), ".anon")
FLUX = "  flux: {enabled: true}"


# One queue for all


@contextlib.asynccontextmanager
async def posting_to_each(targets: list[str]) -> AsyncIterator[str]:
    """Where Telegram posts: every update goes to all targets at once, and the first one's answer back."""

    async def post(request: web.Request) -> web.Response:
        body, headers = await request.read(), request.headers
        kept = {name: headers[name] for name in headers if name.startswith("X-Telegram") or name == "Content-Type"}
        async with ClientSession() as session:

            async def to(target: str) -> int:
                async with session.post(f"{target}{request.path}", data=body, headers=kept) as answer:
                    return answer.status

            statuses = await asyncio.gather(*map(to, targets))
        return web.Response(status=statuses[0])

    application = web.Application()
    application.router.add_post("/{path:.*}", post)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_two_webs_and_three_workers_do_each_update_and_each_job_once(database: Database, tmp_path: Path):
    people, rounds, targets = ("Alice", "Bob", "Carol", "Dave"), 3, list[str]()
    async with contextlib.AsyncExitStack() as stack:
        telegram = await stack.enter_async_context(SandboxTelegram(TOKEN))
        backends = [await stack.enter_async_context(SandboxComfyUI(pace=0)) for _ in range(3)]
        for backend in backends:
            backend.faults.hold = {"sampler"}
        url = await stack.enter_async_context(posting_to_each(targets))
        deployment = await stack.enter_async_context(
            deployed(
                database.dsn,
                tmp_path,
                registry=registry_text(backends),
                telegram=telegram,
                comfyui=backends[0],
                workers=0,
                VEILRUN_PUBLIC_URL=url,
                VEILRUN_WORKER_THREADS="1",
            )
        )
        listener = stack.enter_context(listening("127.0.0.1", 0))
        targets += [deployment.web_url, f"http://127.0.0.1:{listener.getsockname()[1]}"]
        for number in range(2, 6):
            environment = {
                **deployment.environment,
                "VEILRUN_STATE_DIR": str(tmp_path / f"machine-{number}"),
                "VEILRUN_LISTEN_FD": str(listener.fileno()),
            }
            deployment.processes[f"machine-{number}"] = await asyncio.create_subprocess_exec(
                *(WEB if number == 2 else WORKER),
                env=environment,
                pass_fds=(listener.fileno(),) if number == 2 else (),
                start_new_session=True,
            )
        await answering(f"{targets[1]}/readyz")

        async with await database.connect() as connection:  # none is worth waiting for
            await connection.execute("update backends set warm_model_set = 'flux-schnell'")
        for _ in range(rounds):
            for person in people:
                telegram.user(person).private_chat.send("/f an astronaut --size 256x256")

        async with await database.connect() as connection:

            async def numbers(query: str) -> tuple[int, ...]:
                return await (await connection.execute(query)).fetchone() or ()

            async def are_all_at_work() -> bool:
                return await numbers("select count(distinct lease_owner) from jobs where state = 'running'") == (3,)

            await eventually(are_all_at_work, seconds=60)
            for backend in backends:
                backend.faults.hold = set()
            for person in people:
                chat = telegram.user(person).private_chat
                await chat.wait_until(
                    lambda shown: sum(m.photo is not None for m in shown.messages) == rounds, timeout=60
                )
                await chat.wait_until(lambda shown: sum(m.from_bot for m in shown.messages) == rounds, timeout=20)

            total = len(people) * rounds
            assert await numbers("select count(*), count(*) filter (where state = 'done') from updates") == (
                total,
                total,
            )
            assert await numbers("select count(*), max(attempt) from jobs where state = 'delivered'") == (total, 1)
        assert sum(backend.posts.total() for backend in backends) == total
        assert len(telegram.journal.calls("sendPhoto")) == total
        edits = telegram.journal.calls("editMessageText")
        assert all(edit.ok for edit in edits), "two editors would say the same twice, and be refused"


async def answering(address: str) -> None:
    async with ClientSession() as session:

        async def answers() -> bool:
            with contextlib.suppress(OSError):
                async with session.get(address) as response:
                    return response.status == 200
            return False

        await eventually(answers, seconds=60)


# A way that only one machine has


@dataclass
class TwoMachines:
    """`near` is the yard's own and reaches the backend, `far` does not; each is the environment of its processes."""

    yard: Yard
    near: dict[str, str]
    far: dict[str, str]

    async def start(self, environment: dict[str, str]) -> asyncio.subprocess.Process:
        return await self.yard.start_worker(**environment)

    async def view(self, environment: dict[str, str]) -> str | None:
        """How that machine sees the backend."""
        name = machine_name(Path(environment["VEILRUN_STATE_DIR"]))
        async with self.yard.pool.connection() as connection:
            return {seen.machine: seen.health for seen in await views.views(connection)}.get(name)

    async def until_seen(self, environment: dict[str, str], health: str) -> None:
        async def is_so() -> bool:
            return await self.view(environment) == health

        await eventually(is_so, seconds=30)


@pytest.fixture(params=["a port that is closed from one machine", "anon that is down on one machine"])
async def machines(
    request: pytest.FixtureRequest, database: Database, comfyui: SandboxComfyUI, tmp_path: Path
) -> AsyncIterator[TwoMachines]:
    async with contextlib.AsyncExitStack() as stack:
        near, far = tmp_path / "near", tmp_path / "far"
        urls = {near: comfyui.url, far: f"http://127.0.0.1:{free_port()}"}
        transport = "direct"
        if request.param.startswith("anon"):
            urls, transport = dict.fromkeys(urls, f"http://{SERVICE}"), "anon"
            proxy = await stack.enter_async_context(ScriptedSocks(Relay(urlsplit(comfyui.url).port or 0)))
            state = AnonState(("127.0.0.1", proxy.port), ("127.0.0.1", 1), "0.4.9.11-live", 100, "Done")
        environments = []
        for folder, url in urls.items():
            folder.mkdir()
            if transport == "anon":
                (folder / "anon").mkdir()
                write_state(folder / "anon", state if folder == near else state.at(0, "starting"))
            backend = f'  - {{name: gpu-1, url: "{url}", transport: {transport}, vram_gb: 32, lookahead: 1}}'
            registry = folder / "plugin_registry.yaml"
            registry.write_text(REGISTRY.format(backends=backend, plugins=FLUX), encoding="utf-8")
            environments.append({"VEILRUN_STATE_DIR": str(folder), "VEILRUN_REGISTRY": str(registry)})
        yard = await stack.enter_async_context(open_yard(database.dsn, near / "plugin_registry.yaml", near / "anon"))
        yield TwoMachines(yard, *environments)


async def test_jobs_run_on_the_machine_that_reaches_the_backend_and_no_try_is_lost(machines: TwoMachines):
    yard = machines.yard
    near = await machines.start(machines.near)
    await machines.until_seen(machines.near, "ready")
    await machines.start(machines.far)
    await machines.until_seen(machines.far, "away")
    await yard.execute_sql("create table turns (health text)")
    await yard.execute_sql(
        """create function note() returns trigger language plpgsql as
           'begin insert into turns values (new.health); return new; end'"""
    )
    await yard.execute_sql(
        """create trigger turned after update on backends for each row
           when (old.health is distinct from new.health) execute function note()"""
    )

    job_ids = [await yard.queue("flux") for _ in range(6)]
    for job_id in job_ids:
        await yard.until(job_id, "collected", seconds=40)

    attempts = await yard.rows("select outcome, split_part(worker, ':', 2)::int from attempts")
    assert attempts == [("collected", near.pid)] * 6
    assert await machines.view(machines.far) == "away"
    assert await yard.rows("select * from turns") == [], "one machine's trouble is not the backend's"


async def test_when_no_machine_reaches_a_backend_it_is_away_and_jobs_wait(machines: TwoMachines, comfyui):
    yard = machines.yard
    for environment in (machines.far, machines.near):
        await machines.start(environment)
    await machines.until_seen(machines.near, "ready")
    await machines.until_seen(machines.far, "away")

    await comfyui.crash()
    job_id = await yard.queue("flux")

    async def waits() -> bool:
        job = await yard.job(job_id)
        return job.state == "queued" and "is away" in (job.placement or "")

    await eventually(waits, seconds=40)
    await comfyui.start()

    job = await yard.until(job_id, "collected", seconds=40)
    assert job.attempt <= 2, "one machine may have tried before it looked"


@pytest.mark.parametrize("machines", ["anon that is down on one machine"], indirect=True)
async def test_a_job_whose_way_went_down_here_is_left_to_a_machine_that_has_one(machines: TwoMachines):
    yard = machines.yard
    health = yard.workplace.health
    watching = asyncio.create_task(health.run())
    await eventually(lambda: asyncio.sleep(0, health.is_reaching_all))
    watching.cancel()
    await asyncio.wait({watching})
    async with yard.pool.connection() as connection:
        await views.report(connection, "gpu-1", machine="another", health="ready")
    shutil.rmtree(Path(machines.near["VEILRUN_STATE_DIR"]) / "anon")

    job = await yard.run(await yard.queue("flux", max_attempts=1))

    assert (job.state, job.backend, job.error) == ("placed", "gpu-1", None)
    assert await yard.rows("select outcome from attempts") == [("handed back",)]
    assert [sent["fence"] for sent in yard.sent("execute")] == [job.fence]


# Views


async def reported(yard: Yard, **seen: str) -> tuple[str, str | None]:
    """(health, reason) of gpu-1 after each machine reported."""
    for machine, health in seen.items():
        async with yard.pool.connection() as connection:
            reason = None if health == "ready" else f"{machine} does not reach it"
            await views.report(connection, "gpu-1", machine=machine, health=health, reason=reason)  # type: ignore[arg-type]
    return (await yard.rows("select health, health_reason from backends"))[0]


async def test_a_backend_is_ready_if_any_machine_sees_it_so_and_else_away_for_the_newest_reason(yard: Yard):
    await yard.execute_sql("truncate backend_views")
    assert await reported(yard, a="away", b="ready", c="away") == ("ready", None)
    assert await reported(yard, b="away") == ("away", "b does not reach it")
    assert await reported(yard, a="away") == ("away", "a does not reach it")
    assert await reported(yard, c="ready", a="away") == ("ready", None)


async def test_what_is_loaded_is_forgotten_only_when_no_machine_sees_the_backend(yard: Yard):
    await yard.execute_sql("truncate backend_views")
    await yard.execute_sql("update backends set warm_model_set = 'flux-schnell'")
    await reported(yard, a="ready", b="away")
    assert await yard.rows("select warm_model_set from backends") == [("flux-schnell",)]

    await reported(yard, a="away")
    assert await yard.rows("select warm_model_set from backends") == [(None,)]


async def test_a_machine_that_says_nothing_any_more_is_believed_for_a_while_only(yard: Yard):
    await yard.execute_sql("truncate backend_views")
    await reported(yard, a="ready")
    await yard.execute_sql("update backend_views set checked_at = checked_at - interval '2 minutes'")

    assert await reported(yard, b="away") == ("away", "b does not reach it")
    assert await yard.rows("select machine from backend_views") == [("b",)]


async def test_machines_that_report_at_once_come_to_one_conclusion(yard: Yard):
    await yard.execute_sql("truncate backend_views")
    await reported(yard, **{f"m{number}": "ready" for number in range(8)})

    await asyncio.gather(*(reported(yard, **{f"m{number}": "away"}) for number in range(8)))

    assert await yard.rows("select health from backends") == [("away",)]


async def test_a_machine_that_loses_sight_of_a_backend_makes_the_others_look(yard: Yard, comfyui: SandboxComfyUI):
    other = Path(yard.path.parent) / "other"
    await yard.start_worker(VEILRUN_STATE_DIR=str(other))

    async def sees(health: str) -> bool:
        found = await yard.rows("select health from backend_views where machine = %s", machine_name(other))
        return found == [(health,)]

    await eventually(lambda: sees("ready"), seconds=30)
    await comfyui.crash()
    async with yard.pool.connection() as connection:
        await views.doubt(connection, "gpu-1", "somebody else")

    await eventually(lambda: sees("away"), seconds=10)  # half a minute before its next look


def test_a_machine_keeps_its_name_and_shares_it_with_no_other_folder(tmp_path: Path):
    first, second = machine_name(tmp_path / "a"), machine_name(tmp_path / "b")

    assert machine_name(tmp_path / "a") == first != second
    assert machine_name(Path("/proc/nowhere")) == first.rpartition("-")[0]
    assert [file.name for file in (tmp_path / "a").iterdir()] == ["machine"]
