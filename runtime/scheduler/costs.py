"""What it costs to run a job on a GPU, in seconds: those until it ends, and those that others lose."""

from collections.abc import Iterable, Sequence

from runtime.scheduler.gpus import Gpu
from runtime.scheduler.timings import Timings
from runtime.scheduler.view import QueuedJob

SWAP_WEIGHT = 2.0
"""A load counts so many times its seconds: the weights that it drives out will have to be loaded again."""

MISFIT_WEIGHT = 3.0
"""How much it counts that a device is worse for a job than it is for jobs in general."""

PREFERENCE_SECONDS = 60.0
"""Among GPUs that have a place: how much sooner a run has to end to outweigh one step of its command's preference."""

TIE_SECONDS = 1.0
"""Ends that are no further apart are the same, and the backend that holds an input of the job wins."""


class Costs:
    """Expected seconds, from what was measured."""

    def __init__(self, timings: Timings, jobs: Sequence[QueuedJob], devices: Iterable[str]) -> None:
        self._timings = timings
        self._misfits = _misfits(timings, jobs, set(devices))

    def end(self, job: QueuedJob, gpu: Gpu) -> float:
        """Seconds from now until the job's run there is over, if it is the next one."""
        device = gpu.slot.device
        load = 0.0 if gpu.is_warm(job) else self._timings.load_seconds(job.model_set, device)
        return gpu.ready + load + self._timings.run_seconds(job.key, device, job.size_class)

    def seconds(self, job: QueuedJob, gpu: Gpu) -> float:
        """The same, with what it costs the jobs of others that the job runs there."""
        device = gpu.slot.device
        seconds = gpu.ready + self._timings.run_seconds(job.key, device, job.size_class)
        if not gpu.is_warm(job):
            seconds += SWAP_WEIGHT * self._timings.load_seconds(job.model_set, device)
        return seconds + self._misfits.get((job.key, job.size_class, device), 0.0)

    def wished(self, job: QueuedJob, gpu: Gpu) -> tuple[float, float, str]:
        """To compare GPUs by: `seconds` with the command's preference and the place of the inputs, then what may be
        lost."""
        seconds = self.seconds(job, gpu)
        if job.prefer:
            ranks = [rank for rank, wanted in enumerate(job.prefer) if wanted in (gpu.name, gpu.slot.device)]
            seconds += PREFERENCE_SECONDS * min(ranks, default=len(job.prefer))
        if gpu.name in job.near:
            seconds -= TIE_SECONDS
        return seconds, gpu.keep, gpu.name


def _misfits(timings: Timings, jobs: Sequence[QueuedJob], devices: set[str]) -> dict[tuple[str, str, str], float]:
    """(command key, size class, device) -> the weighted seconds by which the run there is longer than the device's
    speed in general explains; below 0: the device is a good one for it. Nothing if all devices are the same."""
    if len(devices) < 2:
        return {}
    works = {(job.key, job.size_class) for job in jobs}
    best = {work: min(timings.run_seconds(work[0], device, work[1]) for device in devices) for work in works}
    misfits = {}
    for device in devices:
        runs = {work: timings.run_seconds(work[0], device, work[1]) for work in works}
        slowness = sum(runs[work] / best[work] for work in works) / max(len(works), 1)
        for work in works:
            misfits[*work, device] = MISFIT_WEIGHT * (runs[work] - best[work] * slowness)
    return misfits
