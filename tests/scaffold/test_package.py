"""`veilrun plugins new`: the package that it makes works at once, and what cannot be made is said."""

import json
import os
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest
from typer.testing import CliRunner

from runtime.cli import app
from runtime.scaffold import NewPlugin, ScaffoldFailed, analyse, write_package
from tests.scaffold.test_analysis import TEXT_TO_IMAGE, node

RUFF = Path(sys.executable).with_name("ruff")
MYPY = Path(sys.executable).with_name("mypy")


def new(folder: Path, *options: str, graph: object = TEXT_TO_IMAGE) -> "Result":
    file = folder / "from.json"
    file.write_text(json.dumps(graph), encoding="utf-8")
    return Result(CliRunner().invoke(app, ["plugins", "new", "--from", str(file), "--into", str(folder), *options]))


class Result:
    def __init__(self, ran) -> None:
        self.status = ran.exit_code
        self.output = ran.output
        self.error = ran.exception


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("new")
    whole_sampler = deepcopy(TEXT_TO_IMAGE["3"])
    whole_sampler["inputs"] |= {"sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}
    two_pictures = {
        **TEXT_TO_IMAGE,
        "3": whole_sampler,
        "5": node("VAEEncode", pixels=["12", 0], vae=["4", 2]),
        "10": node("LoadImage", image="example.png"),
        "11": node("LoadImage", image="example.png"),
        "12": node("AcmeBlend", first=["10", 0], second=["11", 0], amount=0.5),
    }
    result = new(folder, "acme-blend", graph=two_pictures)
    assert result.status == 0, result.output
    return folder / "acme-blend"


@pytest.mark.slow
def test_it_passes_its_own_tests_at_once(made: Path) -> None:
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "-p runtime.testing.plugin"}

    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=made,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    assert "3 passed" in run.stdout


def test_its_style_and_types_are_as_we_would_have_them(made: Path) -> None:
    for command in ([RUFF, "check", "."], [RUFF, "format", "--check", "."], [MYPY]):
        run = subprocess.run([str(part) for part in command], cwd=made, capture_output=True, text=True, timeout=100)
        assert run.returncode == 0, run.stdout


def test_everything_is_there_that_a_package_needs(made: Path) -> None:
    files = {str(file.relative_to(made)) for file in made.rglob("*") if file.is_file() and "cache" not in str(file)}

    assert files >= {
        ".github/workflows/test.yml",
        ".gitignore",
        "CHANGELOG.md",
        "README.md",
        "acme_blend/__init__.py",
        "acme_blend/py.typed",
        "acme_blend/workflow.json",
        "pyproject.toml",
        "tests/test_blend.py",
        "tests/golden/test_its_graph_is_the_one_that_was_looked_at.json",
    }
    assert "python-version: ${{ matrix.python }}" in (made / ".github/workflows/test.yml").read_text(encoding="utf-8")
    readme = (made / "README.md").read_text(encoding="utf-8")
    assert "acme-blend: {enabled: true}" in readme
    assert "where these are from is not known: toy.safetensors" in readme
    assert "2 pictures are loaded" in readme


def test_what_was_found_is_shown(tmp_path: Path) -> None:
    result = new(tmp_path, "acme-cat")

    assert result.status == 0
    for words in (
        "prompt",
        "positive.text",
        "a cat",
        "832×1216",
        "SaveImage",
        "toy.safetensors",
        "checkpoints",
        "/cat is in",
    ):
        assert words in result.output


def test_what_a_comfyui_would_refuse_is_pointed_out(tmp_path: Path) -> None:
    graph = deepcopy(TEXT_TO_IMAGE)
    graph["5"]["inputs"]["width"] = 8

    result = new(tmp_path, "acme-cat", graph=graph)

    assert result.status == 0
    assert "look at: node latent (EmptyLatentImage), width: is 8, the least is 16; write 16 to" in result.output
    assert "width: is 8, the least is 16" in (tmp_path / "acme-cat" / "README.md").read_text(encoding="utf-8")


def test_the_same_as_json(tmp_path: Path) -> None:
    told = json.loads(new(tmp_path, "acme-cat", "--json").output)

    assert told["command"] == "cat"
    assert {binding["name"] for binding in told["bindings"]} >= {"prompt", "seed"}


