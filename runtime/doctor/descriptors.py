"""Whether a process may open as many files and connections as its jobs need."""

import resource

from runtime.doctor.deployment import Deployment
from runtime.doctor.line import Line, ok, warning

SUBJECT = "file descriptors"
OF_A_PROCESS = 200
"""Database, broker, web connections, logs, libraries."""

OF_A_JOB = 12
"""A job in flight: its lanes to a backend, with what is opened anew while an old one closes, and its sends."""


async def check_descriptors(deployment: Deployment) -> list[Line]:
    """The limit of this shell or unit, which the processes that it starts inherit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    threads = deployment.settings.worker_threads
    needed = OF_A_PROCESS + OF_A_JOB * threads
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return [ok(SUBJECT, f"{'no limit' if soft == resource.RLIM_INFINITY else soft} for a process")]
    text = f"{soft} for a process, {threads} jobs at a time may need {needed}"
    raised = f"`ulimit -n {needed}`, or LimitNOFILE={needed} in the unit"
    if hard != resource.RLIM_INFINITY and hard < needed:
        raised += f" (the hard limit is {hard}: root raises it)"
    return [warning(SUBJECT, text, f"{raised}, or fewer VEILRUN_WORKER_THREADS")]
