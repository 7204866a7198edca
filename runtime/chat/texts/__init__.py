"""Every word that users read, one TOML file per language. `en.toml` is complete; others fall back to it key by key.

A translation is a copy of `en.toml` named by its ISO 639-1 code, with the same keys and the same `{placeholders}`:
nothing else has to be registered.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

FALLBACK = "en"


def text(key: str, language: str | None, **values: object) -> str:
    """The text `section.name` in `language` (an IETF tag as Telegram sends it; its region is ignored), filled in.

    A language or key without a translation gives the English text. Raises: KeyError for a key or placeholder that
    English does not have.
    """
    code = (language or FALLBACK).partition("-")[0].lower()
    translated = _catalogues().get(code, {})
    return (translated.get(key) or catalogue(FALLBACK)[key]).format_map(values)


def languages() -> tuple[str, ...]:
    """ISO 639-1 codes of the languages there is a catalogue for."""
    return tuple(sorted(_catalogues()))


def catalogue(language: str) -> Mapping[str, str]:
    """All texts of one language, `section.name` -> template. Raises: KeyError."""
    return _catalogues()[language]


@cache
def _catalogues() -> Mapping[str, Mapping[str, str]]:
    found = (file for file in files(__package__).iterdir() if file.name.endswith(".toml"))
    return {file.name.removesuffix(".toml"): _flat(tomllib.loads(file.read_text("utf-8"))) for file in found}


def _flat(tables: Mapping[str, Mapping[str, Any]]) -> Mapping[str, str]:
    return {f"{section}.{name}": template for section, table in tables.items() for name, template in table.items()}
