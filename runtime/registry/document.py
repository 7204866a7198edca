"""Reads the registry file and says, line by line, what is wrong with it."""

import difflib
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from runtime.registry.errors import Problem, RegistryInvalid
from runtime.registry.schema import RegistryFile, known_keys

Place: TypeAlias = tuple[int | str, ...]
"""Keys and indexes that lead to a value: ("backends", 0, "url")."""

EXAMPLE = "see docs/registry.md for a complete example"


class Document:
    """The file as parsed, with the place of everything in it."""

    def __init__(self, path: Path, tree: Any, content: RegistryFile) -> None:
        self.path = path
        self.content = content
        self._tree = tree

    def problem(self, place: Place, message: str, hint: str = "") -> Problem:
        """A problem at `place` of this file."""
        return _problem(self.path, self._tree, place, message, hint)


def read_document(path: Path) -> Document:
    """The valid content of `path`. Raises: RegistryInvalid with every problem found."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise RegistryInvalid(
            (_bare(path, "the file is not there", "create it, or point VEILRUN_REGISTRY at yours"),)
        ) from None
    except UnicodeDecodeError as error:
        raise RegistryInvalid((_bare(path, f"not UTF-8 at byte {error.start}", "save it as UTF-8"),)) from None
    except OSError as error:
        raise RegistryInvalid((_bare(path, f"cannot be read: {error.strerror}"),)) from error
    tree = _parse(path, text)
    try:
        return Document(path, tree, RegistryFile.model_validate(_plain(tree)))
    except ValidationError as error:
        found = [_explained(path, tree, problem) for problem in error.errors(include_url=False)]
        raise RegistryInvalid(tuple(sorted(found, key=lambda problem: problem.line))) from None


def _parse(path: Path, text: str) -> CommentedMap:
    try:
        tree = YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        message = (error.problem or "not YAML").splitlines()[0].strip()
        hint = "indent with spaces, never tabs" if "\\t" in message else ""
        raise RegistryInvalid((Problem(path.name, line, column, "", message, hint),)) from None
    except YAMLError as error:
        raise RegistryInvalid((_bare(path, f"not YAML: {str(error).splitlines()[0]}"),)) from None
    if tree is None:
        raise RegistryInvalid((_bare(path, "the file is empty", f"write at least `version: 1`; {EXAMPLE}"),))
    if not isinstance(tree, CommentedMap):
        raise RegistryInvalid((_bare(path, "the file must hold keys and values", f"like `version: 1`; {EXAMPLE}"),))
    return tree


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key if isinstance(key, str) else str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    for simple in (bool, int, float, str):
        if isinstance(value, simple):
            return simple(value)
    return value


def _explained(path: Path, tree: Any, error: ErrorDetails) -> Problem:
    place: Place = tuple(error["loc"])
    kind, given = error["type"], error["input"]
    message, hint = error["msg"].removeprefix("Value error, "), ""
    if kind == "extra_forbidden":
        allowed = known_keys(place[:-1])
        close = difflib.get_close_matches(str(place[-1]), allowed, 1)
        message = f"unknown key {str(place[-1])!r}"
        hint = f"did you mean {close[0]!r}?" if close else f"allowed here: {', '.join(allowed)}"
    elif kind == "missing":
        message, hint = f"{place[-1]!r} is missing", f"add `{place[-1]}: …`; {EXAMPLE}"
        place = place[:-1]
    elif kind == "literal_error":
        message, hint = f"{_shown(given)} is not allowed", f"write {error['ctx']['expected']}"
    elif kind in ("int_type", "float_type", "int_parsing", "float_parsing"):
        message, hint = f"{_shown(given)} is not a number", "write it without quotes and units, like 24"
    elif kind == "bool_type":
        message, hint = f"{_shown(given)} is neither true nor false", "write true or false"
    elif kind in ("list_type", "dict_type", "model_type"):
        wanted = "a list, like [a, b]" if kind == "list_type" else "keys and values, like {enabled: true}"
        message, hint = f"{_shown(given)} does not fit here", f"write {wanted}"
    elif kind == "string_type":
        message, hint = f"{_shown(given)} is not text", "put it in quotes"
    elif kind == "string_pattern_mismatch":
        message, hint = f"{_shown(given)} is no name", "use letters, digits, - _ and ., 64 at most, like gpu-a"
    elif kind in ("greater_than", "greater_than_equal", "less_than_equal"):
        message = f"{_shown(given)} is out of range: {error['msg'].lower().removeprefix('input ')}"
    return _problem(path, tree, place, message, hint)


def _shown(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 40 else text[:39] + "…"


def _problem(path: Path, tree: Any, place: Place, message: str, hint: str) -> Problem:
    line, column = _position(tree, place)
    return Problem(path.name, line, column, _written(place), message, hint)


def _bare(path: Path, message: str, hint: str = "") -> Problem:
    return Problem(path.name, 1, 1, "", message, hint)


def _position(tree: Any, place: Place) -> tuple[int, int]:
    """Line and column, from 1, of the deepest part of `place` that is in the file."""
    position = (0, 0)
    for key in place:
        try:
            position = tree.lc.key(key) if isinstance(tree, CommentedMap) else tree.lc.item(key)
            tree = tree[key]
        except (KeyError, IndexError, AttributeError, TypeError):
            break
        if not isinstance(tree, CommentedMap | CommentedSeq):
            break
    return position[0] + 1, position[1] + 1


def _written(place: Place) -> str:
    text = ""
    for key in place:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return text
