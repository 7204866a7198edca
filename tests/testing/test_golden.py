"""Golden graphs: kept, compared, and the same every time."""

from pathlib import Path

import pytest

from plugins.flux import flux
from plugins.qwen import qwen
from runtime.dispatch.arguments import BadArguments
from runtime.testing import Golden, rendered_graph


@pytest.fixture(autouse=True)
def at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)


def test_a_graph_is_kept_and_then_compared(tmp_path: Path) -> None:
    Golden(tmp_path, "test_it", update=True)(flux, "a cat --steps 4")

    assert Golden(tmp_path, "test_it")(flux, "a cat --steps 4")["sampler"]["inputs"]["steps"] == 4
    assert (tmp_path / "test_it.json").exists()


def test_a_change_is_shown_as_a_difference_of_lines(tmp_path: Path) -> None:
    Golden(tmp_path, "test_it", update=True)(flux, "a cat --steps 4")

    with pytest.raises(AssertionError) as raised:
        Golden(tmp_path, "test_it")(flux, "a cat --steps 5")

    told = str(raised.value).splitlines()
    assert "pytest --update-golden keeps the new one" in told[0]
    assert '-      "steps": 4' in "\n".join(told)
    assert '+      "steps": 5' in "\n".join(told)


def test_a_second_graph_of_a_test_has_a_file_of_its_own(tmp_path: Path) -> None:
    golden = Golden(tmp_path, "test_it", update=True)

    golden(flux, "a cat")
    golden(flux, "a dog")

    assert sorted(file.name for file in tmp_path.iterdir()) == ["test_it-2.json", "test_it.json"]


def test_a_graph_that_was_never_kept_says_how(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"there is no test_it\.json yet: run pytest --update-golden"):
        Golden(tmp_path, "test_it")(flux, "a cat")


def test_nothing_is_updated_in_ci(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")

    with pytest.raises(AssertionError, match="not updated in CI"):
        Golden(tmp_path, "test_it", update=True)(flux, "a cat")

    assert not list(tmp_path.iterdir())


def test_without_a_seed_the_graph_is_the_same_every_time() -> None:
    assert rendered_graph(flux, "a cat") == rendered_graph(flux, "a cat")
    assert rendered_graph(flux, "a cat --seed 7")["sampler"]["inputs"]["seed"] == 7


def test_a_line_that_is_not_understood_is_an_error() -> None:
    with pytest.raises(BadArguments):
        rendered_graph(flux, "a cat --steps many")


def test_pictures_come_as_uploads() -> None:
    assert "input-1.png" in str(rendered_graph(qwen, "a hat on him"))
