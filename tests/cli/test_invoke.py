"""`veilrun invoke`: one function from the shell, against any ComfyUI."""

import json
import signal
from pathlib import Path

import pytest
from PIL import Image

from plugins.sd3 import sd3
from runtime.cli.invoke import line_of
from runtime.dispatch.arguments import parse_arguments
from runtime.media import probe
from runtime.sandbox.comfyui import SandboxComfyUI
from tests.cli.conftest import Shell, registry

SMALL = ("--size", "256x256")


async def test_words_become_a_file_without_a_registry(shell: Shell, comfyui: SandboxComfyUI, tmp_path: Path) -> None:
    done = await shell.run(
        "invoke", "flux", "an astronaut", *SMALL, "--seed", "7", "-o", "out.png", "--backend", comfyui.url
    )

    assert (done.status, done.out) == (0, "out.png\n")
    assert "seed 7" in done.err
    assert Image.open(tmp_path / "out.png").size == (256, 256)
    assert b"astronaut" not in (tmp_path / "out.png").read_bytes()
    assert comfyui.last_graph["sampler"]["inputs"]["seed"] == 7


async def test_several_results_are_numbered_and_told_as_json(
    shell: Shell, comfyui: SandboxComfyUI, tmp_path: Path
) -> None:
    done = await shell.run("invoke", "/f", "fox", *SMALL, "--n", "3", "-o", "a.png", "-b", comfyui.url, "--json")

    said = json.loads(done.out)
    assert said["files"] == ["a.png", "a-2.png", "a-3.png"]
    assert isinstance(said["arguments"]["seed"], int)
    assert all((tmp_path / name).exists() for name in said["files"])


async def test_one_result_is_the_next_ones_picture(shell: Shell, comfyui: SandboxComfyUI, tmp_path: Path) -> None:
    await shell.run("invoke", "flux", "an astronaut", *SMALL, "-o", "a.png", "-b", comfyui.url)
    done = await shell.run("invoke", "qwen", "a t-shirt", "--image", "a.png", "-o", "b.png", "-b", comfyui.url)

    assert done.status == 0
    assert len(comfyui.uploads) == 1
    assert (tmp_path / "b.png").read_bytes() != (tmp_path / "a.png").read_bytes()


async def test_a_video_is_named_after_command_and_seed(shell: Shell, comfyui: SandboxComfyUI, tmp_path: Path) -> None:
    done = await shell.run(
        "invoke", "wan", "a wave", "--size", "128x128", "--seconds", "0.5", "--seed", "3", "-b", comfyui.url
    )

    assert (done.status, done.out) == (0, "wan-3.mp4\n")
    assert probe((tmp_path / "wan-3.mp4").read_bytes()).media_type == "video/mp4"


async def test_the_registry_names_the_backend_and_the_commands(
    shell: Shell, comfyui: SandboxComfyUI, tmp_path: Path
) -> None:
    registry(tmp_path, {"flux": "{enabled: true, defaults: {steps: 2}}"}, comfyui.url)

    assert (await shell.run("invoke", "flux", "fox", *SMALL)).status == 0
    assert (await shell.run("invoke", "flux", "fox", *SMALL, "--backend", "gpu")).status == 0
    refused = await shell.run("invoke", "sd3", "fox")

    assert comfyui.last_graph["sampler"]["inputs"]["steps"] == 2
    assert refused.status == 1
    assert "'sd3'; enabled are: flux" in refused.complaint


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("flux", "fox", "--stepz", "3"), "did you mean --steps? Example: "),
        (("flux", "fox", "--steps", "900"), "--steps must be from 1 to 50, not 900. Example: "),
        (("flux",), "Example: "),
        (("qwen", "a hat"), "needs a picture"),
        (("qwen", "a hat", "-i", "nowhere.png"), "nowhere.png: No such file"),
        (("zap", "fox"), "there is no command 'zap'; enabled are: flux, qwen, sd3, wan"),
        (("flux", "fox", "-o", "nowhere/a.png"), "there is no folder nowhere"),
    ],
)
async def test_a_mistake_is_one_line_and_reaches_no_backend(
    shell: Shell, comfyui: SandboxComfyUI, words: tuple[str, ...], complaint: str
) -> None:
    done = await shell.run("invoke", *words, "--backend", comfyui.url)

    assert done.status == 1
    assert complaint in done.complaint
    assert comfyui.posts.total() == 0


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "--backend http://127.0.0.1:8188"),
        (("-b", "somewhere"), "'somewhere' is neither an address"),
        (("-b", "http://127.0.0.1:9"), "http://127.0.0.1:9: no connection"),
    ],
)
async def test_a_backend_that_is_not_there_is_one_line(shell: Shell, words: tuple[str, ...], complaint: str) -> None:
    done = await shell.run("invoke", "flux", "fox", *words)

    assert done.status == 1
    assert complaint in done.complaint


async def test_a_missing_model_is_named_with_folder_size_and_link(shell: Shell, comfyui: SandboxComfyUI) -> None:
    comfyui.faults.missing_models = {"ae.safetensors"}

    done = await shell.run("invoke", "flux", "fox", *SMALL, "-b", comfyui.url)

    assert done.status == 1
    for part in ("ae.safetensors", "0.3 GB", "models/vae", "https://huggingface.co/", "Apache-2.0"):
        assert part in done.complaint


async def test_ctrl_c_stops_the_prompt_on_the_backend(shell: Shell, comfyui: SandboxComfyUI, tmp_path: Path) -> None:
    comfyui.faults.hold = {"sampler"}
    running = await shell.start("invoke", "flux", "fox", *SMALL, "-o", "a.png", "-b", comfyui.url)
    await comfyui.wait_for(lambda backend: backend.held == {"sampler"}, 30)

    running.send_signal(signal.SIGINT)
    done = await shell.ended(running)

    assert done.status == 130
    await comfyui.wait_for(lambda backend: backend.running is None)
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["a lake", "--negative", "people, text"], 'a lake --negative "people, text"'),
        (["--negative", "people, text", "a lake"], '--negative "people, text" a lake'),
        (["--negative=people, text", "a lake"], '--negative="people, text" a lake'),
        (["--negative", 'a "sign"', "a lake"], '--negative “a "sign"” a lake'),
        (["--seed", "7", "a lake"], "--seed 7 a lake"),
    ],
)
def test_a_value_that_the_shell_kept_together_stays_together(words: list[str], line: str) -> None:
    assert line_of(sd3, words) == line
    assert parse_arguments(sd3, line).values["prompt"] == "a lake"


async def test_what_cannot_be_kept_or_lacks_a_picture_is_told_before_the_run(
    shell: Shell, comfyui: SandboxComfyUI, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "in.png")

    folder = await shell.run("invoke", "flux", "fox", "-o", "folder", "-b", comfyui.url)
    without = await shell.run("invoke", "qwen", "a hat", "-b", comfyui.url)
    needless = await shell.run("invoke", "flux", "fox", "--image", "in.png", "-b", comfyui.url)

    assert (folder.status, folder.err) == (1, "error: folder: is a folder; name a file in it\n")
    assert "/qwen needs a picture: --image FILE" in without.err
    assert "/flux takes no pictures, not 1" in needless.err
    assert comfyui.graphs == []
