"""Making a server forget what it ran."""

from runtime.comfyui import Prompt, cancel, forget, run_prompt
from runtime.comfyui.client import ComfyClient
from runtime.sandbox.comfyui import SandboxComfyUI
from tests.comfyui import graphs
from tests.comfyui.conftest import QUICK


async def test_entries_of_these_prompts_go_and_those_of_others_stay(client: ComfyClient, comfyui: SandboxComfyUI):
    for prompt_id in ("mine", "another's"):
        await run_prompt(client, Prompt(prompt_id, graphs.still()), pace=QUICK)

    assert await forget(client, ["mine", "never posted"], are_over=True)

    assert comfyui.finished == ["another's"]


async def test_one_that_still_runs_is_left_alone_until_it_is_over(client: ComfyClient, comfyui: SandboxComfyUI):
    """It would leave its entry at its end, and a gate would take its files away under it."""
    comfyui.faults.hold = {"save"}
    await client.post_prompt("mine", graphs.still(), "me")
    await comfyui.wait_for(lambda server: server.held == {"save"})

    assert not await forget(client, ["mine", "again"])
    assert "POST /history" not in {seen.route for seen in comfyui.requests}

    await cancel(client, "mine")
    assert comfyui.finished == ["mine"]
    assert await forget(client, ["mine", "again"])
    assert comfyui.finished == []
