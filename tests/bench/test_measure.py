"""Runs on sandbox servers: what counts, what does not, and what is kept when something goes wrong."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from runtime.api import Seed
from runtime.bench import Notebook, Record, cases_of, measure
from runtime.bench.saved import to_csv, to_json
from runtime.comfyui import ComfyClient
from runtime.comfyui.devices import device_name
from runtime.registry import Registry
from runtime.sandbox.comfyui import Device, Pace, SandboxComfyUI
from runtime.transport import open_transport
from tests.bench.conftest import config_of

SMALL = "flux a red kite --size 256x256"


@pytest.fixture
async def comfyui() -> AsyncIterator[SandboxComfyUI]:
    async with SandboxComfyUI(pace=Pace(0.3, 0.0, 0.0, {}), paints=False) as comfyui:
        yield comfyui


async def measured(registry: Registry, *lines: str, on: list[SandboxComfyUI | str], runs: int = 2, **more) -> Record:
    notebook = Notebook()
    backends = [config_of(one, f"gpu-{letter}") for one, letter in zip(on, "abc", strict=False)]
    await measure(registry, cases_of(registry, lines), backends, notebook, runs=runs, **more)
    return notebook.record


async def test_warm_up_comes_first_and_every_run_has_a_fresh_seed(registry: Registry, comfyui: SandboxComfyUI) -> None:
    record = await measured(registry, SMALL, on=[comfyui], runs=3)
    (one,) = record.measurements

    assert [run.kind for run in one.runs] == ["warm-up", "measured", "measured", "measured"]
    assert len({run.seed for run in one.runs}) == 4
    assert {graph["sampler"]["inputs"]["seed"] for graph in comfyui.graphs} == {run.seed for run in one.runs}
    assert one.statistics is not None
    assert one.statistics.count == 3
    assert record.is_complete
    assert comfyui.finished == []  # nothing is left in its history


async def test_loading_the_weights_is_told_apart_from_running(registry: Registry, comfyui: SandboxComfyUI) -> None:
    sd3 = "sd3 a red kite --size 256x256"
    record = await measured(registry, SMALL, sd3, SMALL.replace("256x256", "512x512"), on=[comfyui])

    assert len(comfyui.model_loads) == 3  # the weights of flux are loaded anew the second time
    for one in record.measurements:
        assert one.load_seconds is not None
        assert 0.15 < one.load_seconds < 0.6
        assert one.statistics is not None
        assert one.statistics.median < 0.15
        assert one.runs[0].first_step_seconds is None or one.runs[0].first_step_seconds > 0.25


async def test_weights_are_left_alone_if_that_is_wanted(registry: Registry, comfyui: SandboxComfyUI) -> None:
    record = await measured(registry, SMALL, SMALL.replace("256x256", "512x512"), on=[comfyui], unloads=False)

    assert len(comfyui.model_loads) == 1
    assert [one.load_seconds for one in record.measurements] == [None, None]


async def test_a_template_that_edits_works_on_a_picture_of_ours(registry: Registry, comfyui: SandboxComfyUI) -> None:
    record = await measured(registry, "qwen", on=[comfyui], runs=1)

    assert record.measurements[0].failure is None
    assert len({upload.name for upload in comfyui.uploads}) == 1


async def test_every_template_runs_on_every_backend_and_its_device_is_named(
    registry: Registry, comfyui: SandboxComfyUI
) -> None:
    async with SandboxComfyUI(pace=0, paints=False, devices=[Device(vram_gb=12.0)]) as other:
        record = await measured(registry, SMALL, on=[comfyui, other], runs=1, unloads=False)

    assert [(one.template, one.backend) for one in record.measurements] == [
        ("flux --size 256x256", "gpu-a"),
        ("flux --size 256x256", "gpu-b"),
    ]
    assert [(machine.device, machine.vram_gb) for machine in record.machines] == [
        ("card of gpu-a, sandbox", 32.0),
        ("card of gpu-b, sandbox", 12.0),
    ]
    assert {machine.comfyui_version for machine in record.machines} == {"0.3.64"}


async def test_neither_the_prompt_nor_an_address_is_kept(registry: Registry, comfyui: SandboxComfyUI) -> None:
    record = await measured(registry, SMALL, on=[comfyui], runs=1, unloads=False)
    saved = to_json(record).decode() + to_csv(record)

    assert "kite" not in saved
    assert "127.0.0.1" not in saved


async def test_what_cannot_run_has_its_reason_and_the_others_go_on(registry: Registry, comfyui: SandboxComfyUI) -> None:
    comfyui.faults.missing_models = {"sd3.5_large_fp8_scaled.safetensors"}
    notebook = Notebook()
    backends = [config_of("http://127.0.0.1:1", "away"), config_of(comfyui, "small", vram_gb=23.0)]
    await measure(
        registry, cases_of(registry, ["wan", "sd3", SMALL]), backends, notebook, runs=1, warm_up=0, unloads=False
    )
    reasons = {(one.backend, one.template.split()[0]): one.failure for one in notebook.record.measurements}

    assert reasons["away", "flux"]
    assert reasons["small", "wan"] == "it needs 24 GB, and the registry says 23 GB"
    assert "model file sd3.5_large_fp8_scaled.safetensors is missing" in (reasons["small", "sd3"] or "")
    assert reasons["small", "flux"] is None
    assert notebook.record.machines[0].backend == "away"


async def test_answers_from_the_cache_do_not_count(registry: Registry, comfyui: SandboxComfyUI) -> None:
    (case,) = cases_of(registry, [SMALL])
    seedless = tuple(parameter for parameter in case.command.parameters if not isinstance(parameter, Seed))
    command = replace(case.command, parameters=seedless, workflow=replace(case.command.workflow, bind={}), variants=())
    case = replace(case, loaded=replace(case.loaded, command=command), arguments={"prompt": "a red kite"})
    notebook = Notebook()
    await measure(registry, [case], [config_of(comfyui)], notebook, runs=2, unloads=False)
    (one,) = notebook.record.measurements

    assert [run.is_fresh for run in one.runs] == [True, False, False]
    assert one.statistics is None
    assert "2 of 2 runs were answered from the cache" in one.doubts[0]


async def test_a_run_beside_other_prompts_is_marked(registry: Registry, comfyui: SandboxComfyUI) -> None:
    comfyui.faults.hold = {"elsewhere"}
    transport = open_transport("direct")
    graph = {
        "elsewhere": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
        "save": {"class_type": "PreviewImage", "inputs": {"images": ["elsewhere", 0]}},
    }
    await ComfyClient("gpu-a", comfyui.url, transport).post_prompt("of-somebody-else", graph, "")
    await comfyui.wait_for(lambda server: bool(server.held))
    measuring = asyncio.create_task(measured(registry, SMALL, on=[comfyui], runs=1, warm_up=0, unloads=False))
    await comfyui.wait_for(lambda server: len(server.pending) == 1)
    comfyui.faults.hold.clear()
    record = await measuring
    await transport.close()

    assert not record.measurements[0].runs[0].was_alone
    assert "other prompts" in record.measurements[0].doubts[0]


async def test_stopping_keeps_what_was_measured_and_takes_the_prompt_off_the_backend(
    registry: Registry, comfyui: SandboxComfyUI
) -> None:
    notebook = Notebook()
    begun: list[int] = []

    def tell(backend: str, template: str, kind: str, number: int) -> None:
        begun.append(number)
        if len(begun) == 3:
            comfyui.faults.hold = {"sampler"}

    cases = cases_of(registry, [SMALL])
    working = measure(registry, cases, [config_of(comfyui)], notebook, runs=5, unloads=False, on_run=tell)
    measuring = asyncio.create_task(working)
    await comfyui.wait_for(lambda server: bool(server.held))
    measuring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await measuring

    assert len(notebook.record.measurements[0].runs) == 2
    assert not notebook.record.is_complete
    await comfyui.wait_for(lambda server: server.running is None and not server.pending)


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("cuda:0 NVIDIA GeForce RTX 5090 : cudaMallocAsync", "RTX 5090"),
        ("cuda:1 NVIDIA H100 80GB HBM3 : native", "H100 80GB HBM3"),
        ("cpu", "cpu"),
        ("mps", "mps"),
    ],
)
def test_a_card_is_called_as_people_call_it(told: str, name: str) -> None:
    assert device_name(told) == name
