"""Stand-ins for node classes: in the graph, against what a server offers, and in a real run."""

import copy
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from plugins.flux import flux
from runtime.comfyui import Catalogue as Offered
from runtime.registry import LoadedCommand, Override, Registry, load_registry
from runtime.sandbox.comfyui import SandboxComfyUI
from runtime.sandbox.comfyui.catalogue import Catalogue
from runtime.sandbox.comfyui.faults import Faults
from runtime.sandbox.comfyui.storage import Storage
from runtime.scheduler.fleet import Fleet
from runtime.scheduler.health import check_backend, missing_commands
from runtime.scheduler.overrides import with_overrides
from runtime.worker.local import run_once

CARDS = ("cpu", "cuda:0", "cuda:1")
COMMANDS = {"flux": LoadedCommand(flux, "flux", "1")}


def multigpu(folder: Path, cards: Sequence[str] = CARDS) -> Mapping[str, Mapping[str, Any]]:
    """The loaders as ComfyUI-MultiGPU adds them: the same inputs, and an optional `device`."""
    catalogue = Catalogue(Storage(folder), Faults())
    added = {}
    for name in ("UNETLoader", "VAELoader", "DualCLIPLoader", "CLIPLoader", "CheckpointLoaderSimple"):
        entry = copy.deepcopy(catalogue.entry(name))
        entry["input"].setdefault("optional", {})["device"] = [list(cards), {"default": "cuda:0"}]
        added[f"{name}MultiGPU"] = entry | {"name": f"{name}MultiGPU"}
    return added


@pytest.fixture
async def comfyui(tmp_path: Path) -> AsyncIterator[SandboxComfyUI]:
    """A server with two cards and the custom node."""
    async with SandboxComfyUI(pace=0, extra_classes=multigpu(tmp_path / "files")) as backend:
        yield backend


@pytest.fixture
def offered(tmp_path: Path) -> Offered:
    catalogue = Catalogue(Storage(tmp_path / "files"), Faults(), extra_classes=multigpu(tmp_path / "files"))
    return Offered.parse({name: catalogue.entry(name) for name in catalogue})


def registry_for(folder: Path, url: str, overrides: str) -> Registry:
    path = folder / "plugin_registry.yaml"
    path.write_text(
        "version: 1\naccess: {default: public}\nbackends:\n"
        f'  - {{name: gpu, url: "{url}", vram_gb: 48, traces: keep, overrides: {overrides}}}\n'
        "plugins: {flux: {enabled: true}}\n",
        encoding="utf-8",
    )
    return load_registry(path)


def test_a_stand_in_keeps_links_and_inputs_and_gets_its_own_on_top():
    loader = {"class_type": "UNETLoader", "inputs": {"unet_name": "a.safetensors", "weight_dtype": "default"}}
    patched = {"class_type": "CFGNorm", "inputs": {"model": ["unet", 0], "strength": 1.0}, "_meta": {"title": "x"}}
    graph = {"unet": loader, "norm": patched}
    overrides = {
        "UNETLoader": Override("UNETLoaderMultiGPU", {"device": "cuda:1", "weight_dtype": "fp8_e4m3fn"}),
        "CFGNorm": Override("OtherNorm"),
    }

    changed = with_overrides(graph, overrides)

    assert changed == {
        "unet": {
            "class_type": "UNETLoaderMultiGPU",
            "inputs": {"unet_name": "a.safetensors", "weight_dtype": "fp8_e4m3fn", "device": "cuda:1"},
        },
        "norm": {"class_type": "OtherNorm", "inputs": patched["inputs"], "_meta": {"title": "x"}},
    }
    assert graph["unet"]["class_type"] == "UNETLoader", "the given graph stays as it is"


def test_what_suits_the_server_is_missing_for_no_command(offered: Offered):
    overrides = {
        "UNETLoader": Override("UNETLoaderMultiGPU", {"device": "cuda:1"}),
        "DualCLIPLoader": Override("DualCLIPLoaderMultiGPU", {"device": "cpu"}),
        "LoraLoader": Override("NotInstalledAndNotUsedEither"),
    }

    assert missing_commands(offered, COMMANDS, overrides) == {}


