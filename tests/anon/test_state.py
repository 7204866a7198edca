"""The file by which the keeper tells the others how the daemon is: only as good as its writer is alive."""

import fcntl
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from runtime.anon.state import AnonState, are_new_circuits_wanted, read_state, want_new_circuits, write_state

STATE = AnonState(("127.0.0.1", 9050), ("127.0.0.1", 9051), "0.4.9.11-live", 100, "Done")


def test_what_was_written_is_read_while_its_writer_holds_the_lock(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        write_state(tmp_path, STATE)

        assert read_state(tmp_path) == STATE


def test_the_state_of_a_writer_that_was_killed_is_not_believed(tmp_path: Path) -> None:
    write_state(tmp_path, STATE)
    (tmp_path / "lock").touch()

    assert read_state(tmp_path) is None


def test_many_readers_find_the_writer_gone_at_the_same_time(tmp_path: Path) -> None:
    write_state(tmp_path, STATE)
    with (tmp_path / "lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_SH)

        assert read_state(tmp_path) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"socks": 1}', json.dumps({"socks": ["h", 1], "new": 2})])
def test_a_state_of_another_shape_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)

    assert read_state(tmp_path) is None


def test_a_state_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    (tmp_path / "state.json").mkdir()

    assert read_state(tmp_path) is None


def test_a_state_that_cannot_be_written_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    write_state(tmp_path, STATE)

    with pytest.raises(TypeError):
        write_state(tmp_path, replace(STATE, phase=object()))  # type: ignore[arg-type]

    assert read_state(tmp_path) == STATE
    assert os.listdir(tmp_path) == ["state.json"]


def test_where_nothing_can_be_written_asking_for_new_circuits_does_no_harm(tmp_path: Path) -> None:
    want_new_circuits(tmp_path / "missing")

    assert not are_new_circuits_wanted(tmp_path / "missing")
