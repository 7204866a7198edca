"""Which frames of ComfyUI's event socket pass."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from runtime.gate.events import EventFilter
from runtime.gate.files import FileRef
from runtime.gate.folders import Folders
from runtime.gate.ledger import Ledger
from runtime.gate.results import Results

PICTURE = struct.pack(">II", 1, 2) + b"\x89PNG"
PREVIEW = struct.pack(">II", 1, 1) + b"\xff\xd8"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = Ledger(tmp_path)
    ledger.post("mine", [])
    return ledger


def filter_of(ledger: Ledger) -> EventFilter:
    return EventFilter(ledger, Results(ledger, Folders()))


def event(kind: str, **content: Any) -> str:
    return json.dumps({"type": kind, "data": content})


@pytest.mark.parametrize("kind", ["executing", "progress", "executed", "execution_start", "execution_error"])
def test_events_pass_by_whose_prompt_it_is(ledger: Ledger, kind: str) -> None:
    assert filter_of(ledger).text(event(kind, prompt_id="mine", node="a"))
    assert filter_of(ledger).text(event(kind, prompt_id="foreign", node="a")) is None


@pytest.mark.parametrize(
    "kind", ["progress", "executed", "execution_error", "execution_interrupted", "b_preview", "logs"]
)
def test_what_names_no_prompt_does_not_pass(ledger: Ledger, kind: str) -> None:
    assert filter_of(ledger).text(event(kind, node="a", text="a secret")) is None


@pytest.mark.parametrize(
    "frame", ["", "{", "[]", "null", '"status"', '{"type": ["status"]}', '{"type": {}, "data": 1}']
)
def test_what_is_no_event_does_not_pass(ledger: Ledger, frame: str) -> None:
    assert filter_of(ledger).text(frame) is None


@pytest.mark.parametrize(
    "told",
    [
        [],
        [event("executing", prompt_id="foreign", node="a")],
        [event("executing", prompt_id="mine", node="a"), event("executing", prompt_id="mine", node=None)],
        [event("executing", prompt_id="mine", node="a"), event("progress_state", prompt_id="foreign", nodes={})],
        [event("execution_start", prompt_id="mine"), event("execution_start", prompt_id="foreign")],
    ],
)
def test_a_picture_passes_only_while_an_own_prompt_runs(ledger: Ledger, told: list[str]) -> None:
    passing = filter_of(ledger)
    for frame in told:
        passing.text(frame)

    assert passing.binary(PICTURE) is None
    passing.text(event("executing", prompt_id="mine", node="b"))
    assert passing.binary(PICTURE) == PICTURE


@pytest.mark.parametrize(
    "frame", [PREVIEW, b"", b"\0\0\0\1", struct.pack(">II", 4, 2) + b"{}", struct.pack(">II", 3, 2)]
)
def test_previews_and_other_frames_do_not_compete_with_results(ledger: Ledger, frame: bytes) -> None:
    passing = filter_of(ledger)
    passing.text(event("executing", prompt_id="mine", node="b"))

    assert passing.binary(frame) is None


def test_what_a_prompt_wrote_is_noted_and_what_the_cache_answered_is_not_its_to_delete(ledger: Ledger) -> None:
    passing = filter_of(ledger)
    passing.text(event("execution_cached", prompt_id="mine", nodes=["old"]))
    for node in ("old", "new"):
        passing.text(event("executed", prompt_id="mine", node=node, output={"images": [{"filename": f"{node}.png"}]}))

    assert ledger.made_here(FileRef("output", "", "old.png"))
    assert ledger.left_by("mine") == [FileRef("output", "", "new.png")]


@pytest.mark.parametrize(
    ("frame", "passes"),
    [
        ('{"type": "feature_flags", "data": {}}', True),
        ('{"type": "other"}', False),
        ("no json", False),
        (b"\0", False),
        ('{"type": "feature_flags", "data": "' + "x" * 20_000 + '"}', False),
    ],
)
def test_a_client_says_only_which_features_it_knows(frame: str | bytes, passes: bool) -> None:
    assert (EventFilter.from_client(frame) is not None) == passes
