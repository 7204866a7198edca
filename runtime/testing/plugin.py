"""The pytest plugin `veilrun.testing`. What a fixture needs is imported when it is used."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from runtime.testing.chat import Chat
    from runtime.testing.comfyui import ComfyUI
    from runtime.testing.golden import Golden
    from runtime.testing.machine import Machine
    from runtime.testing.project import Project


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option `--update-golden`."""
    group = parser.getgroup("veilrun", "testing veilrun commands")
    group.addoption("--update-golden", action="store_true", help="Keep the graphs as golden ones instead of comparing.")


@pytest.fixture(scope="session")
def veilrun_project(request: pytest.FixtureRequest) -> "Iterator[tuple[Project, list[Path]]]":
    """The project under test, and the folders that make it importable if it is not installed."""
    from runtime.testing.project import Project

    overlay = Path(tempfile.mkdtemp(prefix="veilrun-overlay-"))
    project = Project.at(request.config.rootpath)
    try:
        yield project, list(project.make_importable(overlay))
    finally:
        shutil.rmtree(overlay, ignore_errors=True)


@pytest.fixture(scope="session")
def veilrun_machine(veilrun_project: "tuple[Project, list[Path]]") -> "Iterator[Machine]":
    """The whole bot, started for the first test that needs it."""
    from runtime.testing.machine import Machine

    machine = Machine(*veilrun_project)
    machine.start()
    try:
        yield machine
    finally:
        machine.stop()


@pytest.fixture
def comfyui(veilrun_machine: "Machine") -> "Iterator[ComfyUI]":
    """The sandbox ComfyUI behind `chat`: what was posted to it, and the faults that it is to have in this test."""
    from runtime.testing.comfyui import ComfyUI

    server = ComfyUI(veilrun_machine.comfyui, veilrun_machine.run)
    try:
        yield server
    finally:
        server.reset()


@pytest.fixture
def chat(veilrun_machine: "Machine") -> "Chat":
    """A new person's private chat with the whole bot."""
    return veilrun_machine.new_chat()


@pytest.fixture
def golden(request: pytest.FixtureRequest, veilrun_project: "tuple[Project, list[Path]]", tmp_path: Path) -> "Golden":
    """Compares a line's graph with the golden one: `golden(COMMAND, "a cat --seed 7")`."""
    from runtime.testing.golden import Golden

    project, _ = veilrun_project
    return Golden(
        request.path.parent / "golden",
        request.node.name.replace("/", "_"),
        registry=project.registry(tmp_path),
        update=request.config.getoption("--update-golden"),
    )
