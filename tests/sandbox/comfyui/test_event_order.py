"""The order of websocket frames, against sequences as recorded from a real server with the same graphs."""

from typing import Any

import pytest

from runtime.sandbox.comfyui import SandboxComfyUI
from tests.sandbox.comfyui import graphs
from tests.sandbox.comfyui.client import Binary, Client, Json

START = ["status 0", "status 1", "status 1", "execution_start"]
END = ["status 0", "executing None"]


def told(frame: Json | Binary) -> str:
    """A frame in a few words."""
    if isinstance(frame, Binary):
        return f"binary {frame.event}"
    content: Any = frame["data"]
    match frame["type"]:
        case "status":
            return f"status {content['status']['exec_info']['queue_remaining']}"
        case "executing" | "executed":
            return f"{frame['type']} {content['node']}"
        case "progress":
            return f"progress {content['value']}/{content['max']}"
        case "progress_state":
            last = list(content["nodes"].values())[-1]
            return f"state {last['node_id']} {last['state']} {last['value']:g}/{last['max']:g}"
        case "execution_cached":
            return f"execution_cached {' '.join(content['nodes'])}".strip()
        case other:
            return str(other)


def ran(node: str) -> list[str]:
    """What a node without steps tells."""
    return [f"state {node} running 0/1", f"executing {node}", f"state {node} finished 1/1"]


def saved(node: str) -> list[str]:
    return [f"state {node} running 0/1", f"executing {node}", f"executed {node}", f"state {node} finished 1/1"]


def sampled(node: str, steps: int) -> list[str]:
    each = [
        line
        for step in range(1, steps + 1)
        for line in (f"state {node} running {step}/{steps}", f"progress {step}/{steps}")
    ]
    return [f"state {node} running 0/1", f"executing {node}", *each, f"state {node} finished {steps}/{steps}"]


def flat(*parts: list[str]) -> list[str]:
    return [line for part in parts for line in part]


async def events(client: Client, graph: Json, prompt_id: str = "p") -> list[str]:
    async with client.listen("transcript") as listener:
        await client.post(graph, client_id="transcript", prompt_id=prompt_id)
        return [told(frame) for frame in await listener.until_end(prompt_id)]


async def test_a_picture_is_told_as_the_real_server_tells_it(client: Client) -> None:
    order = ["model", "latent", "negative", "positive"]
    expected = flat(
        START, ["execution_cached"], *[ran(node) for node in order], sampled("sampler", 4), ran("decode"),
        saved("save"), ["execution_success"], END,
    )  # fmt: skip

    assert await events(client, graphs.sd3()) == expected


async def test_a_video_runs_its_nodes_in_the_real_order(client: Client) -> None:
    before = ["vae", "latent", "clip", "negative", "positive", "high", "high_lora", "high_shift"]
    between = ["low", "low_lora", "low_shift"]
    expected = flat(
        START, ["execution_cached"], *[ran(node) for node in before], sampled("first", 2),
        *[ran(node) for node in between], sampled("second", 2), ran("decode"), ran("film"), saved("save"),
        ["execution_success"], END,
    )  # fmt: skip

    assert await events(client, graphs.wan()) == expected


async def test_an_identical_graph_tells_only_what_is_cached(client: Client) -> None:
    await client.run(graphs.sd3(), "first")
    cached = "execution_cached decode save negative latent model positive sampler"

    told_again = await events(client, graphs.sd3())

    assert told_again == flat(START, [cached, "executed save", "state save finished 1/1", "execution_success"], END)


async def test_a_failing_node_ends_the_run_with_execution_error(comfyui: SandboxComfyUI, client: Client) -> None:
    comfyui.faults.fail["invert"] = "probe failure"
    graph = {**graphs.plain(), "invert": graphs.node("ImageInvert", image=["blank", 0])}
    graph["save"]["inputs"]["images"] = ["invert", 0]

    expected = [*START, "execution_cached", *ran("blank"), *ran("invert")[:2], "execution_error", *END]
    assert await events(client, graph) == expected


async def test_an_interrupted_node_ends_the_run_with_execution_interrupted(
    comfyui: SandboxComfyUI, client: Client
) -> None:
    comfyui.faults.hold.add("sampler")
    async with client.listen("transcript") as listener:
        await client.post(graphs.sd3(), client_id="transcript", prompt_id="p")
        await comfyui.wait_for(lambda server: "sampler" in server.held)
        await client.send("/interrupt", {"prompt_id": "p"})
        lines = [told(frame) for frame in await listener.until_end("p")]

    assert lines[-5:] == ["state sampler running 0/1", "executing sampler", "execution_interrupted", *END]


@pytest.mark.parametrize("understands_metadata", [False, True])
async def test_previews_come_behind_progress_or_before_it_with_metadata(http: Any, understands_metadata: bool) -> None:
    async with SandboxComfyUI(pace=0, has_previews=True) as server:
        client = Client(http, server.url)
        async with client.listen("transcript") as listener:
            if understands_metadata:
                await listener.socket.send_json({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
                await listener.until("feature_flags")
            await client.post(graphs.sd3(steps=2), client_id="transcript", prompt_id="p")
            frames = await listener.until_end("p")

    lines = [told(frame) for frame in frames]
    at = lines.index("state sampler running 1/2")
    binary = next(frame for frame in frames if isinstance(frame, Binary))
    if understands_metadata:
        assert lines[at : at + 3] == ["state sampler running 1/2", "binary 4", "progress 1/2"]
        place = {"node_id": "sampler", "prompt_id": "p", "display_node_id": "sampler", "real_node_id": "sampler"}
        assert binary.metadata == {**place, "parent_node_id": None, "image_type": "image/jpeg"}
    else:
        assert lines[at : at + 3] == ["state sampler running 1/2", "progress 1/2", "binary 1"]
        assert binary.content[:4] == b"\x00\x00\x00\x01"
    assert binary.picture.format == "JPEG"
    assert max(binary.picture.size) == 512


async def test_without_previews_no_binary_frame_is_sent(client: Client) -> None:
    assert not [line for line in await events(client, graphs.sd3()) if line.startswith("binary")]


async def test_every_event_carries_the_fields_of_the_real_one(client: Client) -> None:
    async with client.listen("me") as listener:
        await client.post(graphs.sd3(), client_id="me", prompt_id="p")
        frames = [frame for frame in await listener.until_end("p") if isinstance(frame, dict)]

    fields = {frame["type"]: set(frame["data"]) for frame in frames[:-1]}
    assert fields == {
        "status": {"status"},
        "execution_start": {"prompt_id", "timestamp"},
        "execution_cached": {"nodes", "prompt_id", "timestamp"},
        "progress_state": {"prompt_id", "nodes"},
        "executing": {"node", "display_node", "prompt_id"},
        "progress": {"value", "max", "prompt_id", "node"},
        "executed": {"node", "display_node", "output", "prompt_id"},
        "execution_success": {"prompt_id", "timestamp"},
    }
    assert frames[-1]["data"] == {"node": None, "prompt_id": "p"}
    assert frames[0]["data"] == {"status": {"exec_info": {"queue_remaining": 0}}, "sid": "me"}
