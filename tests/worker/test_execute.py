"""One job in this process: what is written when it ends well, and when it does not."""

import asyncio
import hashlib
from dataclasses import replace
from io import BytesIO
from typing import Any

import pluggy
import pytest
from PIL import Image, PngImagePlugin
from structlog.testing import capture_logs

from db import artifacts, jobs, leases
from db.artifacts import NewArtifact
from runtime.api import NAMESPACE, hookimpl, hooks
from runtime.chat.errors import NotSent, Refused
from runtime.registry import Edition, Registry
from runtime.registry.plugins import LoadedPlugin
from runtime.sandbox.comfyui import Pace, SandboxComfyUI
from runtime.scheduler.sync import sync_registry
from runtime.worker.execute import execute
from runtime.worker.keeper import LeaseKeeper
from tests.worker.yard import Yard, eventually, expire, open_yard, write_registry


def picture(colour: str = "red", *, text: str | None = None) -> bytes:
    note = PngImagePlugin.PngInfo()
    if text is not None:
        note.add_text("prompt", text)
    buffer = BytesIO()
    Image.new("RGB", (64, 48), colour).save(buffer, "PNG", pnginfo=note)
    return buffer.getvalue()


async def keep(yard: Yard, content: bytes | None = None, file_id: str | None = None) -> int:
    """An input artifact: with its content, or at Telegram."""
    artifact = NewArtifact("image", "image/png", chat_id=7, user_id=8, telegram_file_id=file_id)
    async with yard.pool.connection() as connection:
        return await artifacts.add(connection, artifact, content)


def with_hooks(yard: Yard, plugin: object) -> Yard:
    """The yard with one more plugin."""
    manager = pluggy.PluginManager(NAMESPACE)
    manager.add_hookspecs(hooks)
    manager.register(plugin, "extra")
    extra = LoadedPlugin("extra", "1", "test", manager.hook, (), {})
    known = yard.registry
    registry = Registry(known.path, known.backends, commands=known.commands, loaded=(*known.loaded, extra))
    yard.workplace.live.edition = Edition(registry, yard.ids)
    return yard


async def test_a_job_ends_collected_with_its_picture_and_a_message_owed(yard: Yard, comfyui: SandboxComfyUI):
    job = await yard.run(await yard.queue("flux", chat_id=7, user_id=8, seed=5))

    assert (job.state, job.backend, job.attempt, job.error) == ("collected", "gpu-1", 1, None)
    assert comfyui.last_graph["sampler"]["inputs"]["seed"] == 5
    ((media_type, content, width),) = await yard.rows(
        "select media_type, content, width from artifacts join blobs on artifact_id = id where job_id = %s", job.id
    )
    assert (media_type, width) == ("image/png", 64)
    assert b"an astronaut" not in content, "the prompt does not travel in the file"
    ((delivery, kind),) = await yard.rows("select id, kind from deliveries where job_id = %s", job.id)
    assert kind == "result"
    assert yard.delivered == [delivery]
    assert await yard.rows("select warm_model_set from backends") == [("flux-schnell",)]
    assert await yard.rows("select job_id from slots where job_id is not null") == []
    assert await yard.rows("select outcome from attempts where ended_at is not null") == [("collected",)]


async def test_the_first_of_several_pictures_is_the_users_last_result(yard: Yard):
    job = await yard.run(await yard.queue("flux", chat_id=7, user_id=8, n=3))

    made = await yard.rows("select id, position from artifacts where job_id = %s order by position", job.id)
    assert [position for _, position in made] == [0, 1, 2]
    assert await yard.rows("select last_artifact_id from sessions where chat_id = 7 and user_id = 8") == [(made[0][0],)]


async def test_a_video_is_kept_with_its_length(yard: Yard):
    job = await yard.run(await yard.queue("wan", seconds=1, size=[64, 64]))

    assert job.state == "collected", job.error_detail
    ((kind, media_type, seconds),) = await yard.rows(
        "select kind, media_type, duration_seconds from artifacts where job_id = %s", job.id
    )
    assert (kind, media_type) == ("video", "video/mp4")
    assert seconds == pytest.approx(1.0, abs=0.2)


