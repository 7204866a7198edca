"""Files of every kind that people have: read if they can be, else told what is wrong, where, and what to do."""

import json
from pathlib import Path
from typing import Any

import pytest

from runtime.workflow import CannotConvert, WorkflowUnreadable, convert, read_workflow
from runtime.workflow.shipped import shipped_descriptions

GRAPH = {"1": {"class_type": "SaveImage", "inputs": {"images": "é"}}}
TEXT = json.dumps(GRAPH, ensure_ascii=False)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_a_file_of_any_unicode_is_read(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "graph.json"
    file.write_bytes(TEXT.encode(encoding))

    assert read_workflow(file) == GRAPH


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"hello", "graph.json, line 1, column 1: no JSON"),
        (b'{"1": {\n  "class_type": }', "graph.json, line 2, column 17: no JSON"),
        (b"", "graph.json, line 1, column 1: no JSON"),
        (TEXT.encode("latin-1"), "graph.json is no JSON"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "graph.json is no JSON"),
        (b"[" * 100_000, "graph.json: it is nested too deeply for a workflow"),
        (b'{"1": ' + b"9" * 5000 + b"}", "graph.json is no JSON (Exceeds the limit"),
        (b'{"1": {"class_type": "\\ud800", "inputs": {}}}', "graph.json: a text ends within a character"),
        (b'{"1": {}, "2": {}, "1": {}}', "graph.json: '1' is there twice in one object"),
        (b"[1]", "graph.json: a graph is a JSON object of nodes"),
        (b"null", "graph.json: a graph is a JSON object of nodes"),
    ],
)
def test_what_is_no_workflow_is_said_with_its_place(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "graph.json"
    file.write_bytes(content)

    with pytest.raises(WorkflowUnreadable) as refused:
        read_workflow(file)

    assert str(refused.value).startswith(said)
    assert "rename one" in str(refused.value) or "in ComfyUI choose Workflow > Export" in str(refused.value)


def ui(node: Any = None, **more: Any) -> dict[str, Any]:
    sound = {"id": 4, "type": "SaveImage", "inputs": [{"name": "images", "link": 1}], "widgets_values": ["x"]}
    return {"nodes": [{**sound, **(node or {})}], "links": [], **more}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (ui({"mode": "mute"}), 'node 4 (SaveImage): mode is "mute", not a whole number'),
        (ui({"widgets_values": 5}), "node 4 (SaveImage): widgets_values is 5, not a list"),
        (ui({"inputs": {"a": 1}}), 'node 4 (SaveImage): inputs is {"a": 1}, not a list'),
        (ui({"outputs": "x"}), 'node 4 (SaveImage): outputs is "x", not a list'),
        (ui(links={"1": 2}), 'the workflow: links is {"1": 2}, not a list'),
        (ui(links=[None]), "a link is null, not [id, from node, output, to node, input, type]"),
        (ui(links=[[1, 2]]), "a link is [1, 2], not [id, from node, output, to node, input, type]"),
        (ui(links=[[1, 4, "a", 4, 0, "IMAGE"]]), 'link 1 is "a", not a whole number'),
        (ui(definitions={"subgraphs": [3]}), "a subgraph is 3, not an object"),
        (ui(definitions={"subgraphs": 3}), "the workflow: subgraphs is 3, not a list"),
        (ui(last_node_id="x"), 'last_node_id is "x", not a whole number'),
    ],
)
def test_a_damaged_workflow_of_the_editor_is_said_with_its_place(document: dict[str, Any], said: str) -> None:
    with pytest.raises(CannotConvert) as refused:
        convert(document, shipped_descriptions())

    assert str(refused.value) == f"{said}; in ComfyUI open it and export it again"


@pytest.mark.parametrize(
    "document",
    [
        ui(definitions=5, state=7),
        ui({"inputs": [None, {"link": {}}]}),
        ui({"inputs": [{"name": ["x"], "link": 1, "widget": {}}]}, links=[[1, 4, -3, 4, -9, "IMAGE"]]),
        ui({"widgets_values": {"filename_prefix": ["a", 0]}}),
    ],
)
def test_what_can_be_passed_over_is(document: dict[str, Any]) -> None:
    assert set(convert(document, shipped_descriptions())) == {"4"}
