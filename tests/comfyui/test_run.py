"""What a client must do so that no result is lost."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from itertools import pairwise

import pytest
from aiohttp import web

from runtime.api.affinity import Limits
from runtime.comfyui import (
    BackendUnreachable,
    ComfyClient,
    EventHub,
    Interrupted,
    LoadTimeout,
    NodeFailed,
    OutOfMemory,
    OutputMissing,
    Pace,
    Progress,
    Prompt,
    PromptLost,
    QueueTimeout,
    RunTimeout,
    WorkflowRejected,
    run_and_collect,
    run_prompt,
)
from runtime.comfyui.run import rerun_of
from runtime.sandbox.comfyui import SandboxComfyUI
from runtime.transport import Transport
from tests.comfyui import graphs
from tests.comfyui.conftest import QUICK, Serve

DEADLINE = 10


async def test_a_graph_becomes_a_picture(client: ComfyClient, comfyui: SandboxComfyUI) -> None:
    history, outputs = await run_and_collect(client, Prompt("mine", graphs.sampled(prefix="job/mine/out")), pace=QUICK)

    assert history.outcome == "success"
    assert history.run_seconds is not None
    assert [output.media_type for output in outputs] == ["image/png"]
    assert (outputs[0].file.subfolder, outputs[0].file.node) == ("job/mine", "save")
    assert outputs[0].content.startswith(b"\x89PNG")


async def test_the_socket_is_open_before_the_prompt_is_posted(client: ComfyClient, comfyui: SandboxComfyUI) -> None:
    await run_prompt(client, Prompt("mine", graphs.still()), pace=QUICK)

    routes = [seen.route for seen in comfyui.requests]
    assert routes.index("GET /ws") < routes.index("POST /prompt")


async def test_a_healthy_socket_needs_no_poll_and_one_look_at_the_history(
    client: ComfyClient, comfyui: SandboxComfyUI
) -> None:
    """`execution_success` comes before the entry exists; the end is `executing` with node null."""
    comfyui.faults.history_lag_seconds = 0.2

    await run_prompt(client, Prompt("mine", graphs.sampled()), pace=QUICK)

    routes = [seen.route for seen in comfyui.requests]
    assert routes == ["GET /ws", "POST /prompt", "GET /history/{prompt_id}"]


async def test_a_history_that_comes_late_is_asked_for_again(client: ComfyClient, comfyui: SandboxComfyUI) -> None:
    comfyui.faults.empty_history = 3

    history = await run_prompt(client, Prompt("mine", graphs.still()), pace=QUICK)

    assert history.outcome == "success"
    assert "GET /queue" not in [seen.route for seen in comfyui.requests]


async def test_a_slow_poll_finds_the_end_that_no_event_told(client: ComfyClient, comfyui: SandboxComfyUI) -> None:
    comfyui.faults.withhold = {"executing", "execution_success", "executed"}

    history = await run_prompt(client, Prompt("mine", graphs.still()), pace=Pace(healthy=0.2, blind=0.1))

    assert history.outcome == "success"


async def test_without_any_websocket_polling_alone_does_it(client: ComfyClient, comfyui: SandboxComfyUI) -> None:
    comfyui.faults.answers = {"GET /ws": [404] * 50}

    history = await run_prompt(client, Prompt("mine", graphs.sampled()), pace=QUICK)

    assert history.outcome == "success"


@pytest.mark.parametrize("frames", [0, 1, 3, 6, 12, 20])
async def test_a_socket_cut_at_any_moment_loses_no_result(
    client: ComfyClient, comfyui: SandboxComfyUI, frames: int
) -> None:
    comfyui.faults.cut_websocket_after = frames

    history = await run_prompt(client, Prompt("mine", graphs.sampled()), pace=QUICK)

    assert history.outcome == "success"
    assert comfyui.posts["mine"] == 1


async def test_after_a_cut_the_socket_comes_back_under_a_fresh_id(client: ComfyClient, comfyui: SandboxComfyUI) -> None:
    """The server may still hold the old socket; when that ends, it would forget a new one of the same id."""
    comfyui.faults.hold = {"save"}
    comfyui.faults.cut_websocket_after = 5
    async with EventHub(client, "first") as hub:
        run = asyncio.create_task(run_prompt(client, Prompt("mine", graphs.sampled()), hub=hub, pace=QUICK))

        await comfyui.wait_for(lambda server: len(server.clients) == 1 and "first" not in server.clients)
        comfyui.faults.hold = set()

        assert (await asyncio.wait_for(run, DEADLINE)).outcome == "success"


async def test_the_answer_to_a_post_lost_on_its_way_causes_no_second_run(
    client: ComfyClient, comfyui: SandboxComfyUI
) -> None:
    comfyui.faults.drop_prompt_after = 1

    history = await run_prompt(client, Prompt("mine", graphs.still()), pace=QUICK)

    assert history.outcome == "success"
    assert comfyui.posts["mine"] == 1


async def test_a_post_that_never_arrived_is_repeated_after_two_looks(
    client: ComfyClient, comfyui: SandboxComfyUI
) -> None:
    comfyui.faults.drop_prompt_before = 1

    history = await run_prompt(client, Prompt("mine", graphs.still()), pace=QUICK)

    assert history.outcome == "success"
    assert comfyui.posts["mine"] == 1
    routes = [seen.route for seen in comfyui.requests]
    first, second = [position for position, route in enumerate(routes) if route == "POST /prompt"]
    look = ["GET /queue", "GET /history/{prompt_id}"]
    assert routes[first + 1 : second] == look * 2


async def test_a_post_that_never_arrives_is_given_up(client: ComfyClient, comfyui: SandboxComfyUI) -> None:
    comfyui.faults.drop_prompt_before = 99

    with pytest.raises(BackendUnreachable):
        await run_prompt(client, Prompt("mine", graphs.still()), pace=QUICK)

    assert 2 <= len([seen for seen in comfyui.requests if seen.route == "POST /prompt"]) <= 5


async def test_a_server_that_answers_5xx_for_a_moment_is_borne_with(
    client: ComfyClient, comfyui: SandboxComfyUI
) -> None:
    comfyui.faults.answers = {"POST /prompt": [502], "GET /queue": [503], "GET /history/{prompt_id}": [502, 504]}

    history = await run_prompt(client, Prompt("mine", graphs.still()), pace=QUICK)

    assert history.outcome == "success"


async def test_a_prompt_that_a_restart_swept_away_is_lost_after_two_polls(
    client: ComfyClient, comfyui: SandboxComfyUI
) -> None:
    comfyui.faults.hold = {"save"}
    run = asyncio.create_task(run_prompt(client, Prompt("mine", graphs.still()), pace=QUICK))
    await comfyui.wait_for(lambda server: server.held == {"save"})
    behind = asyncio.create_task(run_prompt(client, Prompt("next", graphs.still(colour=9)), pace=QUICK))
    await comfyui.wait_for(lambda server: server.pending == ["next"])

    await comfyui.crash()
    await comfyui.start()

    with pytest.raises(PromptLost) as caught:
        await asyncio.wait_for(run, DEADLINE)
    with pytest.raises(PromptLost) as caught_behind:
        await asyncio.wait_for(behind, DEADLINE)
    assert caught.value.retry
    assert (caught.value.had_begun, caught_behind.value.had_begun) == (True, False)


async def test_a_prompt_accepted_and_forgotten_is_lost_even_while_the_socket_is_well(
    client: ComfyClient, comfyui: SandboxComfyUI
) -> None:
    comfyui.faults.vanish = 1

    with pytest.raises(PromptLost):
        await run_prompt(client, Prompt("mine", graphs.still()), pace=Pace(healthy=0.2, blind=0.05))


async def test_a_server_that_stays_away_is_unreachable_in_the_end(client: ComfyClient, comfyui: SandboxComfyUI) -> None:
    comfyui.faults.hold = {"save"}
    run = asyncio.create_task(run_prompt(client, Prompt("mine", graphs.still()), pace=Pace(blind=0.05, patience=0.3)))
    await comfyui.wait_for(lambda server: server.held == {"save"})

    await comfyui.crash()

    with pytest.raises(BackendUnreachable):
        await asyncio.wait_for(run, DEADLINE)


async def test_a_finished_prompt_is_adopted_and_not_run_again(client: ComfyClient, comfyui: SandboxComfyUI) -> None:
    first = await run_and_collect(client, Prompt("mine", graphs.still()), pace=QUICK)

    again = await run_and_collect(client, Prompt("mine", graphs.still()), resume=True, pace=QUICK)

    assert again == first
    assert comfyui.posts["mine"] == 1


@pytest.mark.parametrize("state", ["running", "pending"])
async def test_a_prompt_left_behind_by_a_crash_is_adopted(
    client: ComfyClient, comfyui: SandboxComfyUI, state: str
) -> None:
    comfyui.faults.hold = {"save"}
    if state == "pending":
        await client.post_prompt("other", graphs.still(colour=7), "somebody")
        await comfyui.wait_for(lambda server: server.running == "other")
    crashed = asyncio.create_task(run_prompt(client, Prompt("mine", graphs.still()), pace=QUICK))
    await comfyui.wait_for(lambda server: "mine" in (server.running, *server.pending))
    await _cancelled(crashed)

    readings: list[Progress] = []
    resumed = asyncio.create_task(
        run_prompt(client, Prompt("mine", graphs.still()), resume=True, on_progress=readings.append, pace=QUICK)
    )
    await comfyui.wait_for(lambda server: len(server.clients) == 1)
    comfyui.faults.hold = set()

    assert (await asyncio.wait_for(resumed, DEADLINE)).outcome == "success"
    assert comfyui.posts["mine"] == 1
    assert readings[-1].phase == "done"


async def test_a_prompt_posted_under_another_client_id_is_adopted_by_polling(
    client: ComfyClient, comfyui: SandboxComfyUI
) -> None:
    """The socket is well and hears nothing of it."""
    comfyui.faults.hold = {"save"}
    await client.post_prompt("mine", graphs.still(), "a process long gone")
    comfyui.faults.withhold = {"status"}
    resumed = asyncio.create_task(run_prompt(client, Prompt("mine", graphs.still()), resume=True, pace=QUICK))
    await comfyui.wait_for(lambda server: [seen.route for seen in server.requests].count("GET /queue") >= 4)
    comfyui.faults.hold = set()

    assert (await asyncio.wait_for(resumed, DEADLINE)).outcome == "success"


async def test_resuming_what_the_server_does_not_know_posts_it(client: ComfyClient, comfyui: SandboxComfyUI) -> None:
    history = await run_prompt(client, Prompt("mine", graphs.still()), resume=True, pace=QUICK)

    assert history.outcome == "success"
    assert comfyui.posts["mine"] == 1


async def test_a_resumed_prompt_that_had_failed_fails_again(client: ComfyClient, comfyui: SandboxComfyUI) -> None:
    comfyui.faults.fail = {"save": "disk full"}
    for resume in (False, True):
        with pytest.raises(NodeFailed):
            await run_prompt(client, Prompt("mine", graphs.still()), resume=resume, pace=QUICK)

    assert comfyui.posts["mine"] == 1


async def test_cancelling_the_task_leaves_the_prompt_to_be_resumed(
    client: ComfyClient, comfyui: SandboxComfyUI
) -> None:
    comfyui.faults.hold = {"save"}
    run = asyncio.create_task(run_prompt(client, Prompt("mine", graphs.still()), pace=QUICK))
    await comfyui.wait_for(lambda server: server.held == {"save"})

    await _cancelled(run)

    assert comfyui.running == "mine"
    await comfyui.wait_for(lambda server: server.clients == [])


async def test_a_failing_node_is_named_and_its_words_kept_out_of_the_text(
    client: ComfyClient, comfyui: SandboxComfyUI
) -> None:
    comfyui.faults.fail = {"positive": "cannot encode 'an astronaut in my garden'"}

    with pytest.raises(NodeFailed) as caught:
        await run_prompt(client, Prompt("mine", graphs.sampled()), pace=QUICK)

    failure = caught.value
    assert (failure.node, failure.class_type, failure.exception_type) == ("positive", "CLIPTextEncode", "ValueError")
    assert str(failure) == "gpu-a: node 'positive' (CLIPTextEncode) failed with ValueError"
    assert failure.detail == "cannot encode 'an astronaut in my garden'"
    assert not failure.retry


async def test_out_of_memory_is_an_error_of_its_own_and_worth_a_retry(
    client: ComfyClient, comfyui: SandboxComfyUI
) -> None:
    comfyui.faults.out_of_memory = {"sampler"}

    with pytest.raises(OutOfMemory, match="ran out of memory in node 'sampler'") as caught:
        await run_prompt(client, Prompt("mine", graphs.sampled()), pace=QUICK)

    assert caught.value.retry


async def test_an_interrupt_is_told_apart_from_a_failure(client: ComfyClient, comfyui: SandboxComfyUI) -> None:
    comfyui.faults.hold = {"sampler"}
    run = asyncio.create_task(run_prompt(client, Prompt("mine", graphs.sampled()), pace=QUICK))
    await comfyui.wait_for(lambda server: server.held == {"sampler"})

    await client.interrupt("mine")

    with pytest.raises(Interrupted) as caught:
        await asyncio.wait_for(run, DEADLINE)
    assert (caught.value.node, caught.value.retry) == ("sampler", False)


async def test_a_200_that_drops_the_wanted_output_is_a_rejection(client: ComfyClient, comfyui: SandboxComfyUI) -> None:
    graph = graphs.still() | {"bad": graphs.node("SaveImage", images=["canvas", 0])}
    comfyui.faults.hold = {"save"}

    for outputs in ((), ("bad",)):
        with pytest.raises(WorkflowRejected, match=r"node 'bad' .*filename_prefix"):
            await run_prompt(client, Prompt(f"mine{outputs}", graph, outputs=outputs), pace=QUICK)
    await comfyui.wait_for(lambda server: server.running is None and not server.pending)


async def test_a_200_that_drops_another_output_goes_on(client: ComfyClient, comfyui: SandboxComfyUI) -> None:
    graph = graphs.still() | {"bad": graphs.node("SaveImage", images=["canvas", 0])}

    _, outputs = await run_and_collect(client, Prompt("mine", graph, outputs=("save",)), pace=QUICK)

    assert [output.file.node for output in outputs] == ["save"]


async def test_a_file_gone_from_the_cache_is_rendered_anew(client: ComfyClient, comfyui: SandboxComfyUI) -> None:
    """The job says success, the file is 404: drop the cache, run once more."""
    comfyui.faults.stale_answers = 1

    _, outputs = await run_and_collect(client, Prompt("mine", graphs.still()), pace=QUICK)

    assert outputs[0].content.startswith(b"\x89PNG")
    assert [seen.route for seen in comfyui.requests].count("POST /free") == 1
    assert set(comfyui.posts) == {"mine", rerun_of(Prompt("mine", {})).prompt_id}


async def test_a_rerun_left_behind_by_a_crash_is_adopted_too(client: ComfyClient, comfyui: SandboxComfyUI) -> None:
    comfyui.faults.stale_answers = 1
    await run_and_collect(client, Prompt("mine", graphs.still()), pace=QUICK)
    posts = dict(comfyui.posts)

    _, outputs = await run_and_collect(client, Prompt("mine", graphs.still()), resume=True, pace=QUICK)

    assert outputs
    assert dict(comfyui.posts) == posts


async def test_a_file_that_is_gone_twice_is_an_error(client: ComfyClient, comfyui: SandboxComfyUI) -> None:
    comfyui.faults.answers = {"GET /view": [404] * 4}  # each run is asked once early and once again

    with pytest.raises(OutputMissing):
        await run_and_collect(client, Prompt("mine", graphs.still()), pace=QUICK)


async def test_waiting_too_long_in_the_queue_takes_the_prompt_out(client: ComfyClient, comfyui: SandboxComfyUI) -> None:
    comfyui.faults.hold = {"save"}
    await client.post_prompt("other", graphs.still(colour=7), "somebody")
    await comfyui.wait_for(lambda server: server.running == "other")

    with pytest.raises(QueueTimeout, match=r"queue took longer than 0\.2 s"):
        await _bounded(client, graphs.still(), Limits(queue_seconds=0.2))

    assert (comfyui.running, comfyui.pending) == ("other", [])


async def test_loading_too_long_stops_the_prompt(client: ComfyClient, comfyui: SandboxComfyUI) -> None:
    comfyui.faults.hold = {"model"}

    with pytest.raises(LoadTimeout, match=r"model load took longer than 0\.2 s"):
        await _bounded(client, graphs.sampled(), Limits(load_seconds=0.2))

    await comfyui.wait_for(lambda server: server.running is None)


async def test_running_too_long_stops_the_prompt(client: ComfyClient, comfyui: SandboxComfyUI) -> None:
    comfyui.faults.hold = {"decode"}

    with pytest.raises(RunTimeout, match=r"run took longer than 0\.2 s"):
        await _bounded(client, graphs.sampled(), Limits(run_seconds=0.2))

    await comfyui.wait_for(lambda server: server.running is None)


async def test_when_steps_cannot_be_seen_load_and_run_share_their_limits(
    client: ComfyClient, comfyui: SandboxComfyUI
) -> None:
    comfyui.faults.answers = {"GET /ws": [404] * 50}
    comfyui.faults.hold = {"decode"}

    with pytest.raises(RunTimeout, match=r"0\.5 s"):
        await _bounded(client, graphs.sampled(), Limits(load_seconds=0.2, run_seconds=0.3))


async def test_a_run_that_ends_while_the_server_is_out_of_reach_is_not_taken_for_one_that_takes_too_long(
    client: ComfyClient, comfyui: SandboxComfyUI
) -> None:
    comfyui.faults.answers = {"GET /ws": [404] * 50}
    comfyui.faults.hold = {"decode"}
    is_running = asyncio.Event()

    def note(progress: Progress) -> None:
        if progress.phase != "queued":
            is_running.set()

    running = asyncio.create_task(
        run_prompt(
            client,
            Prompt("mine", graphs.sampled()),
            limits=Limits(load_seconds=0.2, run_seconds=0.2),
            pace=Pace(blind=0.05, patience=10),
            on_progress=note,
        )
    )
    await is_running.wait()
    comfyui.faults.answers["GET /queue"] = [503] * 15
    comfyui.faults.hold = set()

    assert (await running).outcome == "success"
    assert comfyui.faults.answers["GET /queue"] == []


async def test_a_run_of_somebody_else_is_not_touched_by_our_timeout(
    client: ComfyClient, comfyui: SandboxComfyUI
) -> None:
    comfyui.faults.hold = {"save"}
    await client.post_prompt("other", graphs.still(colour=7), "somebody")
    with pytest.raises(QueueTimeout):
        await _bounded(client, graphs.still(), Limits(queue_seconds=0.2))

    comfyui.faults.hold = set()

    await comfyui.wait_for(lambda server: server.finished == ["other"])
    history = await client.history("other")
    assert history is not None
    assert history.outcome == "success"


async def test_a_prompt_missed_by_one_poll_is_not_lost(serve: Serve) -> None:
    looks: list[str] = []

    async def post(request: web.Request) -> web.Response:
        return web.json_response({"prompt_id": "mine", "number": 1, "node_errors": {}})

    async def queue(request: web.Request) -> web.Response:
        return web.json_response({"queue_running": [], "queue_pending": []})

    async def history(request: web.Request) -> web.Response:
        looks.append(request.path)
        status = {"status_str": "success", "completed": True, "messages": []}
        return web.json_response({"mine": {"outputs": {}, "status": status}} if len(looks) > 1 else {})

    client = await serve({"POST /prompt": post, "GET /queue": queue, "GET /history/mine": history})

    assert (await run_prompt(client, Prompt("mine", graphs.still()), pace=QUICK)).outcome == "success"


async def test_over_a_slow_path_blind_polls_leave_it_free_most_of_the_time(serve: Serve) -> None:
    """Each poll takes 0.1 s here: two thirds of the time are pauses, whatever pace is asked for."""
    clock = asyncio.get_running_loop().time
    looks: list[float] = []
    enough = asyncio.Event()

    async def queue(request: web.Request) -> web.Response:
        looks.append(clock())
        if len(looks) == 6:
            enough.set()
        await asyncio.sleep(0.1)
        return web.json_response({"queue_running": [[1, "mine", {}, {}, []]], "queue_pending": []})

    client = await serve({"GET /queue": queue})
    run = asyncio.create_task(
        run_prompt(client, Prompt("mine", graphs.still()), resume=True, pace=Pace(blind=0.01, patience=2))
    )
    await asyncio.wait_for(enough.wait(), DEADLINE)
    await _cancelled(run)

    followed = looks[3:]  # after the two that look for it before it is adopted, and the first
    assert min(after - before for before, after in pairwise(followed)) > 0.28


async def test_progress_that_a_careless_client_sends_to_everyone_is_not_taken_for_ours(
    client: ComfyClient, comfyui: SandboxComfyUI, transport: Transport
) -> None:
    """A prompt posted without a client id: its progress and its interruption go to every socket."""
    comfyui.faults.hold = {"sampler"}
    body = {"prompt": graphs.sampled(), "prompt_id": "other"}
    async with transport.request("POST", f"{comfyui.url}/prompt", json=body):
        pass
    await comfyui.wait_for(lambda server: server.held == {"sampler"})
    readings: list[Progress] = []
    run = asyncio.create_task(
        run_prompt(client, Prompt("mine", graphs.sampled(seed=2)), on_progress=readings.append, pace=QUICK)
    )
    await comfyui.wait_for(lambda server: server.pending == ["mine"])
    comfyui.faults.hold = {"decode"}
    await comfyui.wait_for(lambda server: server.held == {"decode"})
    comfyui.faults.hold = {"model"}
    await client.interrupt("other")
    await comfyui.wait_for(lambda server: server.running == "mine")
    before = list(readings)
    comfyui.faults.hold = set()

    assert (await asyncio.wait_for(run, DEADLINE)).outcome == "success"
    assert {(reading.phase, reading.node) for reading in before} <= {
        ("queued", None),
        ("loading", None),
        ("loading", "model"),
        ("loading", "latent"),
    }


async def test_many_runs_at_once_hear_each_only_of_itself(client: ComfyClient, comfyui: SandboxComfyUI) -> None:
    async def one(number: int) -> list[Progress]:
        readings: list[Progress] = []
        graph = graphs.sampled(seed=number)
        await run_prompt(client, Prompt(f"p{number}", graph), on_progress=readings.append, pace=QUICK)
        return readings

    for readings in await asyncio.gather(*(one(number) for number in range(6))):
        assert readings[-1].phase == "done"
        assert [reading.fraction for reading in readings] == sorted(reading.fraction for reading in readings)


async def _bounded(client: ComfyClient, graph: graphs.Graph, limits: Limits) -> None:
    await asyncio.wait_for(run_prompt(client, Prompt("mine", graph), limits=limits, pace=QUICK), DEADLINE)


async def _cancelled(task: asyncio.Task[object] | Awaitable[object]) -> None:
    assert isinstance(task, asyncio.Task)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
