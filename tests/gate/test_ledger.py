"""What the gate remembers, and which files may go with a prompt."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.gate.files import FileRef, texts_of_graph
from runtime.gate.ledger import Ledger

PROMPTS = st.sampled_from(["a", "b", "c"])
NAMES = st.sampled_from(["x.png", "y.png"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("upload"), NAMES, NAMES),
        st.tuples(st.just("post"), PROMPTS, NAMES),
        st.tuples(st.just("clean"), PROMPTS, NAMES),
    ),
    max_size=30,
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path, clock)
    yield ledger
    ledger.close()


def test_the_time_to_collect_begins_when_the_prompt_is_over(ledger: Ledger, clock: Clock) -> None:
    ledger.post("mine", [])
    clock.now += 3000
    ledger.see_busy(["mine", "foreign"])
    clock.now += 3000

    assert ledger.overdue(3600) == []
    clock.now += 600
    assert ledger.overdue(3600) == ["mine"]
    assert not ledger.owns("foreign")


def test_a_picture_goes_when_no_prompt_came_for_it(ledger: Ledger, clock: Clock) -> None:
    ledger.upload(FileRef("temp", "", "used.png"))
    ledger.upload(FileRef("temp", "", "unused.png"))
    ledger.post("mine", ["used.png [temp]", "a prompt that names unused.png"])
    clock.now += 100

    assert ledger.drop_unused_uploads(60) == [FileRef("temp", "", "unused.png")]
    assert ledger.drop_unused_uploads(60) == []


@pytest.mark.parametrize("text", ["used.png", "used.png [temp]", "sub/used.png [output]"])
def test_an_input_is_known_by_its_whole_reference(ledger: Ledger, text: str) -> None:
    for ref in (
        FileRef("input", "", "used.png"),
        FileRef("temp", "", "used.png"),
        FileRef("output", "sub", "used.png"),
    ):
        ledger.upload(ref)
    ledger.post("mine", [text])

    assert ledger.left_by("mine") == [FileRef.parse(text)]


def test_a_picture_among_others_in_a_list_is_an_input_too() -> None:
    several = {"load": {"class_type": "LoadImages", "inputs": {"images": {"__value__": ["a.png", ["b.png"]]}}}}

    assert set(texts_of_graph(several)) == {"a.png", "b.png"}


@given(STEPS)
def test_no_file_goes_that_a_waiting_prompt_needs_and_none_is_forgotten(steps: list[tuple[str, str, str]]) -> None:
    """Against a model: files there are, and which prompt reads which."""
    clock = Clock()
    with TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder), clock)
        files: set[str] = set()
        reads: dict[str, set[str]] = {}
        for kind, first, name in steps:
            clock.now += 1
            if kind == "upload":
                files.add(first)
                ledger.upload(FileRef("input", "", first))
            elif kind == "post" and name in files:
                ledger.post(first, [name])
                reads.setdefault(first, set()).add(name)
            elif kind == "clean" and first in reads:
                left = {ref.name for ref in ledger.left_by(first)}
                others = set().union(*(needed for prompt, needed in reads.items() if prompt != first))
                assert left <= reads.pop(first) - others
                ledger.forget(first)
                files -= left
        for prompt in list(reads):
            files -= {ref.name for ref in ledger.left_by(prompt)}
            ledger.forget(prompt)
        clock.now += 100
        files -= {ref.name for ref in ledger.drop_unused_uploads(0)}
        ledger.close()

    assert files == set()
