"""`veilrun workflow` as it is typed."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from runtime.cli import app
from runtime.sandbox.comfyui import SandboxComfyUI
from runtime.workflow import WorkflowUnreadable
from tests.workflow.test_check import SOUND, changed
from tests.workflow.test_convert import DECODE, LATENT, LINKS, SAVE, workflow

EDITOR = workflow({**LATENT, "mode": 2}, DECODE, SAVE, links=LINKS)


def run(*words: str):
    return CliRunner().invoke(app, ["workflow", *words])


@pytest.fixture
def written(tmp_path: Path):
    def write(content: object, name: str = "graph.json") -> str:
        file = tmp_path / name
        file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return str(file)

    return write


def test_convert_prints_the_graph_and_says_what_is_left_out(written) -> None:
    ran = run("convert", written(EDITOR))

    assert ran.exit_code == 0
    assert json.loads(ran.stdout)["3"]["inputs"]["images"] == ["2", 0]
    assert "1 EmptyLatentImage: muted: left out" in ran.stderr


def test_convert_writes_a_file(written, tmp_path: Path) -> None:
    run("convert", written(EDITOR), "-o", str(tmp_path / "out.json"))

    assert "2" in json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (SOUND, "is it in API format already?"),
        ("{", "line 1, column 2: no JSON"),
        ({"nodes": 5}, "no workflow of the editor"),
    ],
)
def test_what_is_no_workflow_of_the_editor_is_said(written, content: object, said: str) -> None:
    ran = run("convert", written(content))

    assert isinstance(ran.exception, WorkflowUnreadable)
    assert said in str(ran.exception)


def test_check_of_a_sound_graph_names_the_files_that_it_did_not_look_for(written) -> None:
    ran = run("check", written(SOUND))

    assert ran.exit_code == 0
    assert "7 nodes, nothing wrong" in ran.output
    assert "model files are not looked for without --backend: toy.safetensors" in ran.output


def test_check_of_a_broken_graph_fails_with_its_findings(written) -> None:
    broken = written(changed("sampler.steps", 0))

    ran, as_json = run("check", broken), run("check", broken, "--json")

    assert ran.exit_code == as_json.exit_code == 1
    assert "node sampler (KSampler), steps: is 0, the least is 1; write 1 to 10000" in ran.output
    assert json.loads(as_json.stdout)["findings"][0]["kind"] == "too_small"


def test_check_takes_what_was_posted_to_a_server_and_the_editor_s_format(written) -> None:
    assert run("check", written({"prompt": SOUND, "client_id": "x"})).exit_code == 0
    assert "vae" in run("check", written(EDITOR)).output


async def test_a_backend_is_asked_for_its_nodes_and_files_and_may_be_kept(written, tmp_path: Path) -> None:
    import asyncio

    catalog = tmp_path / "nodes.json.gz"
    async with SandboxComfyUI(pace=0) as comfyui:
        asked = await asyncio.to_thread(run, "check", written(SOUND), "--backend", comfyui.url)
        kept = await asyncio.to_thread(run, "catalog", "--backend", comfyui.url, "-o", str(catalog))
    offline = run("check", written(SOUND), "--catalog", str(catalog))

    assert asked.exit_code == offline.exit_code == 1
    assert "model file toy.safetensors is missing" in asked.output
    assert "model file toy.safetensors is missing" in offline.output
    assert "node classes are in" in kept.output


def test_a_file_that_is_no_catalog_is_said(written) -> None:
    ran = run("check", written(SOUND), "--catalog", written("[]", "catalog.json"))

    assert "is no catalog: save one with `veilrun workflow catalog`" in str(ran.exception)
