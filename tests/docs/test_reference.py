"""docs/api.md is what the docstrings say."""

import importlib.util
from pathlib import Path

from runtime import api, testing

DOCS = Path(__file__).parents[2] / "docs"


def test_the_reference_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("reference", DOCS / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    assert (DOCS / "api.md").read_text(encoding="utf-8") == module.reference(), "make docs brings it up to date"


def test_every_public_name_is_in_it() -> None:
    text = (DOCS / "api.md").read_text(encoding="utf-8")

    assert [name for name in (*api.__all__, *testing.__all__) if f"### {name}\n" not in text] == []
