"""POST /interrupt and /free."""

import time

import pytest

from runtime.sandbox.comfyui import Pace, SandboxComfyUI
from tests.sandbox.comfyui import graphs
from tests.sandbox.comfyui.client import Client


async def held(comfyui: SandboxComfyUI, client: Client, prompt_id: str = "p") -> None:
    comfyui.faults.hold.add("sampler")
    await client.post(graphs.sd3(), prompt_id=prompt_id, client_id="me")
    await comfyui.wait_for(lambda server: server.held == {"sampler"})


async def test_an_interrupted_run_is_an_error_whose_last_message_tells(comfyui: SandboxComfyUI, client: Client) -> None:
    await held(comfyui, client)

    await client.send("/interrupt", {"prompt_id": "p"})
    await comfyui.wait_for(lambda server: server.finished == ["p"])

    entry = (await client.get("/history/p"))["p"]
    event, content = entry["status"]["messages"][-1]
    assert (entry["status"]["status_str"], entry["status"]["completed"]) == ("error", False)
    assert event == "execution_interrupted"
    assert set(content) == {"prompt_id", "node_id", "node_type", "executed", "timestamp"}
    assert (content["node_id"], content["node_type"]) == ("sampler", "KSampler")
    assert entry["outputs"] == {}


async def test_another_prompts_id_interrupts_nothing(comfyui: SandboxComfyUI, client: Client) -> None:
    await held(comfyui, client)
    await client.post(graphs.plain(), prompt_id="pending")

    await client.send("/interrupt", {"prompt_id": "pending"})
    comfyui.faults.hold.clear()
    await comfyui.wait_for(lambda server: len(server.finished) == 2)

    history = await client.get("/history")
    assert {one["status"]["status_str"] for one in history.values()} == {"success"}


@pytest.mark.parametrize("body", ["", "{}"])
async def test_without_an_id_whatever_runs_is_interrupted(comfyui: SandboxComfyUI, client: Client, body: str) -> None:
    await held(comfyui, client, "somebody else's")

    async with client.http.post(f"{client.url}/interrupt", data=body) as answer:
        assert answer.status == 200
    await comfyui.wait_for(lambda server: server.finished == ["somebody else's"])


async def test_an_interrupt_while_idle_does_not_touch_the_next_run(client: Client) -> None:
    await client.send("/interrupt", {})

    assert (await client.run(graphs.sd3()))["status"]["completed"]


async def test_an_interrupt_takes_effect_at_the_next_step(http: object) -> None:
    pace = Pace(load_seconds=0, step_seconds=0.05, class_seconds={})
    async with SandboxComfyUI(pace=pace) as server:
        client = Client(http, server.url)  # type: ignore[arg-type]
        async with client.listen() as listener:
            await client.post(graphs.sd3(steps=1000), client_id="me", prompt_id="p")
            await listener.until("progress", value=2)
            started = time.monotonic()
            await client.send("/interrupt", {"prompt_id": "p"})
            await listener.until("execution_interrupted")
            assert time.monotonic() - started < 0.5
            await listener.until_end("p")

    assert "execution_success" not in listener.types()


async def test_nodes_that_ended_before_an_interrupt_stay_cached(comfyui: SandboxComfyUI, client: Client) -> None:
    await held(comfyui, client)
    await client.send("/interrupt", {"prompt_id": "p"})
    comfyui.faults.hold.clear()

    entry = await client.run(graphs.sd3(), "again")

    assert entry["status"]["messages"][1][1]["nodes"] == ["negative", "latent", "model", "positive"]


async def test_free_memory_drops_the_cache_and_unload_models_does_not(comfyui: SandboxComfyUI, client: Client) -> None:
    await client.run(graphs.sd3(), "first")
    await client.send("/free", {"unload_models": True})
    kept = await client.run(graphs.sd3(), "second")
    await client.send("/free", {"free_memory": True})
    fresh = await client.run(graphs.sd3(), "third")

    assert len(kept["status"]["messages"][1][1]["nodes"]) == 7
    assert fresh["status"]["messages"][1][1]["nodes"] == []
    assert fresh["outputs"]["save"]["images"][0]["filename"] == "ComfyUI_00002_.png"
    assert len(comfyui.model_loads) == 2


async def test_models_are_loaded_once_and_swapped_for_another_set(comfyui: SandboxComfyUI, client: Client) -> None:
    for number, graph in enumerate((graphs.sd3(seed=1), graphs.sd3(seed=2), graphs.flux(), graphs.sd3(seed=3))):
        await client.run(graph, str(number))

    sd3 = ("sd3.5_large_fp8_scaled.safetensors",)
    flux = ("ae.safetensors", "clip_l.safetensors", "t5xxl_fp16.safetensors", "flux1-schnell.safetensors")
    assert comfyui.model_loads == [sd3, flux, sd3]
