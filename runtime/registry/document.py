"""Reads the registry file and says, line by line, what is wrong with it."""

import difflib
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    CollectionStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
)
from ruamel.yaml.nodes import CollectionNode, MappingNode, Node
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.scalarbool import ScalarBoolean

from runtime.registry.errors import Problem, RegistryInvalid
from runtime.registry.schema import RegistryFile, known_keys, origin_of

Place: TypeAlias = tuple[int | str, ...]
"""Keys and indexes that lead to a value: ("backends", 0, "url")."""

_DUPLICATE = re.compile(r'found duplicate key "(.*?)"')
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
"""What an escape in quotes can give and PostgreSQL does not take."""

EXAMPLE = "see docs/registry.md for a complete example"
MOST_VALUES = 20_000
"""Far more than any file holds, far fewer than a few lines of aliases of aliases can unfold to."""


class Document:
    """The file as parsed, with the place of everything in it."""

    def __init__(self, path: Path, tree: Any, content: RegistryFile) -> None:
        self.path = path
        self.content = content
        self._tree = tree

    def problem(self, place: Place, message: str, hint: str = "") -> Problem:
        """A problem at `place` of this file."""
        return _problem(self.path, self._tree, place, message, hint)


def read_text(path: Path) -> str:
    """The text of the file. Raises: RegistryInvalid."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise RegistryInvalid(
            (_bare(path, "the file is not there", "create it, or point VEILRUN_REGISTRY at yours"),)
        ) from None
    except UnicodeDecodeError as error:
        at = error.object.count(b"\n", 0, error.start) + 1, 1
        raise RegistryInvalid((_bare(path, f"not UTF-8 at byte {error.start}", "save it as UTF-8", at=at),)) from None
    except OSError as error:
        hint = "it must be a file that this user may read"
        raise RegistryInvalid((_bare(path, f"cannot be read: {error.strerror}", hint),)) from error


def read_document(path: Path, text: str | None = None) -> Document:
    """The valid content of `path`, or of `text` in its place. Raises: RegistryInvalid with every problem found."""
    text = read_text(path) if text is None else text
    tree = parse(path, text)
    try:
        values = plain(tree)
    except (OverflowError, RecursionError):
        raise RegistryInvalid(
            (_bare(path, f"its aliases unfold to more than {MOST_VALUES} values", "write out what you mean"),)
        ) from None
    problems = [_problem(path, tree, *found) for found in _repeated(values.get("backends"))]
    content: RegistryFile | None = None
    try:
        content = RegistryFile.model_validate(values)
    except ValidationError as error:
        problems += [_explained(path, tree, problem) for problem in error.errors(include_url=False)]
    if content is None or problems:
        raise RegistryInvalid(tuple(sorted(problems, key=lambda problem: (problem.line, problem.column))))
    return Document(path, tree, content)


def parse(path: Path, text: str) -> CommentedMap:
    """The keys and values of the text, with their places. Raises: RegistryInvalid."""
    try:
        odd = next(_oddities(text), None)
        tree = None if odd else YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message, hint = _syntax((error.problem or "not YAML").splitlines()[0].strip())
        raise RegistryInvalid((_bare(path, message, hint, at=_place_of(mark)),)) from None
    except RecursionError:
        raise RegistryInvalid((_bare(path, "nested too deeply", EXAMPLE),)) from None
    except ValueError:  # a date like 2026-99-99, a number of thousands of digits
        message, hint = "this is no number and no date that there is", "correct it, or put it in quotes if it is text"
        raise RegistryInvalid((_bare(path, message, hint, at=_unreadable(text)),)) from None
    except ReaderError as error:
        before = text[: error.position]
        at = before.count("\n") + 1, error.position - before.rfind("\n")
        raise RegistryInvalid((_bare(path, *_not_allowed(chr(error.character)), at=at),)) from None
    except YAMLError as error:
        raise RegistryInvalid((_bare(path, f"not YAML: {str(error).splitlines()[0]}"),)) from None
    if odd is not None:
        mark, message, hint = odd
        raise RegistryInvalid((_bare(path, message, hint, at=_place_of(mark)),))
    if tree is None:
        raise RegistryInvalid((_bare(path, "the file is empty", f"write at least `version: 1`; {EXAMPLE}"),))
    if not isinstance(tree, CommentedMap):
        raise RegistryInvalid((_bare(path, "the file must hold keys and values", f"like `version: 1`; {EXAMPLE}"),))
    return tree


def _syntax(message: str) -> tuple[str, str]:
    """What the parser says, with what to do about the slips that happen to people."""
    if "\\t" in message:
        return "a tab where YAML wants spaces", "indent with spaces, never tabs"
    duplicate = _DUPLICATE.match(message)
    if duplicate:
        return f"{duplicate[1]!r} is there twice", "keep one of them"
    if "another document" in message:
        return "a second document begins here", "take the line `---` out"
    if "alias" in message:
        return f"not YAML: {message}", "define it with & before, or put the value in quotes"
    if message.startswith("found character"):
        return f"not YAML: {message}", "put the value in quotes"
    return f"not YAML: {message}", "look for a missing bracket, quote or colon just before"


def _oddities(text: str) -> Iterator[tuple[Any, str, str]]:
    """What is YAML and makes no sense here: (where, what, cure). Raises: YAMLError."""
    open_key: list[bool | None] = []  # of each collection that is open: whether a key comes next, None in a list
    for event in YAML(typ="rt").parse(text):
        if isinstance(event, MappingEndEvent | SequenceEndEvent):
            open_key.pop()
        if not isinstance(event, NodeEvent):
            continue
        is_key = bool(open_key and open_key[-1])
        if open_key and open_key[-1] is not None:
            open_key[-1] = not is_key
        if isinstance(event, CollectionStartEvent):
            open_key.append(True if isinstance(event, MappingStartEvent) else None)
            if is_key:
                hint = "fill it in if it is a placeholder like {{ url }}; put it in quotes if it is text"
                yield event.start_mark, "a bracket where a word is expected", hint
        tag = getattr(event, "tag", None)
        if tag is not None:
            name = str(tag).replace("tag:yaml.org,2002:", "!!")
            yield event.start_mark, f"the tag {name} has no meaning here", "take it out, and leave the value"
        if isinstance(event, ScalarEvent):
            for found in _UNSTORABLE.findall(event.value):
                yield event.start_mark, *_not_allowed(found)


def _not_allowed(character: str) -> tuple[str, str]:
    return f"the character U+{ord(character):04X} is not allowed", "take it out; it may be invisible"


def _unreadable(text: str) -> tuple[int, int]:
    """The place of the first value that cannot be made of what is written."""
    yaml = YAML(typ="rt")
    nodes: list[Node] = [yaml.compose(text)]
    for node in nodes:
        if isinstance(node, CollectionNode):
            nodes += itertools.chain(*node.value) if isinstance(node, MappingNode) else node.value
            continue
        try:
            yaml.constructor.construct_object(node)
        except ValueError:
            return _place_of(node.start_mark)
    return 1, 1


def _place_of(mark: Any) -> tuple[int, int]:
    """Line and column, from 1."""
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def _repeated(backends: object) -> Iterator[tuple[Place, str, str]]:
    """Backends that have the name or the server of an earlier one."""
    seen: dict[object, int] = {}
    for index, backend in enumerate(backends if isinstance(backends, list) else ()):
        if not isinstance(backend, dict):
            continue
        for key, value in (("name", backend.get("name")), ("url", origin_of(backend.get("url")))):
            if not isinstance(value, str | tuple):
                continue
            first = seen.setdefault((key, value), index)
            if first != index:
                message = f"backends[{first}] has the same {key} already"
                hint = "give it a name of its own" if key == "name" else "one entry for each server"
                yield ("backends", index, key), message, hint


def plain(tree: CommentedMap) -> dict[str, Any]:
    """What the file says, in plain types. Raises: OverflowError, RecursionError."""
    values: dict[str, Any] = _plain(tree, itertools.count(1))
    return values


def _plain(value: Any, counter: Iterator[int]) -> Any:
    """`value` in plain types, aliases unfolded. Raises: OverflowError when that is more than MOST_VALUES."""
    if next(counter) > MOST_VALUES:
        raise OverflowError
    if isinstance(value, dict):
        return {str(key): _plain(item, counter) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, counter) for item in value]
    if isinstance(value, ScalarBoolean):  # what `&anchor true` is read as: an int
        return bool(value)
    for simple in (bool, int, float, str):
        if isinstance(value, simple):
            return simple(value)
    return value


def _explained(path: Path, tree: Any, error: ErrorDetails) -> Problem:
    place: Place = tuple(error["loc"])
    kind, given = error["type"], error["input"]
    message, _, hint = error["msg"].removeprefix("Value error, ").partition("; ")
    if place[-1:] == ("[key]",):
        place = place[:-1]
    if kind == "extra_forbidden":
        allowed = known_keys(place[:-1])
        close = difflib.get_close_matches(str(place[-1]), allowed, 1)
        message = f"unknown key {str(place[-1])!r}"
        hint = f"did you mean {close[0]!r}?" if close else f"allowed here: {', '.join(allowed)}"
    elif kind == "missing":
        message, hint = f"{place[-1]!r} is missing", f"add `{place[-1]}: …`; {EXAMPLE}"
        place = place[:-1]
    elif given is None:
        message, hint = "it is empty", _filling(place, kind)
    elif kind in ("int_type", "int_from_float") and isinstance(given, float):
        message, hint = f"{_shown(given)} is no whole number", "write it without a point, like 1"
    elif kind == "literal_error":
        message, hint = f"{_shown(given)} is not allowed", f"write {error['ctx']['expected']}"
    elif kind in ("int_type", "float_type", "int_parsing", "float_parsing"):
        message, hint = f"{_shown(given)} is not a number", "write it without quotes and units, like 24"
    elif kind == "bool_type":
        message, hint = f"{_shown(given)} is neither true nor false", "write true or false"
    elif kind in ("list_type", "dict_type", "model_type"):
        wanted = "a list, like [a, b]" if kind == "list_type" else f"keys and values, like {_like(place)}"
        message, hint = f"{_shown(given)} does not fit here", f"write {wanted}"
    elif kind == "string_type":
        message, hint = f"{_shown(given)} is not text", "put it in quotes"
    elif kind == "string_pattern_mismatch":
        message, hint = f"{_shown(given)} is no name", "use letters, digits, - _ and ., 64 at most, like gpu-a"
    elif kind in ("greater_than", "greater_than_equal", "less_than_equal"):
        message = f"{_shown(given)} is out of range: it {error['msg'].lower().removeprefix('input ')}"
    elif kind == "finite_number":
        message, hint = f"{_shown(given)} is no size of anything", "write a number, like 24"
    return _problem(path, tree, place, message, hint)


def _filling(place: Place, kind: str) -> str:
    """What to write where nothing stands."""
    if kind == "list_type":
        return "write a list, like [a, b], or leave the key out"
    if kind in ("dict_type", "model_type"):
        rest = "" if isinstance(place[-1], int) else ", or leave the key out"
        return f"write keys and values, like {_like(place)}{rest}"
    return "write a value after it"


def _like(place: Place) -> str:
    """An example of the section at `place`."""
    if place[:1] == ("backends",):
        return '{name: gpu-a, url: "http://127.0.0.1:8188", vram_gb: 24}'
    if len(place) == 2:
        return "{enabled: true}"
    examples = {"access": "{allow_users: [123456]}", "plugins": "{flux: {enabled: true}}"}
    examples |= {"limits": "{per_user: 1}", "affinity": "{vram_gb: 24}", "defaults": "{steps: 4}"}
    return examples.get(str(place[-1]), "{key: value}")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:39] + "…"


def _problem(path: Path, tree: Any, place: Place, message: str, hint: str) -> Problem:
    line, column = _position(tree, place)
    return Problem(path.name, line, column, _written(place), message, hint)


def _bare(path: Path, message: str, hint: str = "", *, at: tuple[int, int] = (1, 1)) -> Problem:
    return Problem(path.name, *at, "", message, hint)


def _position(tree: Any, place: Place) -> tuple[int, int]:
    """Line and column, from 1, of the deepest part of `place` that is in the file."""
    position = (0, 0)
    for key in place:
        try:
            if isinstance(tree, CommentedMap):
                key = next(written for written in tree if str(written) == str(key))
                found = tree.lc.key(key)
            else:
                found = tree.lc.item(key)
            position = found or position  # none is known of what comes from elsewhere by `<<`
            tree = tree[key]
        except (KeyError, IndexError, AttributeError, TypeError, StopIteration):
            break
        if not isinstance(tree, CommentedMap | CommentedSeq):
            break
    return position[0] + 1, position[1] + 1


def _written(place: Place) -> str:
    text = ""
    for key in place:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return text
