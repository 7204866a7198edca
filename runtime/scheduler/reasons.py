"""Why a job is where it is, or waits: one line for its user and the operator."""

from collections.abc import Iterable, Mapping, Sequence

from runtime.scheduler.gpus import fits
from runtime.scheduler.view import QueuedJob, Slot


def praise(job: QueuedJob, slot: Slot, *, is_idle: bool, is_cold: bool) -> str:
    """Why the job gets this place."""
    words = f"{slot.backend} is free" if is_idle else f"next on {slot.backend}"
    if job.model_set and not is_cold:
        words += ", model already loaded"
    if slot.backend in job.near:
        words += ", has the picture already"
    return words


def because(job: QueuedJob, slot: Slot, *, is_warm: bool, is_idle: bool) -> str:
    """Why the job waits for this backend."""
    state = "is to run others first" if is_idle else "is busy"
    if job.model_set and is_warm:
        state += " and has its model loaded"
    return f"waiting for {slot.backend}, which {state}"


def lament(job: QueuedJob, slots: Sequence[Slot]) -> tuple[str, bool]:
    """Why no backend takes the job now, and whether it is hopeless.

    Hopeless: no backend is large enough, or every one that is was looked at and lacks something.
    """
    fitting = [slot for slot in slots if fits(slot, job)]
    if not fitting:
        return _demand(job, slots), bool(slots)
    able = [slot for slot in fitting if job.key not in slot.missing]
    if not able:
        words = "; ".join(f"{name} cannot run it: {why}" for name, why in _lacking(fitting, job).items())
        return words, all(slot.away is None for slot in fitting)
    present = [slot for slot in able if slot.away is None]
    working = [slot for slot in present if job.key not in slot.tripped]
    if working:
        return f"waiting for {_busy(working)}", False
    if present:
        return "; ".join(f"{name}: {why}" for name, why in _tripped(present, job).items()), False
    states = {slot.backend: slot.away for slot in able}
    return "waiting for " + "; ".join(f"{name}, which {away}" for name, away in sorted(states.items())), False


def _demand(job: QueuedJob, slots: Iterable[Slot]) -> str:
    if any(slot.pinned and fits_unpinned(slot, job) for slot in slots):
        return "every backend that could run it is kept for other commands"
    demands = [f"{job.vram_gb:g} GB"]
    if job.labels:
        demands.append(f"label{'s' if len(job.labels) > 1 else ''} {', '.join(sorted(job.labels))}")
    return f"no backend has {' and '.join(demands)}"


def fits_unpinned(slot: Slot, job: QueuedJob) -> bool:
    """Whether the backend would do, were it not kept for other commands."""
    return slot.vram_gb >= job.vram_gb and job.labels <= slot.labels


def _busy(slots: Iterable[Slot]) -> str:
    names = sorted({slot.backend for slot in slots})
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
    return f"{listed}, which {'is' if len(names) == 1 else 'are'} busy"


def _lacking(slots: Sequence[Slot], job: QueuedJob) -> Mapping[str, str]:
    return {slot.backend: slot.missing[job.key] for slot in sorted(slots, key=lambda slot: slot.backend)}


def _tripped(slots: Sequence[Slot], job: QueuedJob) -> Mapping[str, str]:
    return {slot.backend: slot.tripped[job.key] for slot in sorted(slots, key=lambda slot: slot.backend)}
