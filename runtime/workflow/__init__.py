"""ComfyUI workflows as files: in the editor's format and in API format, converted and checked without a server."""

from runtime.workflow.check import Finding, check
from runtime.workflow.convert import convert
from runtime.workflow.editor import CannotConvert
from runtime.workflow.reading import WorkflowUnreadable, is_ui_format, read_workflow
from runtime.workflow.shipped import shipped_catalogue

__all__ = [
    "CannotConvert",
    "Finding",
    "WorkflowUnreadable",
    "check",
    "convert",
    "is_ui_format",
    "read_workflow",
    "shipped_catalogue",
]
