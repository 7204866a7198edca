"""What backends lack for the commands that could run there."""

from pathlib import Path

import pytest

from runtime.doctor import Line, diagnose
from runtime.sandbox.comfyui import Device, Faults, SandboxComfyUI
from runtime.settings import Settings
from tests.doctor.deployments import described

FLUX = "{flux: {enabled: true}}"
ALL = "{flux: {enabled: true}, wan: {enabled: true}}"


async def found(settings: Settings) -> list[Line]:
    subjects = ("backend gpu-a", "backend gpu-b", "commands")
    return [line async for line in diagnose(settings, environment={}) if line.subject in subjects]


async def test_every_missing_file_is_told_with_folder_size_licence_and_source(
    settings: Settings, tmp_path: Path
) -> None:
    faults = Faults(missing_models={"flux1-schnell.safetensors"})
    async with SandboxComfyUI(pace=0, faults=faults) as comfyui:
        settings = described(settings, tmp_path, f'name: gpu-a, url: "{comfyui.url}"', plugins=FLUX)
        sound, lack, commands, nowhere = await found(settings)

    assert sound.level == "ok"
    assert (lack.level, lack.text) == ("fault", "model file flux1-schnell.safetensors is missing (for flux)")
    assert "22.1 GB" in lack.cure
    assert "ComfyUI/models/diffusion_models" in lack.cure
    assert "https://huggingface.co/black-forest-labs/FLUX.1-schnell" in lack.cure
    assert "Apache-2.0" in lack.cure
    assert (commands.level, commands.text) == ("fault", "flux runs nowhere now")
    assert (nowhere.level, nowhere.text) == ("ok", "flux --dev on gpu-a")


async def test_a_file_that_several_commands_need_is_one_line_and_no_fault_if_another_backend_has_it(
    settings: Settings, tmp_path: Path
) -> None:
    faults = Faults(missing_models={"ae.safetensors"})
    async with SandboxComfyUI(pace=0, faults=faults) as bare, SandboxComfyUI(pace=0) as whole:
        backends = (f'name: gpu-a, url: "{bare.url}"', f'name: gpu-b, url: "{whole.url}"')
        lines = await found(described(settings, tmp_path, *backends, plugins=FLUX))

    assert [(line.level, line.subject) for line in lines] == [
        ("ok", "backend gpu-a"),
        ("warning", "backend gpu-a"),
        ("ok", "backend gpu-b"),
        ("ok", "commands"),
    ]
    assert "(for flux, flux --dev)" in lines[1].text
    assert lines[3].text == "flux on gpu-b; flux --dev on gpu-b"


async def test_a_missing_node_class_names_the_pack_that_brings_it(settings: Settings, tmp_path: Path) -> None:
    async with SandboxComfyUI(pace=0, faults=Faults(missing_classes={"SaveVideo"})) as comfyui:
        backend = f'name: gpu-a, url: "{comfyui.url}"'
        lines = await found(described(settings, tmp_path, backend, plugins="{wan: {enabled: true}}"))
        override = f'name: gpu-a, url: "{comfyui.url}", overrides: {{UNETLoader: {{class_type: UNETLoaderMultiGPU}}}}'
        overridden = await found(described(settings, tmp_path, override, plugins=FLUX))

    assert "node class SaveVideo is missing (for wan)" in lines[1].text
    assert lines[1].cure == "update ComfyUI there, or install the custom nodes that bring it (it has CreateVideo)"
    assert any("UNETLoaderMultiGPU, which is to stand in for UNETLoader there" in line.text for line in overridden)


async def test_a_command_that_fits_no_card_is_told_and_its_files_are_not_asked_for(
    settings: Settings, tmp_path: Path
) -> None:
    faults = Faults(missing_models={"wan_2.1_vae.safetensors"})
    async with SandboxComfyUI(pace=0, faults=faults, devices=[Device(vram_gb=23.5)]) as comfyui:
        backend = f'name: gpu-a, url: "{comfyui.url}", vram_gb: 23.5'
        lines = await found(described(settings, tmp_path, backend, plugins=ALL))

    assert [line.level for line in lines] == ["ok", "fault", "ok"]
    assert "wan runs nowhere: it needs 24 GB, and no backend of the registry fits" in lines[1].text


async def test_a_card_smaller_than_the_registry_says_is_a_warning(settings: Settings, tmp_path: Path) -> None:
    async with SandboxComfyUI(pace=0, devices=[Device(vram_gb=12.0)]) as comfyui:
        told, doubt = await found(described(settings, tmp_path, f'name: gpu-a, url: "{comfyui.url}"'))

    assert "with 12 GB" in told.text
    assert doubt.level == "warning"
    assert "the registry says 24 GB" in doubt.text
    assert "vram_gb" in doubt.cure


@pytest.mark.parametrize(
    ("class_type", "pack"),
    [
        ("UNETLoaderDisTorch2MultiGPU", "ComfyUI-MultiGPU"),
        ("UnetLoaderGGUF", "ComfyUI-GGUF"),
        ("VHS_VideoCombine", "ComfyUI-VideoHelperSuite"),
        ("Power Lora Loader (rgthree)", "rgthree-comfy"),
        ("KSampler", None),
        ("UpscaleModelLoader", None),
    ],
)
def test_packs_are_known_by_how_they_name_their_classes(class_type: str, pack: str | None) -> None:
    from runtime.comfyui.packs import pack_of

    known = pack_of(class_type)
    assert (known.name if known else None) == pack
