"""benchmarks/convert compares what can be compared, and says of the rest why it cannot."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from benchmarks.convert.compare import compare
from benchmarks.convert.server import serving
from runtime.workflow.shipped import shipped_descriptions
from tests.workflow.test_convert import DECODE, LATENT, LINKS, SAVE, node, workflow

DOCUMENT = workflow(LATENT, DECODE, SAVE, links=LINKS)
EXPORTED = {
    "1": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 768, "batch_size": 2}},
    "2": {"class_type": "VAEDecode", "inputs": {"samples": ["1", 0]}},
    "3": {"class_type": "SaveImage", "inputs": {"filename_prefix": "out", "images": ["2", 0], "player": ""}},
}


def _with(node_id: str, **inputs: Any) -> dict[str, Any]:
    content = EXPORTED[node_id]
    return {**EXPORTED, node_id: {**content, "inputs": {**content["inputs"], **inputs}}}


def test_the_same_graph_is_equal_whatever_the_editor_adds_for_its_own_players() -> None:
    assert compare(DOCUMENT, EXPORTED, shipped_descriptions()).verdict == "equal"


@pytest.mark.parametrize(
    ("exported", "reason"),
    [
        (_with("1", width=64), "1 (EmptyLatentImage) width: theirs 64, ours 512"),
        (_with("2", vae=["1", 1]), "2 (VAEDecode) vae: theirs ['1', 1], ours none"),
        ({name: EXPORTED[name] for name in "12"}, "3 (SaveImage) is only in ours"),
        ("TypeError: x", "the front end did not export it: TypeError: x"),
    ],
)
def test_a_difference_is_named_with_both_sides(exported: Any, reason: str) -> None:
    comparison = compare(DOCUMENT, exported, shipped_descriptions())

    assert comparison.verdict == "differs"
    assert reason in comparison.reasons


@pytest.mark.parametrize(
    ("newer", "reason"),
    [
        (node(9, "AcmeThing"), "AcmeThing"),
        (node(9, "VAEDecode", inputs=[("tiling", "INT", None)]), "VAEDecode.tiling"),
        (
            node(9, "SaveImageAdvanced", ["out", "heic"]),
            "SaveImageAdvanced.format with an option that is none of its 2",
        ),
    ],
)
def test_what_the_descriptions_do_not_have_is_not_compared(newer: dict[str, Any], reason: str) -> None:
    comparison = compare(workflow(LATENT, newer), EXPORTED, shipped_descriptions())

    assert (comparison.verdict, comparison.reasons) == ("not described", (reason,))


async def test_the_front_end_is_served_with_the_nodes_that_it_asks_for(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<p>editor</p>", encoding="utf-8")

    async with serving(tmp_path, {"Acme": {"input": {}}}) as address, aiohttp.ClientSession() as session:
        async with session.get(address) as page, session.get(f"{address}/api/object_info") as nodes:
            assert await page.text() == "<p>editor</p>"
            assert {"name": "Acme", "category": "any", "input": {}}.items() <= (await nodes.json())["Acme"].items()
        async with session.ws_connect(f"{address}/ws") as events:
            assert (await events.receive_json(timeout=5))["type"] == "status"