async def test_every_film_is_saved_in_a_folder_of_its_own_and_every_job_posted_under_a_known_id(yard, comfyui):
    job = await yard.run(await yard.queue("wan", seconds=1, size=[64, 64]))

    assert comfyui.last_graph["save"]["inputs"]["filename_prefix"] == f"veilrun/{job.prompt_id}/out"
    assert comfyui.posts == {job.prompt_id: 1}
    ((backend_file,),) = await yard.rows("select backend_file from artifacts where job_id = %s", job.id)
    assert backend_file.startswith(f"veilrun/{job.prompt_id}/out_")


async def test_an_edit_uploads_its_picture_by_content_and_remembers_where_it_came_from(yard: Yard, comfyui):
    content = picture("red")
    first = await keep(yard, content)

    job = await yard.run(await yard.queue("qwen", inputs=[first], chat_id=7, user_id=8))

    assert await yard.rows("select parent_id from artifacts where job_id = %s", job.id) == [(first,)]
    assert comfyui.last_graph["image"]["inputs"]["image"] == hashlib.sha256(content).hexdigest() + ".png [temp]"


async def test_a_second_and_third_picture_reach_the_graph_through_the_plugins_hook(yard: Yard, comfyui):
    inputs = [await keep(yard, picture(colour)) for colour in ("red", "green", "blue")]

    job = await yard.run(await yard.queue("qwen", inputs=inputs))

    assert job.state == "collected", job.error_detail
    names = [comfyui.last_graph[node]["inputs"]["image"] for node in ("image", "image2", "image3")]
    assert len(set(names)) == 3


async def test_a_picture_at_telegram_is_fetched_and_loses_its_metadata_on_the_way(yard: Yard, comfyui):
    yard.files.contents["file-1"] = picture(text="taken at home")

    job = await yard.run(await yard.queue("qwen", inputs=[await keep(yard, file_id="file-1")]))

    assert job.state == "collected", job.error_detail
    name = comfyui.last_graph["image"]["inputs"]["image"]
    assert b"taken at home" not in comfyui.storage.input_path(name).read_bytes()


@pytest.mark.parametrize("content", [b"", b"not a picture", picture()[:80]])
async def test_a_broken_picture_fails_the_job_at_once_and_says_so(yard: Yard, comfyui, content: bytes):
    yard.files.contents["file-1"] = content

    job = await yard.run(await yard.queue("qwen", inputs=[await keep(yard, file_id="file-1")], chat_id=7, user_id=8))

    assert job.state == "failed"
    assert job.error in ("UnknownMedium", "BrokenMedium")
    assert "picture" in (job.error_detail or "")
    assert comfyui.posts.total() == 0
    assert await yard.rows("select kind from deliveries") == [("failure",)]
    assert await yard.rows("select job_id from slots where job_id is not null") == []


async def test_a_picture_that_is_kept_nowhere_any_more_fails_with_a_request_to_send_it_again(yard: Yard):
    job = await yard.run(await yard.queue("qwen", inputs=[await keep(yard)]))

    assert (job.state, job.error) == ("failed", "InputGone")
    assert job.error_detail == "The picture is not kept any more. Please send it again."


async def test_a_job_that_lost_its_pictures_says_that_it_needs_one(yard: Yard):
    job = await yard.run(await yard.queue("qwen"))

    assert (job.state, job.error) == ("failed", "InputGone")
    assert "needs a picture" in (job.error_detail or "")


async def test_a_file_that_telegram_refuses_fails_the_job_and_one_it_cannot_send_now_is_tried_again(yard: Yard):
    yard.files.error = Refused("wrong file_id or the file is temporarily unavailable")
    refused = await yard.run(await yard.queue("qwen", inputs=[await keep(yard, file_id="x")]))
    yard.files.error = NotSent("no connection")
    away = await yard.run(await yard.queue("qwen", inputs=[await keep(yard, file_id="x")]))

    assert (refused.state, refused.error) == ("failed", "InputGone")
    assert (away.state, away.error) == ("queued", "NotSent")


async def test_a_wake_up_with_an_old_fence_does_nothing(yard: Yard, comfyui):
    job_id = await yard.queue("flux")
    (wakeup,) = await yard.place()

    await execute(yard.workplace, job_id, wakeup.fence - 1)

    assert (await yard.job(job_id)).state == "placed"
    assert comfyui.posts.total() == 0


