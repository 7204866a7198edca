"""assert_command_contract: the shipped commands keep it, and what breaks it is named with its cure."""

from dataclasses import replace

import pytest

import plugins.flux
import plugins.qwen
import plugins.sd3
import plugins.wan
from runtime.api import Choice, Command, GpuAffinity, ModelFile, Prompt, Workflow
from runtime.testing import ContractBroken, assert_command_contract

GRAPH = {
    "words": {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": ["weights", 1]}},
    "weights": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "acme.safetensors"}},
    "save": {"class_type": "SaveImage", "inputs": {"images": ["words", 0], "filename_prefix": "acme"}},
}
MODEL = ModelFile("acme.safetensors", "checkpoints", 6.5, "https://example.org/acme", "MIT")
WORKFLOW = Workflow(graph=GRAPH, bind={"prompt": "words.text"}, output="save", models=(MODEL,))
SOUND = Command("acme", "A test", (Prompt(),), WORKFLOW, GpuAffinity(vram_gb=8), example="a cat")


@pytest.mark.parametrize("plugin", [plugins.flux, plugins.qwen, plugins.wan, plugins.sd3], ids=lambda one: one.__name__)
def test_the_shipped_commands_keep_it(plugin) -> None:
    assert_command_contract(*plugin.register_commands())


def test_a_sound_command_keeps_it() -> None:
    assert_command_contract(SOUND)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (replace(SOUND, name="help"), "/help belongs to veilrun itself; choose another name or alias"),
        (replace(SOUND, aliases=("a", "a")), "an alias is there twice; keep one of each"),
        (replace(SOUND, example=""), "it has no example; write what a user may type after the command"),
        (replace(SOUND, example="a cat --style x"), "its example is not understood: "),
        (
            replace(SOUND, parameters=(Prompt(), Choice("style", "how", choices=("a", "b"), default="a"))),
            "no workflow binds style; add it to bind, or say hooked=['style'] if a hook uses it",
        ),
        (
            replace(SOUND, workflow=replace(WORKFLOW, models=())),
            "weights.ckpt_name names acme.safetensors, which `models` does not; add ModelFile('acme.safetensors'",
        ),
        (
            replace(SOUND, workflow=replace(WORKFLOW, models=(replace(MODEL, licence=""),))),
            "the model file acme.safetensors has no licence; operators need it",
        ),
        (
            replace(SOUND, workflow=replace(WORKFLOW, models=(replace(MODEL, size_gb=0.0),))),
            "the model file acme.safetensors has no size; write its size in GiB",
        ),
        (
            replace(SOUND, workflow=replace(WORKFLOW, output="weights")),
            "the output node 'weights' (CheckpointLoaderSimple) saves nothing; name the node that writes the image",
        ),
        (replace(SOUND, affinity=GpuAffinity(vram_gb=1)), "vram_gb=1 is less than half of the largest model file"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_what_breaks_it_is_named_with_its_cure(command: Command, said: str) -> None:
    with pytest.raises(ContractBroken) as raised:
        assert_command_contract(command)

    (line,) = str(raised.value).splitlines()
    assert said in line


def test_everything_is_named_at_once() -> None:
    broken = replace(SOUND, name="help", example="")

    with pytest.raises(ContractBroken) as raised:
        assert_command_contract(broken, replace(SOUND, aliases=("help",)))

    assert len(str(raised.value).splitlines()) == 3


def test_a_parameter_that_a_hook_uses_may_be_named() -> None:
    styled = replace(SOUND, parameters=(Prompt(), Choice("style", "how", choices=("a", "b"), default="a")))

    assert_command_contract(styled, hooked=["style"])


def test_no_command_at_all_is_no_pass() -> None:
    with pytest.raises(ContractBroken, match="pass what register_commands returns"):
        assert_command_contract()
