import ast
import re
from pathlib import Path
from string import Formatter

import pytest

from runtime.chat.texts import FALLBACK, catalogue, languages, text

ROOT = Path(__file__).resolve().parents[2]


def _placeholders(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


def _sources() -> list[ast.Module]:
    return [
        ast.parse(file.read_text("utf-8"))
        for folder in ("runtime", "webhooks")
        for file in ROOT.glob(f"{folder}/**/*.py")
    ]


def test_the_region_of_a_language_is_ignored():
    assert text("status.cancelled", "de-CH") == text("status.cancelled", "de") == "✖️ Abgebrochen"


@pytest.mark.parametrize("language", [None, "", "xx", "EN-us", "../en"])
def test_an_unknown_language_is_answered_in_english(language):
    assert text("status.cancelled", language) == "✖️ Cancelled"


def test_values_are_filled_in_and_never_read_as_templates():
    assert text("failure.unknown_detail", "en", detail="{seed} 100%") == "⚠️ {seed} 100%"


@pytest.mark.parametrize("language", languages())
def test_every_translation_has_the_keys_and_placeholders_of_english(language):
    english, translated = catalogue(FALLBACK), catalogue(language)
    assert set(translated) == set(english)
    for key in english:
        assert _placeholders(translated[key]) == _placeholders(english[key]), key
        assert translated[key].strip(), key


def test_every_key_that_the_code_asks_for_exists():
    asked = {
        node.args[0].value
        for module in _sources()
        for node in ast.walk(module)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "text"
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }
    assert asked <= set(catalogue(FALLBACK))


def test_no_text_is_left_unused():
    written = {
        node.value
        for module in _sources()
        for node in ast.walk(module)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(r"\w+\.\w+", node.value)
    }
    assert set(catalogue(FALLBACK)) <= written