async def test_a_wake_up_is_not_lost_on_a_job_whose_row_is_being_written_to(yard: Yard):
    job_id = await yard.queue("flux", chat_id=7, user_id=8)
    (wakeup,) = await yard.place()

    async with yard.pool.connection() as connection:  # the status message has just been sent
        await jobs.set_status_message(connection, job_id, 5)
        executing = asyncio.create_task(execute(yard.workplace, job_id, wakeup.fence))
        await eventually(lambda: is_waiting_for(yard, connection.info.backend_pid))
    await executing

    assert (await yard.job(job_id)).state == "collected"


async def is_waiting_for(yard: Yard, pid: int) -> bool:
    return bool(await yard.rows("select from pg_stat_activity where %s = any(pg_blocking_pids(pid))", pid))


async def test_two_wake_ups_for_one_job_run_it_once(yard: Yard, comfyui):
    job_id = await yard.queue("flux")
    (wakeup,) = await yard.place()

    await asyncio.gather(*(execute(yard.workplace, job_id, wakeup.fence) for _ in range(5)))

    assert (await yard.job(job_id)).state == "collected"
    assert comfyui.posts.total() == 1
    assert (await yard.job(job_id)).attempt == 1


async def test_a_worker_that_lost_its_lease_writes_nothing_of_its_result(yard: Yard, comfyui):
    comfyui.faults.hold = {"save"}
    job_id = await yard.queue("flux", chat_id=7, user_id=8)
    running = asyncio.create_task(yard.run(job_id))
    await comfyui.wait_for(lambda backend: backend.held == {"save"})
    await expire(yard.pool)
    comfyui.faults.hold = set()
    job = await running

    assert (job.state, job.attempt) == ("placed", 1), "as the sweeper left it for the next worker"
    assert await yard.rows("select * from artifacts") == []
    assert await yard.rows("select * from deliveries") == []

    again = await yard.run(job_id)

    assert (again.state, again.attempt) == ("collected", 2)
    assert comfyui.posts == {again.prompt_id: 1}, "the prompt that ran is found, not posted again"


async def test_a_prompt_that_the_backend_forgot_is_posted_again_by_the_next_worker(yard: Yard, comfyui):
    comfyui.faults.hold = {"save"}
    job_id = await yard.queue("flux")
    running = asyncio.create_task(yard.run(job_id))
    await comfyui.wait_for(lambda backend: backend.held == {"save"})
    await expire(yard.pool)
    yard.workplace.keeper.hand_back()
    await running
    comfyui.faults.hold = set()
    await comfyui.restart()

    async with LeaseKeeper(yard.dsn, 3.0) as keeper:
        job = await yard.run(job_id, replace(yard.workplace, keeper=keeper))

    assert (job.state, job.attempt) == ("collected", 2)
    assert comfyui.posts[job.prompt_id or ""] == 2


async def test_out_of_memory_frees_the_card_and_tries_once_more(yard: Yard, comfyui):
    comfyui.faults.out_of_memory = {"sampler"}
    job_id = await yard.queue("flux", chat_id=7, user_id=8)

    first = await yard.run(job_id)
    assert (first.state, first.error) == ("queued", "OutOfMemory")
    assert "POST /free" in [f"{seen.method} {seen.path}" for seen in comfyui.requests]
    await yard.execute_sql("update jobs set run_at = now()")
    second = await yard.run(job_id)

    assert (second.state, second.error) == ("failed", "OutOfMemory")
    assert "ran out of memory" in (second.error_detail or "")
    assert second.prompt_id != first.prompt_id


async def test_a_missing_model_fails_the_job_and_says_where_to_get_it(yard: Yard, comfyui):
    comfyui.faults.missing_models = {"ae.safetensors"}
    yard.workplace.fleet["gpu-1"].forget()

    job = await yard.run(await yard.queue("flux"))

    assert (job.state, job.error) == ("failed", "GraphProblems")
    assert "ae.safetensors" in (job.error_detail or "")
    assert "ComfyUI/models/vae" in (job.error_detail or "")
    assert comfyui.posts.total() == 0


