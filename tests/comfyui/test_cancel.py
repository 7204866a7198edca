import asyncio

import pytest
from aiohttp import web

from runtime.comfyui import (
    BackendUnreachable,
    ComfyClient,
    Interrupted,
    Prompt,
    PromptLost,
    UnexpectedAnswer,
    cancel,
    run_prompt,
)
from runtime.sandbox.comfyui import SandboxComfyUI
from tests.comfyui import graphs
from tests.comfyui.conftest import QUICK, Serve

DEADLINE = 10


async def test_a_running_prompt_is_interrupted(client: ComfyClient, comfyui: SandboxComfyUI) -> None:
    comfyui.faults.hold = {"sampler"}
    run = asyncio.create_task(run_prompt(client, Prompt("mine", graphs.sampled()), pace=QUICK))
    await comfyui.wait_for(lambda server: server.held == {"sampler"})

    assert await cancel(client, "mine") == "interrupted"

    with pytest.raises(Interrupted):
        await asyncio.wait_for(run, DEADLINE)


async def test_a_waiting_prompt_is_removed_and_the_running_one_left_alone(
    client: ComfyClient, comfyui: SandboxComfyUI
) -> None:
    comfyui.faults.hold = {"save"}
    await client.post_prompt("other", graphs.still(colour=7), "somebody")
    await comfyui.wait_for(lambda server: server.running == "other")
    run = asyncio.create_task(run_prompt(client, Prompt("mine", graphs.still()), pace=QUICK))
    await comfyui.wait_for(lambda server: server.pending == ["mine"])

    assert await cancel(client, "mine") == "removed"

    with pytest.raises(PromptLost):
        await asyncio.wait_for(run, DEADLINE)
    assert comfyui.running == "other"
    comfyui.faults.hold = set()
    await comfyui.wait_for(lambda server: server.finished == ["other"])


async def test_a_finished_prompt_stays_finished(client: ComfyClient) -> None:
    await run_prompt(client, Prompt("mine", graphs.still()), pace=QUICK)

    assert await cancel(client, "mine") == "finished"


async def test_an_unknown_prompt_counts_as_removed(client: ComfyClient) -> None:
    assert await cancel(client, "nobody") == "removed"


async def test_a_prompt_that_starts_between_delete_and_interrupt_is_stopped_too(serve: Serve) -> None:
    """It is pending at the delete of the first round, running from then on, and stops at the second interrupt."""
    calls: list[str] = []
    states = iter([[[], [[1, "mine", {}, {}, []]]], [[[1, "mine", {}, {}, []]], []], [[], []]])

    async def answer(request: web.Request) -> web.Response:
        calls.append(request.path)
        return web.Response()

    async def queue(request: web.Request) -> web.Response:
        running, pending = next(states)
        return web.json_response({"queue_running": running, "queue_pending": pending})

    async def history(request: web.Request) -> web.Response:
        messages = [["execution_interrupted", {"prompt_id": "mine", "node_id": "3", "timestamp": 5}]]
        status = {"status_str": "error", "completed": False, "messages": messages}
        return web.json_response({"mine": {"outputs": {}, "status": status}})

    client = await serve(
        {"POST /queue": answer, "POST /interrupt": answer, "GET /queue": queue, "GET /history/mine": history}
    )

    assert await cancel(client, "mine") == "interrupted"
    assert calls == ["/queue", "/interrupt"] * 3


async def test_what_cannot_be_cut_short_is_told_as_stopping(serve: Serve) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response()

    async def queue(request: web.Request) -> web.Response:
        return web.json_response({"queue_running": [[1, "mine", {}, {}, []]], "queue_pending": []})

    client = await serve({"POST /queue": answer, "POST /interrupt": answer, "GET /queue": queue})

    assert await cancel(client, "mine", patience_seconds=0.3) == "stopping"


async def test_a_server_that_is_away_cannot_confirm(client: ComfyClient, comfyui: SandboxComfyUI) -> None:
    await comfyui.crash()

    with pytest.raises(BackendUnreachable):
        await cancel(client, "mine")


async def test_a_refusal_to_stop_a_prompt_that_is_there_is_told(client: ComfyClient, comfyui: SandboxComfyUI) -> None:
    comfyui.faults.hold.add("canvas")
    await client.post_prompt("p1", graphs.still(1), "me")
    comfyui.faults.answers = {"POST /queue": [403]}

    with pytest.raises(UnexpectedAnswer) as raised:
        await cancel(client, "p1")
    comfyui.faults.hold.clear()

    assert raised.value.status == 403
