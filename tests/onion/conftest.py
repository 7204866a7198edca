"""The private Anon network for tests: started once per run, when the first test asks for it."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.anon.binary import SDK_PLACE
from tests.onion.network import PrivateNetwork

SECONDS = 300


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Circuits are slow to build, and the first test pays for the start of the network."""
    for item in items:
        if item.get_closest_marker("onion") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SECONDS))


@pytest.fixture(scope="session")
def anon_binary() -> Path:
    """The real anon: VEILRUN_ANON_BINARY, where the SDK looks for it, or on PATH."""
    named = os.environ.get("VEILRUN_ANON_BINARY")
    on_path = shutil.which("anon")
    places = [Path(named)] if named else [Path.home() / SDK_PLACE, Path(on_path or os.devnull)]
    for place in places:
        if place.is_file() and place.with_name("anon-gencert").is_file():
            return place
    pytest.skip("anon is not installed (veilrun anon install)")


@pytest.fixture(scope="session")
def network(anon_binary: Path) -> Iterator[PrivateNetwork]:
    """The network that all tests share; each adds services and clients of its own."""
    with PrivateNetwork(anon_binary) as network:
        yield network
