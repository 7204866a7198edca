"""A client of ComfyUI servers, and the rules that make a run on one of them certain."""

from runtime.comfyui.answers import Device, History, OutputFile, Queue, SystemStats, UploadedImage
from runtime.comfyui.cancel import Stopped, cancel, withdraw
from runtime.comfyui.catalogue import Catalogue
from runtime.comfyui.client import ComfyClient
from runtime.comfyui.collect import collect
from runtime.comfyui.download import Output, fetch
from runtime.comfyui.errors import (
    BackendError,
    BackendMisconfigured,
    BackendTimeout,
    BackendUnreachable,
    GraphProblem,
    GraphProblems,
    Interrupted,
    LoadTimeout,
    NodeFailed,
    NoOutput,
    OutOfMemory,
    OutputDamaged,
    OutputMissing,
    OutputTooLarge,
    PathAway,
    PromptLost,
    QueueTimeout,
    RunTimeout,
    SentPictureLost,
    UnexpectedAnswer,
    UploadGone,
    UploadRefused,
    WorkflowRejected,
)
from runtime.comfyui.events import Event
from runtime.comfyui.follow import OnEvent, OnProgress, Pace
from runtime.comfyui.forget import forget
from runtime.comfyui.hub import EventHub
from runtime.comfyui.preflight import RequiredModel, check_graph, missing_models, raise_if_any
from runtime.comfyui.progress import Progress
from runtime.comfyui.run import posted_ids, run_and_collect, run_prompt
from runtime.comfyui.submit import Prompt

__all__ = [
    "BackendError",
    "BackendMisconfigured",
    "BackendTimeout",
    "BackendUnreachable",
    "Catalogue",
    "ComfyClient",
    "Device",
    "Event",
    "EventHub",
    "GraphProblem",
    "GraphProblems",
    "History",
    "Interrupted",
    "LoadTimeout",
    "NoOutput",
    "NodeFailed",
    "OnEvent",
    "OnProgress",
    "OutOfMemory",
    "Output",
    "OutputDamaged",
    "OutputFile",
    "OutputMissing",
    "OutputTooLarge",
    "Pace",
    "PathAway",
    "Progress",
    "Prompt",
    "PromptLost",
    "Queue",
    "QueueTimeout",
    "RequiredModel",
    "RunTimeout",
    "SentPictureLost",
    "Stopped",
    "SystemStats",
    "UnexpectedAnswer",
    "UploadGone",
    "UploadRefused",
    "UploadedImage",
    "WorkflowRejected",
    "cancel",
    "check_graph",
    "collect",
    "fetch",
    "forget",
    "missing_models",
    "posted_ids",
    "raise_if_any",
    "run_and_collect",
    "run_prompt",
    "withdraw",
]