def test_where_models_are_from_is_taken_from_the_editor_s_own_notes(tmp_path: Path) -> None:
    analysis = analyse(TEXT_TO_IMAGE)
    links = {"toy.safetensors": "https://example.org/toy.safetensors"}

    folder = write_package(NewPlugin.named("acme-cat", analysis, links=links), tmp_path)

    assert "https://example.org/toy.safetensors" in (folder / "acme_cat" / "__init__.py").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("Acme Upscale",), "is no name of a package; use small letters, digits and -, like acme-upscale"),
        (("acme-help",), "/help is taken by veilrun itself; choose another one: --command NAME"),
        (("acme-flux",), "/flux is taken by veilrun itself"),
        (("acme-x", "--command", "Big Cat"), "Telegram takes 1 to 32 of a-z, 0-9 and _: --command NAME"),
        (("json",), "a module json is there already; choose another name, like acme-json"),
        (("runtime",), "a module runtime is there already"),
        (("tests",), "a module tests is there already"),
    ],
)
def test_a_name_that_will_not_do_is_refused_with_what_will(tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    result = new(tmp_path, *options)

    assert isinstance(result.error, ScaffoldFailed)
    assert said in str(result.error)


@pytest.mark.parametrize("command", ["list", "for", "1", "register_commands", "golden", "workflow"])
def test_a_command_may_be_called_like_something_of_python_or_of_the_module(tmp_path: Path, command: str) -> None:
    result = new(tmp_path, "acme-x", "--command", command)

    assert result.status == 0, result.error
    run = subprocess.run(
        [str(RUFF), "check", "."], cwd=tmp_path / "acme-x", capture_output=True, text=True, timeout=100
    )
    assert run.returncode == 0, run.stdout


def test_a_command_of_one_parameter_is_laid_out_as_ruff_has_it(tmp_path: Path) -> None:
    graph = {
        "1": node("LoadImage", image="x.png"),
        "2": node("ImageInvert", image=["1", 0]),
        "3": node("SaveImage", images=["2", 0], filename_prefix="x"),
    }
    assert new(tmp_path, "acme-invert", graph=graph).status == 0

    run = subprocess.run(
        [str(RUFF), "format", "--check", "."], cwd=tmp_path / "acme-invert", capture_output=True, text=True, timeout=100
    )

    assert run.returncode == 0, run.stdout


def test_odd_names_in_the_graph_are_written_as_they_are(tmp_path: Path) -> None:
    graph = {
        "serv\\ice": node("AcmeService", **{"model.prompt": "a cat", "clip": "da\\nce.mp4"}),
        'the "end"': node("SaveVideo", video=["serv\\ice", 0], filename_prefix="x", format="auto", codec="auto"),
    }

    result = new(tmp_path, "acme-odd", graph=graph)

    assert result.status == 0, result.error
    test = (tmp_path / "acme-odd" / "tests" / "test_odd.py").read_text(encoding="utf-8")
    assert r'graph["serv\\ice"]["inputs"]["model.prompt"]' in test
    compile(test, "test_odd.py", "exec")
    assert r"da\\nce.mp4" in (tmp_path / "acme-odd" / "acme_odd" / "__init__.py").read_text(encoding="utf-8")


def test_nodes_that_do_not_ship_are_looked_up_where_the_author_says(tmp_path: Path) -> None:
    workflow = {
        "nodes": [
            {"id": 1, "type": "AcmeService", "outputs": [{"type": "IMAGE"}], "widgets_values": ["a cat", 0.5]},
            {"id": 2, "type": "SaveImage", "inputs": [{"name": "images", "link": 1}], "widgets_values": ["x"]},
        ],
        "links": [[1, 1, 0, 2, 0, "IMAGE"]],
    }
    save = {"input": {"required": {"images": ["IMAGE", {}], "filename_prefix": ["STRING", {}]}}, "output_node": True}
    service = {"input": {"required": {"prompt": ["STRING", {}], "amount": ["FLOAT", {}]}}, "output": ["IMAGE"]}
    catalog = tmp_path / "nodes.json"
    catalog.write_text(json.dumps({"AcmeService": service, "SaveImage": save}), encoding="utf-8")

    without = new(tmp_path, "acme-cat", graph=workflow)
    made = new(tmp_path, "acme-cat", "--catalog", str(catalog), graph=workflow)

    assert "is a AcmeService, which is not described here" in str(without.error)
    assert made.status == 0, made.error
    assert "acme_service.prompt" in made.output


def test_where_nothing_can_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")

    result = new(tmp_path, "acme-cat", "--into", str(tmp_path / "file"))

    assert isinstance(result.error, ScaffoldFailed)
    assert "cannot be written: Not a directory; name another folder with --into" in str(result.error)


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "acme-cat").mkdir()
    (tmp_path / "acme-cat" / "mine.txt").write_text("mine", encoding="utf-8")

    result = new(tmp_path, "acme-cat")

    assert "is there already; choose another name, or another folder with --into" in str(result.error)
    assert os.listdir(tmp_path / "acme-cat") == ["mine.txt"]


def test_a_workflow_that_is_not_there_is_said(tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, ["plugins", "new", "acme-cat", "--from", str(tmp_path / "none.json")])

    assert "cannot be read" in str(ran.exception)
