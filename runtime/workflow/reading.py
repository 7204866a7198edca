"""A workflow file of either format, as a graph that can be posted."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runtime.api import DeclarationError, Graph, VeilrunError
from runtime.api.workflow import check_graph
from runtime.workflow.convert import convert
from runtime.workflow.description import Descriptions
from runtime.workflow.shipped import shipped_descriptions

EXPORT = "in ComfyUI choose Workflow > Export or Export (API)"


class WorkflowUnreadable(VeilrunError):
    """The file is no ComfyUI workflow. The text says what it is instead, and what to do."""


def is_ui_format(document: object) -> bool:
    """Whether it is a workflow as the editor saves it, with nodes and links, not a graph in API format."""
    return isinstance(document, dict) and isinstance(document.get("nodes"), list) and "links" in document


def read_document(path: Path) -> Any:
    """The JSON in the file, in UTF-8, UTF-16 or UTF-32. Raises: WorkflowUnreadable, OSError."""
    try:
        document = json.loads(path.read_bytes(), object_pairs_hook=_once)
        json.dumps(document, ensure_ascii=False).encode()
    except _Twice as twice:
        raise WorkflowUnreadable(
            f"{path.name}: {str(twice)!r} is there twice in one object, and all but the last would be lost; rename one"
        ) from None
    except json.JSONDecodeError as error:
        raise WorkflowUnreadable(
            f"{path.name}, line {error.lineno}, column {error.colno}: no JSON ({error.msg}); {EXPORT}"
        ) from None
    except UnicodeEncodeError:
        raise WorkflowUnreadable(
            f"{path.name}: a text ends within a character (\\ud800 to \\udfff); {EXPORT}"
        ) from None
    except RecursionError:
        raise WorkflowUnreadable(f"{path.name}: it is nested too deeply for a workflow; {EXPORT}") from None
    except ValueError as error:
        raise WorkflowUnreadable(f"{path.name} is no JSON ({error}); {EXPORT}") from None
    return document


class _Twice(ValueError):
    """A key that an object has twice."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _Twice(next(key for key in keys if keys.count(key) > 1))
    return content


def read_workflow(path: Path, descriptions: Descriptions | None = None) -> Graph:
    """The graph in `path`; see `graph_of`. Raises: WorkflowUnreadable, CannotConvert, OSError."""
    return graph_of(read_document(path), path.name, descriptions or shipped_descriptions())


def graph_of(document: Any, name: str, descriptions: Descriptions) -> Graph:
    """The graph of a workflow of either format, converted if it is in the editor's.

    name: of its file. descriptions: of the node classes that it uses. What is posted to a server (`{"prompt": …}`) is
    understood as well. Titles (`_meta`) are kept.

    Raises: WorkflowUnreadable, CannotConvert.
    """
    if is_ui_format(document):
        return convert(document, descriptions)
    if isinstance(document, Mapping) and isinstance(document.get("prompt"), dict):
        document = document["prompt"]
    try:
        check_graph(document, name)
    except DeclarationError as error:
        raise WorkflowUnreadable(f"{error}; {EXPORT}") from None
    graph: Graph = document
    return graph