WRONG = [
    (Override("UNETLoaderMultiCPU"), "UNETLoaderMultiCPU, which is to stand in for UNETLoader there, is not installed"),
    (
        Override("UNETLoaderMultiGPU", {"device": "cuda:7"}),
        "UNETLoaderMultiGPU does not take device 'cuda:7'; allowed: cpu, cuda:0, cuda:1",
    ),
    (
        Override("UNETLoaderMultiGPU", {"card": "cuda:1"}),
        "UNETLoaderMultiGPU has no input 'card'; it has: unet_name, weight_dtype, device",
    ),
]


@pytest.mark.parametrize(("override", "said"), WRONG, ids=["class", "value", "input"])
def test_what_does_not_suit_the_server_is_told_for_the_commands_that_need_it(
    offered: Offered, override: Override, said: str
):
    missing = missing_commands(offered, COMMANDS, {"UNETLoader": override})

    assert missing["flux"] == said
    assert missing["flux --dev"] == said


def test_a_stand_in_that_gives_something_else_breaks_what_is_linked_to_it(offered: Offered):
    missing = missing_commands(
        offered, COMMANDS, {"UNETLoader": Override("VAELoaderMultiGPU", {"vae_name": "ae.safetensors"})}
    )

    assert "wants MODEL and is linked to VAE" in missing["flux"]


def test_a_model_file_that_a_stand_in_does_not_list_is_missing_as_before(tmp_path: Path):
    without = {
        "diffusion_models": ("other.safetensors",),
        "vae": ("ae.safetensors",),
        "text_encoders": ("clip_l.safetensors", "t5xxl_fp8_e4m3fn_scaled.safetensors"),
    }
    extra = multigpu(tmp_path / "files")
    catalogue = Catalogue(Storage(tmp_path / "files"), Faults(), models=without, extra_classes=extra)
    stripped = {name: catalogue.entry(name) for name in catalogue}
    stripped["UNETLoaderMultiGPU"]["input"]["required"]["unet_name"][0] = ["other.safetensors"]

    missing = missing_commands(Offered.parse(stripped), COMMANDS, {"UNETLoader": Override("UNETLoaderMultiGPU")})

    assert "model file flux1-schnell.safetensors is missing" in missing["flux"]
    assert "UNETLoaderMultiGPU" in missing["flux"]


async def test_health_looks_at_the_graph_as_it_is_sent(comfyui: SandboxComfyUI, tmp_path: Path):
    good = registry_for(
        tmp_path, comfyui.url, '{UNETLoader: {class_type: UNETLoaderMultiGPU, inputs: {device: "cuda:1"}}}'
    )
    bad = registry_for(
        tmp_path, comfyui.url, '{UNETLoader: {class_type: UNETLoaderMultiGPU, inputs: {device: "cuda:4"}}}'
    )
    async with Fleet(good.backends) as fleet:
        assert (await check_backend(fleet["gpu"], good.commands)).missing == {}
    async with Fleet(bad.backends) as fleet:
        missing = (await check_backend(fleet["gpu"], bad.commands)).missing

    assert sorted(missing) == ["flux", "flux --dev"]
    assert "allowed: cpu, cuda:0, cuda:1" in missing["flux"]


async def test_a_job_is_posted_with_the_stand_ins_and_runs(comfyui: SandboxComfyUI, tmp_path: Path):
    overrides = (
        '{UNETLoader: {class_type: UNETLoaderMultiGPU, inputs: {device: "cuda:1"}}, '
        "DualCLIPLoader: {class_type: DualCLIPLoaderMultiGPU, inputs: {device: cpu}}}"
    )
    registry = registry_for(tmp_path, comfyui.url, overrides)
    values = {p.name: p.initial() for p in flux.parameters if p.initial() is not None}

    made = await run_once(
        registry,
        registry.commands["flux"],
        {**values, "prompt": "a lighthouse", "size": [64, 64]},
        registry.backends[0],
    )

    assert len(made.made) == 1
    posted = {node["class_type"]: node["inputs"] for node in comfyui.last_graph.values()}
    assert posted["UNETLoaderMultiGPU"]["device"] == "cuda:1"
    assert posted["UNETLoaderMultiGPU"]["unet_name"] == "flux1-schnell.safetensors"
    assert posted["DualCLIPLoaderMultiGPU"]["device"] == "cpu"
    assert not {"UNETLoader", "DualCLIPLoader"} & set(posted)
