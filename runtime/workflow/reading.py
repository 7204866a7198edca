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


class WorkflowUnreadable(VeilrunError):
    """The file is no ComfyUI workflow. The text says what it is instead, and what to do."""


def is_ui_format(document: object) -> bool:
    """Whether it is a workflow as the editor saves it, with nodes and links, not a graph in API format."""
    return isinstance(document, dict) and isinstance(document.get("nodes"), list) and "links" in document


def read_document(path: Path) -> Any:
    """The JSON in the file. Raises: WorkflowUnreadable, OSError."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise WorkflowUnreadable(
            f"{path.name} is no JSON ({type(error).__name__}); in ComfyUI choose Workflow > Export or Export (API)"
        ) from None


def read_workflow(path: Path, descriptions: Descriptions | None = None) -> Graph:
    """The graph in `path`, converted if it is in the editor's format.

    descriptions: of the node classes that it uses; those that ship with veilrun if None. What is posted to a server
    (`{"prompt": …}`) is understood as well. Titles (`_meta`) are kept.

    Raises: WorkflowUnreadable, CannotConvert, OSError.
    """
    document = read_document(path)
    if is_ui_format(document):
        return convert(document, descriptions or shipped_descriptions())
    if isinstance(document, Mapping) and isinstance(document.get("prompt"), dict):
        document = document["prompt"]
    try:
        check_graph(document, path.name)
    except DeclarationError as error:
        raise WorkflowUnreadable(f"{error}; in ComfyUI choose Workflow > Export or Export (API)") from None
    graph: Graph = document
    return graph
