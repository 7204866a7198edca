"""What the way to a backend costs, straight and through a SOCKS proxy in the place of anon's."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runtime.anon.address import HiddenAddress
from runtime.anon.state import AnonState, write_state
from runtime.bench import PathCost, measure_paths
from runtime.bench.path import noise_picture, path_rows, path_titles
from runtime.bench.turns import taking_turns
from runtime.gate.server import running_gate
from runtime.leaks.socks import Relay, ScriptedSocks
from runtime.registry import BackendConfig
from runtime.sandbox.comfyui import SandboxComfyUI
from tests.bench.conftest import config_of

HIDDEN = str(HiddenAddress.of(bytes(range(32)), ".anon"))


@pytest.fixture
async def comfyui() -> AsyncIterator[SandboxComfyUI]:
    async with SandboxComfyUI(pace=0) as comfyui:
        yield comfyui


async def test_the_same_server_is_measured_both_ways(comfyui: SandboxComfyUI, tmp_path: Path) -> None:
    async with ScriptedSocks() as socks, running_gate(comfyui.url, tmp_path / "gate") as gate:
        socks.answer = Relay(gate.port)
        state = AnonState(("127.0.0.1", socks.port), ("127.0.0.1", 1), "0.4.9.11-live", 100, "Done")
        write_state(tmp_path, state)
        ways = [config_of(comfyui, "straight"), BackendConfig("hidden", f"http://{HIDDEN}", transport="anon")]
        costs: list[PathCost] = []
        await measure_paths(ways, costs.extend, rounds=2, megabytes=0.5, anon_dir=tmp_path)

    assert [(cost.backend, cost.transport, cost.failure) for cost in costs] == [
        ("straight", "direct", None),
        ("hidden", "anon", None),
    ]
    for cost in costs:
        assert [part.what for part in cost.parts] == ["small request", "submit to first event", "upload", "download"]
        assert all(0 < part.low <= part.median <= part.high for part in cost.parts)
    assert {asked.host for asked in socks.requests} == {HIDDEN}
    assert path_titles(costs) == ["median (least to most)", "straight, direct", "hidden, anon", "of the first"]
    assert [len(row) for row in path_rows(costs)] == [4] * 4
    assert comfyui.finished == []
    assert comfyui.posts.total() == 4


async def test_a_backend_that_is_away_has_its_reason_and_the_other_its_figures(comfyui: SandboxComfyUI) -> None:
    ways = [config_of("http://127.0.0.1:1", "away"), config_of(comfyui, "there")]
    costs: list[PathCost] = []
    await measure_paths(ways, costs.extend, rounds=1, megabytes=0.1)
    away, there = costs

    assert away.failure
    assert away.parts == ()
    assert len(there.parts) == 4
    assert path_rows([away, there])[0][1::2] == ["–", "–"]


async def test_stopping_keeps_the_figures_there_are(comfyui: SandboxComfyUI) -> None:
    comfyui.faults.hold = {"preview"}
    costs: list[PathCost] = []
    measuring = asyncio.create_task(measure_paths([config_of(comfyui)], costs.extend, rounds=1, megabytes=0.1))
    await comfyui.wait_for(lambda server: bool(server.held))
    measuring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await measuring

    assert [part.what for part in costs[0].parts] == ["small request", "upload"]
    await comfyui.wait_for(lambda server: server.running is None)


def test_a_picture_of_noise_is_as_large_as_asked_and_new_each_time() -> None:
    one, other = noise_picture(0.5), noise_picture(0.5)

    assert 0.45 < len(one) / 2**20 < 0.55
    assert one != other


async def test_what_is_compared_takes_turns() -> None:
    order: list[str] = []

    async def note(name: str) -> None:
        order.append(name)

    taken = await taking_turns(2, {"a": lambda: note("a"), "b": lambda: note("b")})

    assert order == ["b", "a", "a", "b"]
    assert [len(seconds) for seconds in taken.values()] == [2, 2]
