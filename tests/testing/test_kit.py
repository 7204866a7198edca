"""The kit in an author's hands: an ordinary project, its tests run by pytest in a process of their own."""

import json

import pytest

from tests.testing.conftest import Project

pytestmark = pytest.mark.slow

ALONE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "-p runtime.testing.plugin"}
"""Without the other plugins of this environment, which take seconds to load."""

MORE = """\
import pytest
from acme_enlarge import enlarge
from runtime.testing import NothingCame, photo


def test_buttons_albums_and_refusals(chat):
    chat.send("/enlarge --megapixels 99", photo=photo())
    assert "megapixels" in chat.text("16")
    chat.send("/enlarge", photo=photo(100, 80, format="PNG"))
    picture = chat.picture()
    assert picture.image.size == (picture.width, picture.height)
    assert picture.buttons
    chat.press("Again")
    assert chat.picture().width == picture.width
    with pytest.raises(KeyError):
        {}["x"]
    with pytest.raises(NothingCame, match="no message has a button 'Nonsense'; the chat shows"):
        chat.press("Nonsense")


def test_the_next_person_knows_nothing_of_it(chat, comfyui):
    assert chat.messages == []
    assert comfyui.graphs == []
    with pytest.raises(NothingCame, match="no picture came within 0.1 s"):
        chat.picture(timeout=0.1)


def test_a_node_that_fails_is_told(chat, comfyui):
    comfyui.fails("scaled", "no such method")
    chat.send("/enlarge", photo=photo())
    assert chat.text("scaled")


def test_a_fault_ends_with_its_test(chat, comfyui):
    chat.send("/enlarge", photo=photo())
    assert chat.picture()


def test_a_crash_in_mid_run_is_survived(chat, comfyui):
    comfyui.holds("scaled")
    chat.send("/enlarge", photo=photo())
    comfyui.wait_until_running()
    comfyui.lets_go("scaled")
    comfyui.crashes()
    assert chat.picture(timeout=60)


def test_a_shipped_command_is_there_as_well(chat):
    chat.send("/f an astronaut --size 256x256")
    assert chat.picture().width == 256
"""

WRONG = """\
from dataclasses import replace

from acme_enlarge import enlarge
from runtime.testing import assert_command_contract


def test_a_name_that_is_taken():
    assert_command_contract(replace(enlarge, aliases=("help",)))


def test_another_graph(golden):
    golden(enlarge, "--megapixels 3")


def test_too_little_patience(chat):
    chat.picture(timeout=0.1)
"""


def test_what_the_page_shows_passes_as_it_is_written(project: Project) -> None:
    first = project.pytest("--update-golden")
    kept = json.loads((project.root / "tests" / "golden" / "test_graph.json").read_text(encoding="utf-8"))
    again = project.pytest("-k", "contract or graph", **ALONE)

    assert "3 passed" in first.stdout, first.stdout
    assert kept["scaled"]["inputs"] == {"image": ["image", 0], "megapixels": 8.0, "upscale_method": "area"}
    assert "2 passed" in again.stdout, again.stdout


def test_chats_faults_and_buttons_do_what_they_say(project: Project) -> None:
    project.write("tests/test_more.py", MORE)

    run = project.pytest("tests/test_more.py", **ALONE)

    assert "6 passed" in run.stdout, run.stdout


def test_a_plugin_that_cannot_be_loaded_is_explained(project: Project, tmp_path) -> None:
    broken = Project(tmp_path)
    for name in ("pyproject.toml", "acme_enlarge/__init__.py", "acme_enlarge/enlarge.json"):
        broken.write(name, (project.root / name).read_text(encoding="utf-8"))
    broken.write("acme_enlarge/enlarge.json", "{}")
    broken.write("tests/test_it.py", "def test_it(chat):\n    chat.send('/enlarge')\n")

    run = broken.pytest("tests", **ALONE)

    assert "plugin enlarge is not active" in run.stdout
    assert "enlarge.json: a graph is a JSON object of nodes, and has at least one" in run.stdout


def test_a_test_that_fails_shows_its_own_line_and_what_to_do(project: Project) -> None:
    project.write("tests/test_wrong.py", WRONG)

    run = project.pytest("tests/test_wrong.py", **ALONE)

    assert "3 failed" in run.stdout, run.stdout
    assert "/enlarge: /help belongs to veilrun itself; choose another name or alias" in run.stdout
    assert "there is no test_another_graph.json yet: run pytest --update-golden" in run.stdout
    assert "no picture came within 0.1 s; the chat shows:" in run.stdout
    assert "runtime/testing/" not in run.stdout


def test_what_is_not_used_costs_nothing(project: Project) -> None:
    project.write(
        "tests/test_nothing.py", "import sys\n\ndef test_it():\n    assert 'runtime.sandbox' not in sys.modules\n"
    )

    assert "1 passed" in project.pytest("tests/test_nothing.py", **ALONE).stdout
