"""What the shipped commands offer, and where each option ends up in the graph."""

import ast
from pathlib import Path

import pytest

import plugins
from plugins.flux import flux
from plugins.qwen import build_workflow, qwen
from plugins.sd3 import sd3
from plugins.wan import wan
from runtime.api import Command, Graph, Invocation, Workflow
from runtime.dispatch.arguments import parse_arguments
from runtime.registry import load_registry
from runtime.worker.graph import fill_graph

ROOT = Path(plugins.__file__).parent


def filled(command: Command, text: str, *uploads: str) -> Graph:
    arguments = parse_arguments(command, text)
    return fill_graph(command, Invocation(command.name, arguments.values, arguments.variant, uploads=uploads))


def changes(workflow: Workflow, graph: Graph) -> dict[str, object]:
    """ "node.input" -> value, wherever `graph` differs from the template."""
    assert graph.keys() == workflow.graph.keys()
    return {
        f"{node}.{name}": value
        for node in graph
        for name, value in graph[node]["inputs"].items()
        if workflow.graph[node]["inputs"][name] != value
    }


def options(command: Command) -> set[str]:
    names = {option for parameter in command.parameters for option in parameter.options}
    return names | {variant.name for variant in command.variants}


def test_options_are_where_they_make_sense() -> None:
    assert options(flux) == {"seed", "size", "ar", "steps", "n", "dev"}
    assert options(sd3) == {"seed", "size", "ar", "steps", "n", "cfg", "negative"}
    assert options(wan) == {"seed", "size", "ar", "seconds"}
    assert options(qwen) == {"seed", "steps"}


@pytest.mark.parametrize("command", [flux, sd3, wan, qwen], ids=lambda command: command.name)
def test_with_a_prompt_and_a_seed_alone_the_template_runs_as_it_is(command: Command) -> None:
    changed = changes(command.workflow, filled(command, "a red kite --seed 7", *["in.png"] * (command is qwen)))

    assert {place.rpartition(".")[2] for place in changed} <= {
        "text",
        "prompt",
        "clip_l",
        "t5xxl",
        "seed",
        "noise_seed",
        "image",
    }


@pytest.mark.parametrize("command", [flux, sd3, wan, qwen], ids=lambda command: command.name)
def test_the_example_of_a_command_works(command: Command) -> None:
    parse_arguments(command, command.example)


def test_flux_writes_the_prompt_into_both_text_encoders() -> None:
    graph = filled(flux, "a red kite --seed 7 --size 768x512 --steps 6 --n 3")

    assert changes(flux.workflow, graph) == {
        "positive.clip_l": "a red kite",
        "positive.t5xxl": "a red kite",
        "latent.width": 768,
        "latent.height": 512,
        "latent.batch_size": 3,
        "sampler.steps": 6,
        "sampler.seed": 7,
    }


def test_flux_dev_is_other_weights_20_steps_and_a_model_set_of_its_own() -> None:
    graph = filled(flux, "a red kite --dev --seed 7")
    template = flux.workflow_of("dev")

    assert changes(template, graph) == {
        "positive.clip_l": "a red kite",
        "positive.t5xxl": "a red kite",
        "sampler.seed": 7,
    }
    assert {model.name for model in template.models} - {model.name for model in flux.workflow.models} == {
        "flux1-dev.safetensors"
    }
    assert filled(flux, "a red kite --dev --steps 30")["sampler"]["inputs"]["steps"] == 30
    assert graph["model"]["inputs"]["unet_name"] == "flux1-dev.safetensors"
    assert graph["sampler"]["inputs"]["steps"] == 20
    assert flux.affinity_of("dev").model_set != flux.affinity_of(None).model_set


def test_sd3_takes_a_negative_prompt() -> None:
    graph = filled(sd3, 'a red kite --negative "people, text" --cfg 3.5 --steps 30 --ar 3:2 --seed 7 --n 2')

    assert changes(sd3.workflow, graph) == {
        "positive.text": "a red kite",
        "negative.text": "people, text",
        "latent.width": 1248,
        "latent.height": 832,
        "latent.batch_size": 2,
        "sampler.steps": 30,
        "sampler.cfg": 3.5,
        "sampler.seed": 7,
    }


def test_wan_seeds_the_sampler_that_adds_the_noise_and_no_other() -> None:
    graph = filled(wan, "a red kite --seed 7 --seconds 3 --size 832x480")

    assert changes(wan.workflow, graph) == {
        "positive.text": "a red kite",
        "high_noise_sampler.noise_seed": 7,
        "latent.length": 49,
        "latent.width": 832,
        "latent.height": 480,
    }


@pytest.mark.parametrize(
    ("seconds", "frames"), [("0.5", 9), ("1", 17), ("2.2", 37), ("4.9", 81), ("5", 81), ("5s", 81)]
)
def test_wan_makes_4k_plus_1_frames(seconds: str, frames: int) -> None:
    assert filled(wan, f"a red kite --seconds {seconds}")["latent"]["inputs"]["length"] == frames


def test_wan_runs_long_and_one_at_a_time_for_each_user() -> None:
    assert (wan.limits.run_seconds, wan.limits.per_user, wan.kind) == (900, 1, "video")


def test_qwen_edits_the_uploaded_picture() -> None:
    graph = filled(qwen, "put a hat on him --seed 7 --steps 8", "cat.png")

    assert changes(qwen.workflow, graph) == {
        "positive.prompt": "put a hat on him",
        "image.image": "cat.png",
        "sampler.steps": 8,
        "sampler.seed": 7,
    }


@pytest.mark.parametrize("count", [1, 2, 3])
def test_qwen_shows_further_pictures_to_both_text_encoders(count: int) -> None:
    uploads = tuple(f"{number}.png" for number in range(1, count + 1))
    graph = filled(qwen, "put them together", *uploads)

    registry = load_registry(ROOT.parent / "plugin_registry.yaml", strict=True)
    built = registry.build_workflow(Invocation("qwen", {}, uploads=uploads), graph)

    assert built.keys() - graph.keys() == {f"image{number}" for number in range(2, count + 1)}
    assert [built[node]["inputs"]["image"] for node in built if built[node]["class_type"] == "LoadImage"] == list(
        uploads
    )
    for encoder in ("positive", "negative"):
        links = {name: value for name, value in built[encoder]["inputs"].items() if name.startswith("image")}
        assert links["image1"] == ["scaled", 0]
        assert {name: links[name] for name in links if name != "image1"} == {
            f"image{number}": [f"image{number}", 0] for number in range(2, count + 1)
        }


def test_qwen_leaves_the_graphs_of_others_alone() -> None:
    assert build_workflow(Invocation("flux", {}, uploads=("a.png", "b.png")), {}) is None


@pytest.mark.parametrize("path", sorted(ROOT.glob("*/*.py")), ids=lambda path: path.parent.name)
def test_a_plugin_imports_the_public_api_and_the_standard_library_only(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}

    assert modules <= {"runtime.api", "dataclasses"}
