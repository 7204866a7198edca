"""What went wrong with a job, as a code that programs can rely on."""

from collections.abc import Mapping
from typing import Literal, TypeAlias, get_args

JobErrorCode: TypeAlias = Literal[
    "backend_away",
    "cannot_run",
    "plugin_failed",
    "run_failed",
    "out_of_memory",
    "queue_timeout",
    "load_timeout",
    "run_timeout",
    "worker_lost",
    "input_gone",
    "medium_unusable",
    "internal",
]
"""
backend_away     no GPU server could be reached, or it lost the job: ask again later
cannot_run       no GPU server can run the command as it is set up: tell the operator
plugin_failed    a plugin broke: tell the operator
run_failed       a node failed: ask again with other arguments
out_of_memory    too large for the GPU: ask for less
queue_timeout    no GPU became free in time: ask again later
load_timeout     the weights did not load in time: ask again later
run_timeout      the run took too long: ask for less
worker_lost      the work was interrupted several times: ask again
input_gone       a picture is not kept any more: send it again
medium_unusable  a picture, or what was made, cannot be read: send another one
internal         a fault of veilrun: tell the operator
"""

CODES: tuple[JobErrorCode, ...] = get_args(JobErrorCode)

_CODE_OF: Mapping[str, JobErrorCode] = {
    "BackendUnreachable": "backend_away",
    "PathAway": "backend_away",
    "PromptLost": "backend_away",
    "UnexpectedAnswer": "backend_away",
    "UnknownBackend": "backend_away",
    "UploadGone": "backend_away",
    "ConnectFailed": "backend_away",
    "PathDown": "backend_away",
    "ServiceOffline": "backend_away",
    "ServiceRefused": "backend_away",
    "ConnectionBroken": "backend_away",
    "TimedOut": "backend_away",
    "BackendMisconfigured": "cannot_run",
    "WorkflowRejected": "cannot_run",
    "GraphProblems": "cannot_run",
    "UploadRefused": "cannot_run",
    "NoBackendFits": "cannot_run",
    "CommandGone": "cannot_run",
    "NotOfferedHere": "cannot_run",
    "PluginFailed": "plugin_failed",
    "NodeFailed": "run_failed",
    "NoOutput": "run_failed",
    "OutputMissing": "run_failed",
    "SentPictureLost": "run_failed",
    "OutputDamaged": "run_failed",
    "OutputTooLarge": "run_failed",
    "Interrupted": "run_failed",
    "OutOfMemory": "out_of_memory",
    "QueueTimeout": "queue_timeout",
    "LoadTimeout": "load_timeout",
    "RunTimeout": "run_timeout",
    "WorkerLost": "worker_lost",
    "InputGone": "input_gone",
    "UnknownMedium": "medium_unusable",
    "BrokenMedium": "medium_unusable",
    "MediumTooLarge": "medium_unusable",
    "CannotStrip": "medium_unusable",
}


def code_of(error: str | None) -> JobErrorCode:
    """The code for the class name in `jobs.error`."""
    return _CODE_OF.get(error or "", "internal")