async def test_a_node_class_that_vanished_since_the_last_check_fails_the_job_with_its_name(yard: Yard, comfyui):
    comfyui.faults.missing_classes = {"CLIPTextEncodeFlux"}

    job = await yard.run(await yard.queue("flux"))

    assert (job.state, job.error) == ("failed", "WorkflowRejected")
    assert "CLIPTextEncodeFlux" in (job.error_detail or "")


async def test_what_a_failing_node_says_is_not_repeated_since_it_may_quote_the_prompt(yard: Yard, comfyui):
    comfyui.faults.fail = {"sampler": "cannot draw an astronaut"}

    with capture_logs() as logs:
        job = await yard.run(await yard.queue("flux"))

    assert (job.state, job.error) == ("failed", "NodeFailed")
    assert "'sampler'" in (job.error_detail or "")
    assert "astronaut" not in f"{job.error_detail}{logs}"


async def test_an_interrupt_by_somebody_else_is_no_fault_of_the_job(yard: Yard, comfyui):
    comfyui.faults.hold = {"sampler"}
    job_id = await yard.queue("flux")
    running = asyncio.create_task(yard.run(job_id))
    await comfyui.wait_for(lambda backend: backend.held == {"sampler"})

    await yard.workplace.fleet["gpu-1"].client.interrupt(comfyui.running or "")
    job = await running

    assert (job.state, job.error) == ("queued", "Interrupted")


async def test_an_output_that_is_gone_from_the_backend_is_rendered_again_once(yard: Yard, comfyui):
    comfyui.faults.stale_answers = 1

    job = await yard.run(await yard.queue("flux"))

    assert job.state == "collected", job.error_detail
    assert "POST /free" in [f"{seen.method} {seen.path}" for seen in comfyui.requests]


async def test_a_backend_that_is_away_gives_the_job_back_until_its_tries_are_used_up(yard: Yard, comfyui):
    job_id = await yard.queue("flux", chat_id=7, user_id=8, max_attempts=2)
    await comfyui.crash()

    first = await yard.run(job_id)
    assert (first.state, first.error, first.prompt_id) == ("queued", "BackendUnreachable", None)
    await yard.execute_sql("update jobs set run_at = now()")
    second = await yard.run(job_id)

    assert (second.state, second.error) == ("dead", "BackendUnreachable")
    assert await yard.rows("select kind from deliveries") == [("failure",)]


async def test_a_cancelled_job_is_stopped_on_the_backend(yard: Yard, comfyui):
    comfyui.faults.hold = {"sampler"}
    job_id = await yard.queue("flux")
    running = asyncio.create_task(yard.run(job_id))
    await comfyui.wait_for(lambda backend: backend.held == {"sampler"})

    async with yard.pool.connection() as connection:
        assert await jobs.cancel(connection, job_id) == "running"
    async with asyncio.timeout(1.0):  # by the notification, long before the next heartbeat but one
        job = await running

    assert job.state == "cancelled"
    assert comfyui.running is None
    assert await yard.rows("select job_id from slots where job_id is not null") == []


async def test_a_job_cancelled_after_its_worker_was_lost_is_stopped_on_the_backend(yard: Yard, comfyui):
    comfyui.faults.hold = {"sampler"}
    job_id = await yard.queue("flux")
    lost = asyncio.create_task(yard.run(job_id))
    await comfyui.wait_for(lambda backend: backend.held == {"sampler"})
    async with yard.pool.connection() as connection:
        await connection.execute("update jobs set lease_until = now() - interval '1 second'")
        await leases.reap(connection)
        await jobs.cancel(connection, job_id)
    await lost

    await execute(yard.workplace, job_id, (await yard.job(job_id)).fence)

    assert (await yard.job(job_id)).state == "cancelled"
    assert comfyui.running is None
    assert await yard.rows("select job_id from slots where job_id is not null") == []


async def test_a_job_that_was_cancelled_gets_no_other_try(yard: Yard):
    job_id = await yard.queue("qwen", inputs=[await keep(yard, file_id="x")])

    class CancelledMeanwhile:
        async def download(self, file_id: str) -> bytes:
            await yard.execute_sql("update jobs set cancel_requested = true")
            raise NotSent("no connection")

    job = await yard.run(job_id, replace(yard.workplace, files=CancelledMeanwhile()))

    assert job.state == "cancelled"
    assert job.is_over


async def test_a_job_cancelled_before_its_wake_up_is_not_started(yard: Yard, comfyui):
    job_id = await yard.queue("flux")
    (wakeup,) = await yard.place()
    async with yard.pool.connection() as connection:
        assert await jobs.cancel(connection, job_id) == "cancelled"

    await execute(yard.workplace, job_id, wakeup.fence)

    assert (await yard.job(job_id)).state == "cancelled"
    assert comfyui.posts.total() == 0


async def test_a_run_over_its_limit_is_interrupted_and_fails(comfyui, tmp_path, yard: Yard):
    path = write_registry(tmp_path, [comfyui], flux={"load_seconds": 0.2, "run_seconds": 0.2})
    comfyui.faults.hold = {"decode"}
    async with open_yard(yard.dsn, path) as strict:
        job = await strict.run(await strict.queue("flux"))

    assert (job.state, job.error) == ("failed", "RunTimeout")
    assert comfyui.running is None


async def test_a_plugin_that_fails_in_its_hook_fails_the_job_by_name(yard: Yard):
    class Broken:
        @hookimpl
        def build_workflow(self, invocation: Any) -> None:
            raise LookupError(invocation.arguments["prompt"])

    job = await with_hooks(yard, Broken()).run(await yard.queue("flux"))

    assert (job.state, job.error) == ("failed", "PluginFailed")
    assert "extra" in (job.error_detail or "")
    assert "astronaut" not in (job.error_detail or "")


async def test_plugins_are_told_how_it_ended(yard: Yard):
    told: list[Any] = []

    class Listening:
        @hookimpl
        def after_invoke(self, invocation: Any, outcome: Any) -> None:
            told.append((invocation.job_id, outcome.state, outcome.backend, len(outcome.outputs)))

    job = await with_hooks(yard, Listening()).run(await yard.queue("flux", n=2))

    assert told == [(job.id, "collected", "gpu-1", 2)]


async def test_a_fault_of_ours_ends_the_job_with_a_number_to_report_and_no_prompt_in_the_log(yard: Yard):
    yard.files.error = RuntimeError("an astronaut")

    with capture_logs() as logs:
        job = await yard.run(await yard.queue("qwen", inputs=[await keep(yard, file_id="x")]))

    assert (job.state, job.error) == ("failed", "Unexpected")
    (entry,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert entry["reference"] in (job.error_detail or "")
    assert "download" in entry["frames"]
    assert "astronaut" not in str(logs)


async def test_a_command_that_left_the_registry_fails_with_a_word_to_its_user(yard: Yard):
    job_id = await yard.queue("flux")
    without = Registry(yard.registry.path, yard.registry.backends)
    yard.workplace.live.edition = Edition(without, await sync_registry(yard.pool, without))

    job = await yard.run(job_id)

    assert (job.state, job.error) == ("failed", "CommandGone")


async def test_a_command_that_only_other_processes_offer_waits_for_one_of_them(yard: Yard):
    job_id = await yard.queue("flux")
    yard.workplace.live.edition = Edition(Registry(yard.registry.path, yard.registry.backends))

    job = await yard.run(job_id)

    assert (job.state, job.error) == ("queued", "NotOfferedHere")
    assert job.max_attempts - job.attempt == 3


async def test_progress_is_written_while_it_runs_and_not_more_often_than_it_can_be_read(yard: Yard, tmp_path):
    pace = Pace(load_seconds=0.1, step_seconds=0.1, class_seconds={})
    async with SandboxComfyUI(pace=pace) as slow, open_yard(yard.dsn, write_registry(tmp_path, [slow])) as patient:
        job_id = await patient.queue("flux", steps=12)
        running = asyncio.create_task(patient.run(job_id))
        readings: list[dict[str, Any]] = []
        await patient.until(
            job_id, lambda job: bool(job.progress and readings.append(dict(job.progress))) or job.is_over
        )
        job = await running

    assert job.state == "collected", job.error_detail
    assert 2 <= len({reading["fraction"] for reading in readings}) <= 8
    assert all(0 <= reading["fraction"] <= 1 for reading in readings)
    assert any(reading["steps"] == 12 for reading in readings)
